import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, imapHouse, mail } from '../imap-house.fixture.ts';
import { type WireClient, withoutUidValidity } from '../wire-client.fixture.ts';

const BOB = 'bob@example.test';
const CAROL = 'carol@example.test';
const WORK = 'user/ada@example.test/Work';
const NOWHERE = '$ NO [NONEXISTENT] No such mailbox';
const NOT_ALLOWED = '$ NO [NOPERM] The access control list does not allow it';

/** Ada has `Work` with two messages, and `Private`; Bob and Carol have accounts. */
async function neighbours(t: TestContext) {
  const house = await imapHouse(t, { quotaOctets: 100_000 });
  for (const username of [BOB, CAROL]) await house.services.accounts.create({ username, passwordHash: '{PLAIN}secret' });
  const login = async (username: string): Promise<WireClient> => {
    const client = await house.connect();
    const end = (await client.run(`LOGIN ${username} secret`)).at(-1);
    assert.ok(end?.startsWith('$ OK'), end);
    return client;
  };
  const ada = await login('ada@example.test');
  await ada.run('CREATE Work');
  await ada.run('CREATE Private');
  await ada.append('Work', HELLO);
  await ada.append('Work', HELLO, '(\\Seen)');
  await ada.append('Private', HELLO);
  const bob = await login(BOB);
  return { house, login, ada, bob };
}

/** Answer without what begins it and without UIDVALIDITY. */
async function answers(client: WireClient, command: string): Promise<string[]> {
  return (await client.run(command)).map(withoutUidValidity);
}

test('commands on access control lists with broken arguments are BAD', async (t) => {
  const { ada } = await neighbours(t);
  for (const command of [
    'SETACL',
    'SETACL Work',
    `SETACL Work ${BOB}`,
    `SETACL Work ${BOB} lrz`,
    `SETACL Work ${BOB} LRS`,
    `SETACL Work ${BOB} +l+r`,
    `SETACL Work "" lrs`,
    `SETACL Work - lrs`,
    `SETACL Work ${BOB} lrs x`,
    'DELETEACL Work',
    'GETACL',
    'LISTRIGHTS Work',
    'MYRIGHTS',
    'MYRIGHTS Work x',
  ])
    assert.match((await ada.run(command)).at(-1) ?? '', /^\$ BAD /, command);
});

test('nobody is told whether a mailbox, an account or a right is there', async (t) => {
  const { bob, ada } = await neighbours(t);
  await ada.run(`SETACL Work ${CAROL} lrswipkxtea`);
  const places = [WORK, 'user/ada@example.test/Nowhere', 'user/nobody@example.test/Work', 'user/ada@example.test', 'user//Work'];
  const commands: readonly (readonly [string, string])[] = [
    ['SELECT %', NOWHERE],
    ['EXAMINE %', NOWHERE],
    ['STATUS % (MESSAGES)', NOWHERE],
    ['SUBSCRIBE %', NOWHERE],
    ['DELETE %', NOWHERE],
    ['RENAME % Mine', NOWHERE],
    ['CREATE %', '$ NO [NOPERM] You may not create mailboxes there'],
    ['CREATE %/Sub', '$ NO [NOPERM] You may not create mailboxes there'],
    ['RENAME Sent %', '$ NO [NOPERM] You may not create mailboxes there'],
    ['GETACL %', NOWHERE],
    ['MYRIGHTS %', NOWHERE],
    ['LISTRIGHTS % anyone', NOWHERE],
    [`SETACL % ${BOB} lrs`, NOWHERE],
    ['SETACL % nobody@example.test lrs', NOWHERE],
    ['DELETEACL % anyone', NOWHERE],
    ['GETQUOTAROOT %', NOWHERE],
    ['GETMETADATA % /shared/comment', NOWHERE],
    ['SETMETADATA % (/private/comment "x")', NOWHERE],
  ];
  for (const place of places) {
    for (const [command, end] of commands) {
      const run = command.replace('%', place);
      assert.deepEqual(await answers(bob, run), [end], run);
    }
    assert.deepEqual(await bob.append(place, HELLO), ['$ NO [TRYCREATE] No such mailbox'], place);
  }
  assert.deepEqual(await answers(bob, 'GETQUOTA user/ada@example.test'), ['$ NO [NONEXISTENT] No such quota root']);
  assert.deepEqual(await answers(bob, 'LIST "" user*'), ['$ OK LIST done']);
  assert.deepEqual(await answers(bob, 'LIST "user/" "*"'), ['$ OK LIST done']);
  assert.deepEqual(await answers(bob, `LIST "" ${WORK}`), ['$ OK LIST done']);
  await bob.append('INBOX', HELLO);
  await bob.run('SELECT INBOX');
  for (const place of places) {
    assert.deepEqual(await answers(bob, `COPY 1 ${place}`), ['$ NO [TRYCREATE] No such mailbox'], place);
    assert.deepEqual(await answers(bob, `MOVE 1 ${place}`), ['$ NO [TRYCREATE] No such mailbox'], place);
    assert.deepEqual(await answers(bob, `UID ESEARCH IN (subtree ${place}) ALL`), ['$ BAD Unknown command'], place);
    assert.deepEqual(await answers(bob, `ESEARCH IN (subtree ${place}) ALL`), ['$ OK ESEARCH done'], place);
  }
});

test('SETACL gives, adds and takes rights; GETACL, LISTRIGHTS and MYRIGHTS show them', async (t) => {
  const { ada, bob } = await neighbours(t);
  const acl = (entries: string): string[] => [`* ACL "Work" ada@example.test lrswipkxteacd${entries}`, '$ OK GETACL done'];
  assert.deepEqual(await answers(ada, 'GETACL Work'), acl(''));
  await ada.expect('MYRIGHTS Work', '* MYRIGHTS "Work" lrswipkxteacd', '$ OK MYRIGHTS done');
  await ada.expect(`SETACL Work ${BOB} lr`, '$ OK SETACL done');
  assert.deepEqual(await answers(ada, 'GETACL Work'), acl(` ${BOB} lr`));
  await ada.expect(`SETACL Work BOB@example.test +sd`, '$ OK SETACL done'); // names as at login; d of RFC 2086
  assert.deepEqual(await answers(ada, 'GETACL Work'), acl(` ${BOB} lrsxted`));
  await ada.expect(`SETACL Work ${BOB} -x`, '$ OK SETACL done');
  await bob.expect(`MYRIGHTS ${WORK}`, `* MYRIGHTS "${WORK}" lrsted`, '$ OK MYRIGHTS done');
  await ada.expect('SETACL Work anyone lrk', '$ OK SETACL done');
  await ada.expect(`SETACL Work -${BOB} s`, '$ OK SETACL done');
  await bob.expect(`MYRIGHTS ${WORK}`, `* MYRIGHTS "${WORK}" lrktecd`, '$ OK MYRIGHTS done');
  assert.deepEqual(await answers(ada, 'GETACL Work'), acl(` -${BOB} s anyone lrkc ${BOB} lrsted`));
  await ada.expect(`SETACL Work ${BOB} ""`, '$ OK SETACL done');
  await ada.expect(`DELETEACL Work -${BOB}`, '$ OK DELETEACL done');
  await ada.expect('DELETEACL Work nobody@example.test', '$ OK DELETEACL done');
  assert.deepEqual(await answers(ada, 'GETACL Work'), acl(' anyone lrkc'));
  await ada.expect('SETACL Work nobody@example.test lr', '$ NO [NONEXISTENT] No such user');
  await ada.expect('SETACL Work ada@example.test lr', '$ NO [CANNOT] The rights of the owner are always all');
  await ada.expect('SETACL Work ada@example.test +lr', '$ NO [CANNOT] The rights of the owner are always all');
  await ada.expect('SETACL Work ada@example.test lrswipkxtea', '$ OK SETACL done');
  await ada.expect('DELETEACL Work ada@example.test', '$ NO [CANNOT] The rights of the owner are always all');
  await ada.expect(`LISTRIGHTS Work ${BOB}`, `* LISTRIGHTS "Work" ${BOB} "" l r s w i p k x t e a c d`, '$ OK LISTRIGHTS done');
  await ada.expect('LISTRIGHTS Work ada@example.test', '* LISTRIGHTS "Work" ada@example.test lrswipkxteacd', '$ OK LISTRIGHTS done');
  await bob.expect(`GETACL ${WORK}`, NOT_ALLOWED);
  await bob.expect(`SETACL ${WORK} ${BOB} lrswipkxtea`, NOT_ALLOWED);
  await ada.run(`SETACL Work ${BOB} la`);
  await bob.expect(`SETACL ${WORK} ${CAROL} lr`, '$ OK SETACL done');
  await bob.expect(
    `GETACL ${WORK}`,
    `* ACL "${WORK}" ada@example.test lrswipkxteacd anyone lrkc ${BOB} la ${CAROL} lr`,
    '$ OK GETACL done',
  );
  await bob.expect(`DELETEACL ${WORK} ada@example.test`, '$ NO [CANNOT] The rights of the owner are always all');
});

test('CAPABILITY, NAMESPACE and LIST show what others share, and no more', async (t) => {
  const { ada, bob } = await neighbours(t);
  const [capabilities] = await bob.run('CAPABILITY');
  for (const name of ['ACL', 'RIGHTS=texk', 'LIST-MYRIGHTS', 'NAMESPACE']) assert.ok(capabilities?.split(' ').includes(name), name);
  await bob.expect('NAMESPACE', '* NAMESPACE (("" "/")) (("user/" "/")) NIL', '$ OK NAMESPACE done');
  await ada.run('CREATE Work/Hidden/Shown');
  await ada.run(`SETACL Work ${BOB} lr`);
  await ada.run(`SETACL Work/Hidden/Shown ${BOB} li`);
  await bob.expect(
    'LIST "" "user/*"',
    '* LIST (\\Noselect \\HasChildren) "/" "user/ada@example.test"',
    `* LIST (\\HasChildren) "/" "${WORK}"`,
    `* LIST (\\Noselect \\HasChildren) "/" "${WORK}/Hidden"`,
    `* LIST (\\HasNoChildren) "/" "${WORK}/Hidden/Shown"`,
    '$ OK LIST done',
  );
  assert.ok((await bob.run('LIST "" "%"')).includes('* LIST (\\Noselect \\HasChildren) "/" "user"'));
  await bob.expect('LIST "user/" "%"', '* LIST (\\Noselect \\HasChildren) "/" "user/ada@example.test"', '$ OK LIST done');
  await bob.expect(
    `LIST "" ${WORK}/* RETURN (MYRIGHTS STATUS (MESSAGES))`,
    `* LIST (\\NonExistent \\HasChildren) "/" "${WORK}/Hidden"`,
    `* LIST (\\HasNoChildren) "/" "${WORK}/Hidden/Shown"`,
    `* MYRIGHTS "${WORK}/Hidden/Shown" li`,
    '$ OK LIST done',
  );
  await ada.expect(
    'LIST "" Private RETURN (MYRIGHTS)',
    '* LIST (\\HasNoChildren) "/" "Private"',
    '* MYRIGHTS "Private" lrswipkxteacd',
    '$ OK LIST done',
  );
  await bob.expect(`SUBSCRIBE ${WORK}`, '$ OK SUBSCRIBE done');
  await bob.expect('LSUB "" "user/*"', `* LSUB () "/" "${WORK}"`, '$ OK LSUB done');
  await bob.expect('LIST (SUBSCRIBED) "" "user/*"', `* LIST (\\HasChildren \\Subscribed) "/" "${WORK}"`, '$ OK LIST done');
  await ada.run(`DELETEACL Work ${BOB}`);
  await bob.expect('LIST (SUBSCRIBED) "" "user/*"', `* LIST (\\NonExistent \\HasChildren \\Subscribed) "/" "${WORK}"`, '$ OK LIST done');
  await bob.expect(`UNSUBSCRIBE ${WORK}`, '$ OK UNSUBSCRIBE done');
});

test('each right allows what RFC 4314 §4 says, and nothing else', async (t) => {
  const { ada, bob } = await neighbours(t);
  const give = async (rights: string): Promise<void> => {
    await bob.run('UNSELECT');
    await ada.expect(`SETACL Work ${BOB} ${rights === '' ? '""' : rights}`, '$ OK SETACL done');
  };
  await give('l');
  await bob.expect(`SELECT ${WORK}`, NOT_ALLOWED);
  await bob.expect(`STATUS ${WORK} (MESSAGES)`, NOT_ALLOWED);
  await bob.expect(`DELETE ${WORK}`, NOT_ALLOWED);
  await bob.expect(`RENAME ${WORK} ${WORK}2`, NOT_ALLOWED);
  assert.deepEqual(await bob.append(WORK, HELLO), [NOT_ALLOWED]);

  await give('lr');
  const selected = await answers(bob, `SELECT ${WORK}`);
  assert.ok(selected.includes('* OK [PERMANENTFLAGS ()] No flags can be changed'), selected.join('\n'));
  assert.equal(selected.at(-1), '$ OK [READ-ONLY] Mailbox selected');
  await bob.expect('STORE 1 +FLAGS (\\Seen)', '$ NO [NOPERM] Mailbox is read-only');
  await bob.expect('FETCH 1 BODY[TEXT]', '* 1 FETCH (BODY[TEXT] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await bob.expect('EXPUNGE', '$ NO [NOPERM] Mailbox is read-only');
  await bob.expect('COPY 1 INBOX', '$ OK [COPYUID V 1 1] Messages copied');

  await give('lrs');
  assert.equal((await answers(bob, `SELECT ${WORK}`)).at(-1), '$ OK [READ-WRITE] Mailbox selected');
  await bob.expect('STORE 1 +FLAGS (\\Seen)', '* 1 FETCH (FLAGS (\\Seen))', '$ OK STORE done');
  await bob.expect('STORE 1 +FLAGS (\\Flagged)', '$ NO [NOPERM] The access control list does not allow to change these flags');
  // Some of it may be done: so it is, and OK (RFC 4314 §4).
  await bob.expect('STORE 1 FLAGS (\\Flagged \\Deleted)', '* 1 FETCH (FLAGS ())', '$ OK STORE done');
  await bob.expect('MOVE 1 INBOX', NOT_ALLOWED);

  await give('lrw');
  const flags = (await answers(bob, `SELECT ${WORK}`)).find((line) => line.includes('PERMANENTFLAGS'));
  assert.equal(flags, '* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft \\*)] Flags that stay');
  await bob.expect(
    'STORE 1 FLAGS (\\Flagged \\Deleted \\Seen new)',
    '* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft new)',
    '* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Draft new \\*)] Flags that stay',
    '* 1 FETCH (FLAGS (\\Flagged new))',
    '$ OK STORE done',
  );
  await bob.expect('STORE 1 +FLAGS (\\Deleted)', '$ NO [NOPERM] The access control list does not allow to change these flags');
  // To take away what is not there is allowed to whoever may take away.
  await bob.expect('STORE 1 -FLAGS (never)', '* 1 FETCH (FLAGS (\\Flagged new))', '$ OK STORE done');

  await give('lrt');
  await bob.run(`SELECT ${WORK}`);
  await bob.expect('STORE 1 -FLAGS (never)', '$ NO [NOPERM] The access control list does not allow to change these flags');
  await bob.run(`SELECT ${WORK}`);
  await bob.expect('STORE 1 +FLAGS (\\Deleted)', '* 1 FETCH (FLAGS (\\Flagged \\Deleted new))', '$ OK STORE done');
  await bob.expect('EXPUNGE', NOT_ALLOWED);
  await bob.expect('UID EXPUNGE 1', NOT_ALLOWED);
  await bob.expect('CLOSE', '$ OK CLOSE done'); // and nothing is expunged
  await ada.expect('STATUS Work (MESSAGES DELETED)', '* STATUS "Work" (MESSAGES 2 DELETED 1)', '$ OK STATUS done');

  await give('lre');
  await bob.run(`SELECT ${WORK}`);
  await bob.expect('EXPUNGE', '* 1 EXPUNGE', '$ OK EXPUNGE done');

  await give('i'); // a drop: nobody sees it, but mail may be put there
  assert.deepEqual((await bob.append(WORK, HELLO, '(\\Seen \\Flagged mine)')).map(withoutUidValidity), [
    '$ OK [APPENDUID V 3] Message stored',
  ]);
  await bob.expect(`SELECT ${WORK}`, NOWHERE);
  await ada.run('SELECT Work');
  await ada.expect('FETCH 2 FLAGS', '* 2 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
  await ada.run('UNSELECT');

  await give('lk');
  assert.match((await bob.run(`CREATE ${WORK}/First`)).at(-1) ?? '', /^\$ OK \[MAILBOXID \(F\d+-[0-9a-f]+\)\] Mailbox created$/);
  await bob.run(`CREATE ${WORK}/New`);
  await bob.expect(`MYRIGHTS ${WORK}/New`, `* MYRIGHTS "${WORK}/New" lkc`, '$ OK MYRIGHTS done'); // as the mailbox above
  await bob.expect(`CREATE user/ada@example.test/Top`, '$ NO [NOPERM] You may not create mailboxes there');
  await bob.expect(`DELETE ${WORK}/New`, NOT_ALLOWED);
  await ada.run(`SETACL Work/New ${BOB} lx`);
  await bob.expect(`RENAME ${WORK}/New ${WORK}/Newer`, '$ OK RENAME done');
  await bob.expect(`RENAME ${WORK}/Newer Mine`, '$ NO [CANNOT] A mailbox stays in its account');
  await bob.expect(`DELETE ${WORK}/Newer`, '$ OK DELETE done');
  await ada.expect('LIST "" Work/*', '* LIST (\\HasNoChildren) "/" "Work/First"', '$ OK LIST done');
});

test('a right that is taken away in the middle of a session is gone for the next command', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrswite`);
  await bob.run(`SELECT ${WORK}`);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await bob.expect('STORE 1 +FLAGS (\\Deleted)', '$ NO [NOPERM] The access control list does not allow to change these flags');
  await bob.expect('EXPUNGE', NOT_ALLOWED);
  await bob.expect('UID MOVE 1 INBOX', NOT_ALLOWED);
  assert.deepEqual(await bob.append(WORK, HELLO), [NOT_ALLOWED]);
  await bob.expect('FETCH 1 UID', '* 1 FETCH (UID 1)', '$ OK FETCH done');
  await ada.run(`SETACL Work ${BOB} ls`);
  // Who may not read it cannot have it selected.
  assert.match((await bob.response()) ?? '', /^\* BYE /);
  assert.ok(await bob.isClosed());
});

test("\\Seen is each user's own: FETCH, STORE, SEARCH, STATUS, UNSEEN, and what others are told", async (t) => {
  const { house, ada, bob, login } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrswit`);
  await ada.run(`SETACL Work ${CAROL} lrs`);
  const carol = await login(CAROL);
  await ada.run('SELECT Work');
  await bob.run('ENABLE CONDSTORE');
  const opened = await answers(bob, `SELECT ${WORK}`);
  assert.ok(opened.includes('* OK [UNSEEN 1] First unseen message'), opened.join('\n'));
  assert.ok(opened.includes('* 0 RECENT'));
  await carol.run(`SELECT ${WORK}`);
  await bob.expect(`SEARCH UNSEEN`, '* SEARCH 1 2', '$ OK SEARCH done');
  await ada.expect(`SEARCH UNSEEN`, '* SEARCH 1', '$ OK SEARCH done');
  const stored = await answers(bob, 'STORE 2 +FLAGS (\\Seen)');
  const modSeq = Number(/MODSEQ \((\d+)\)/.exec(stored[0] ?? '')?.[1]);
  assert.deepEqual(stored, [`* 2 FETCH (FLAGS (\\Seen) MODSEQ (${modSeq}))`, '$ OK STORE done']);
  await bob.expect(`STATUS ${WORK} (UNSEEN HIGHESTMODSEQ)`, `* STATUS "${WORK}" (UNSEEN 1 HIGHESTMODSEQ ${modSeq})`, '$ OK STATUS done');
  await carol.expect(`STATUS ${WORK} (UNSEEN)`, `* STATUS "${WORK}" (UNSEEN 2)`, '$ OK STATUS done');
  // Numbers of others do not move, nor are they told anything.
  await ada.expect('STATUS Work (UNSEEN)', '* STATUS "Work" (UNSEEN 1)', '$ OK STATUS done');
  await ada.expect('NOOP', '$ OK NOOP done');
  await carol.expect('NOOP', '$ OK NOOP done');
  assert.ok(((await house.access()).mail.byName('Work')?.highestModSeq ?? modSeq) < modSeq);
  await bob.expect('FETCH 1:* (FLAGS)', '* 1 FETCH (FLAGS ())', '* 2 FETCH (FLAGS (\\Seen))', '$ OK FETCH done');
  await bob.expect('SEARCH SEEN MODSEQ 1', `* SEARCH 2 (MODSEQ ${modSeq})`, '$ OK SEARCH done');
  await bob.expect(`FETCH 1:* (UID) (CHANGEDSINCE ${modSeq - 1})`, `* 2 FETCH (UID 2 MODSEQ (${modSeq}))`, '$ OK FETCH done');
  // A store that came too late, against the mark as against the message.
  await bob.expect(`STORE 2 (UNCHANGEDSINCE ${modSeq - 1}) +FLAGS (\\Flagged)`, '$ OK [MODIFIED 2] Some messages were changed meanwhile');
  // Another session of Bob's is told.
  const other = await login(BOB);
  await other.run(`SELECT ${WORK}`);
  await other.expect('STORE 2 -FLAGS.SILENT (\\Seen)', '$ OK STORE done');
  assert.match((await answers(bob, 'NOOP'))[0] ?? '', /^\* 2 FETCH \(UID 2 FLAGS \(\) MODSEQ \(\d+\)\)$/);
  // A FETCH that shows the text marks it, for Bob only.
  assert.ok((await answers(bob, 'FETCH 1 BODY[TEXT]'))[0]?.includes('FLAGS (\\Seen)'));
  await other.expect('NOOP', '* 1 FETCH (FLAGS (\\Seen))', '$ OK NOOP done');
  await carol.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS ())', '$ OK FETCH done');
  // A flag of the message is everybody's, and each is shown his own \Seen with it.
  await bob.run('STORE 1 +FLAGS (\\Flagged)');
  await other.expect('NOOP', '* 1 FETCH (FLAGS (\\Seen \\Flagged))', '$ OK NOOP done');
  await carol.expect('NOOP', '* 1 FETCH (FLAGS (\\Flagged))', '$ OK NOOP done');
  await ada.expect('NOOP', '* 1 FETCH (FLAGS (\\Recent \\Flagged))', '$ OK NOOP done');
  // A message that goes is still shown as it was to each, until he is told.
  await ada.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await ada.run('EXPUNGE');
  await bob.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Seen \\Flagged \\Deleted))', '$ OK FETCH done');
  await carol.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Flagged \\Deleted))', '$ OK FETCH done');
  await bob.expect('NOOP', '* 1 EXPUNGE', '$ OK NOOP done');
  await bob.expect(`STATUS ${WORK} (MESSAGES UNSEEN)`, `* STATUS "${WORK}" (MESSAGES 1 UNSEEN 1)`, '$ OK STATUS done');
});

test("\\Seen is everybody's where the mailbox says so", async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrsw`);
  await bob.expect(`SETMETADATA ${WORK} (/shared/vendor/pochard/sharedseen "true")`, NOT_ALLOWED);
  await ada.expect('SETMETADATA Work (/shared/vendor/pochard/sharedseen "true")', '$ OK SETMETADATA done');
  await bob.run(`SELECT ${WORK}`);
  await ada.run('SELECT Work');
  await bob.expect('SEARCH UNSEEN', '* SEARCH 1', '$ OK SEARCH done');
  await bob.expect('STORE 1 +FLAGS (\\Seen)', '* 1 FETCH (FLAGS (\\Seen))', '$ OK STORE done');
  await ada.expect('NOOP', '* 1 FETCH (FLAGS (\\Recent \\Seen))', '$ OK NOOP done');
  await bob.expect(`STATUS ${WORK} (UNSEEN)`, `* STATUS "${WORK}" (UNSEEN 0)`, '$ OK STATUS done');
});

test('IDLE tells a guest of new messages, flags and expunges; QRESYNC brings him up to date', async (t) => {
  const { ada, bob, login } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await bob.run('ENABLE QRESYNC');
  const selected = await answers(bob, `SELECT ${WORK}`);
  const since = Number(/HIGHESTMODSEQ (\d+)/.exec(selected.join())?.[1]);
  const uidValidity = /UIDVALIDITY (\d+)/.exec((await bob.run(`STATUS ${WORK} (UIDVALIDITY)`)).join())?.[1];
  bob.send('i IDLE\r\n');
  await bob.until('+');
  await ada.append('Work', HELLO);
  await bob.hears('* 3 EXISTS');
  const again = await login(BOB);
  await again.run(`SELECT ${WORK}`);
  await again.run('STORE 2 +FLAGS (\\Seen)');
  assert.match((await bob.response()) ?? '', /^\* 2 FETCH \(UID 2 FLAGS \(\\Seen\) MODSEQ \(\d+\)\)$/);
  await ada.run('SELECT Work');
  await ada.run('STORE 1 +FLAGS (\\Deleted)');
  assert.match((await bob.response()) ?? '', /^\* 1 FETCH \(UID 1 FLAGS \(\\Deleted\) MODSEQ/);
  await ada.run('EXPUNGE');
  await bob.hears('* VANISHED 1');
  bob.send('DONE\r\n');
  await bob.until('i OK');
  const late = await login(BOB);
  await late.run('ENABLE QRESYNC');
  const resynchronised = await answers(late, `SELECT ${WORK} (QRESYNC (${uidValidity} ${since}))`);
  assert.ok(resynchronised.includes('* VANISHED (EARLIER) 1'), resynchronised.join('\n'));
  assert.ok(
    resynchronised.some((line) => /^\* 1 FETCH \(UID 2 FLAGS \(\\Seen\) MODSEQ/.test(line)),
    resynchronised.join('\n'),
  );
  assert.ok(
    resynchronised.some((line) => /^\* 2 FETCH \(UID 3 FLAGS \(\) MODSEQ/.test(line)),
    resynchronised.join('\n'),
  );
});

test("COPY and MOVE between accounts; the quota is the owner's", async (t) => {
  const { ada, bob, house } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrswite`);
  await bob.append('INBOX', HELLO, '(\\Flagged \\Seen kept)');
  await bob.append('INBOX', mail('Subject: second\n\nText\n'));
  await bob.run('SELECT INBOX');
  await bob.expect(`COPY 1:2 ${WORK}`, '$ OK [COPYUID V 1:2 3:4] Messages copied');
  await bob.expect(`UID MOVE 2 ${WORK}`, '* OK [COPYUID V 2 5] Messages moved', '* 2 EXPUNGE', '$ OK MOVE done');
  await bob.run(`SELECT ${WORK}`);
  await bob.expect(
    'FETCH 3:5 (UID FLAGS)',
    '* 3 FETCH (UID 3 FLAGS (\\Seen \\Flagged kept))',
    '* 4 FETCH (UID 4 FLAGS ())',
    '* 5 FETCH (UID 5 FLAGS ())',
    '$ OK FETCH done',
  );
  await ada.run('SELECT Work');
  await ada.expect('FETCH 3 FLAGS', '* 3 FETCH (FLAGS (\\Recent \\Flagged kept))', '$ OK FETCH done');
  await bob.expect('UID MOVE 3:4 INBOX', '* OK [COPYUID V 3:4 3:4] Messages moved', '* 4 EXPUNGE', '* 3 EXPUNGE', '$ OK MOVE done');
  await ada.expect('NOOP', '* 4 EXPUNGE', '* 3 EXPUNGE', '$ OK NOOP done');
  await bob.run('SELECT INBOX');
  await bob.expect(
    'FETCH 2 (FLAGS BODY.PEEK[TEXT])',
    '* 2 FETCH (FLAGS (\\Recent \\Seen \\Flagged kept) BODY[TEXT] {8}\r\nHi Ada\r\n)',
    '$ OK FETCH done',
  );
  const ada2 = await house.access();
  assert.equal([...ada2.mail.notes('transfer/')].length + [...ada2.mail.notes('arrived/')].length, 0);
  assert.deepEqual(await house.store.records.list('transfer', { limit: 10 }), []);
  const big = mail(`Subject: big\n\n${'x'.repeat(60_000)}\n`);
  await bob.append('INBOX', big);
  assert.match((await answers(bob, `COPY * ${WORK}`)).at(-1) ?? '', /^\$ OK/);
  await bob.expect(`COPY * ${WORK}`, '$ NO [OVERQUOTA] Quota exceeded');
  await bob.expect(`MOVE * ${WORK}`, '$ NO [OVERQUOTA] Quota exceeded');
  await bob.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 4)', '$ OK STATUS done');
  assert.deepEqual(await house.store.records.list('transfer', { limit: 10 }), []);
  await bob.expect(
    `GETQUOTAROOT ${WORK}`,
    `* QUOTAROOT "${WORK}" "user/ada@example.test"`,
    `* QUOTA "user/ada@example.test" (STORAGE ${Math.ceil(ada2.mail.usage.octets / 1024)} 97)`,
    '$ OK GETQUOTAROOT done',
  );
});

test('ids across accounts differ, and annotations of a guest are his own', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lr`);
  await bob.run(`SELECT ${WORK}`);
  await ada.run('SELECT Work');
  const [his] = await bob.run('FETCH 1 EMAILID');
  const [hers] = await ada.run('FETCH 1 EMAILID');
  assert.notEqual(his, hers);
  const id = /EMAILID \(([^)]+)\)/.exec(his ?? '')?.[1] ?? '';
  await bob.expect(`SEARCH EMAILID ${id}`, '* SEARCH 1', '$ OK SEARCH done');
  await bob.expect(`SEARCH EMAILID ${/\((M\d+)/.exec(hers ?? '')?.[1]}`, '* SEARCH', '$ OK SEARCH done');
  await bob.expect(`SETMETADATA ${WORK} (/private/comment "bob's")`, '$ OK SETMETADATA done');
  await bob.expect(`SETMETADATA ${WORK} (/shared/comment "all")`, NOT_ALLOWED);
  await ada.expect('SETMETADATA Work (/shared/comment "all" /private/comment "hers")', '$ OK SETMETADATA done');
  await bob.expect(
    `GETMETADATA ${WORK} (/private/comment /shared/comment)`,
    `* METADATA "${WORK}" (/private/comment "bob's" /shared/comment "all")`,
    '$ OK GETMETADATA done',
  );
  await ada.expect('GETMETADATA Work /private/comment', '* METADATA "Work" (/private/comment "hers")', '$ OK GETMETADATA done');
});

test('a mailbox or an account that goes takes its guests with it, and a name given again brings no rights', async (t) => {
  const { house, ada, bob, login } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await ada.run(`SETACL Private ${BOB} lrs`);
  await bob.run(`SELECT ${WORK}`);
  await ada.run('DELETE Work');
  assert.match((await bob.response()) ?? '', /^\* BYE /);
  await ada.run('CREATE Work');
  const again = await login(BOB);
  await again.expect(`SELECT ${WORK}`, NOWHERE);
  const bobs = await house.services.accounts.find(BOB);
  assert.ok(bobs);
  await house.services.accounts.delete(bobs.id);
  await house.services.accounts.create({ username: BOB, passwordHash: '{PLAIN}secret' });
  const another = await login(BOB);
  await another.expect('SELECT user/ada@example.test/Private', NOWHERE);
  await another.expect('LIST "" "user/*"', '$ OK LIST done');
  await ada.run(`SETACL Private ${BOB} lr`);
  await another.run('SELECT user/ada@example.test/Private');
  await house.services.accounts.delete(house.account.id);
  assert.match((await another.response()) ?? '', /^\* BYE /);
  const last = await login(BOB);
  await last.expect('SELECT user/ada@example.test/Private', NOWHERE);
});

test('NOTIFY tells of mailboxes of others that a filter names, as far as the rights go', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await ada.run('CREATE Work/Sub');
  await ada.run('CREATE Hidden');
  await ada.run(`SETACL Hidden ${BOB} l`);
  const counted = '(MessageNew MessageExpunge FlagChange MailboxName)';
  const status = async (): Promise<string> =>
    ((await bob.response()) ?? '').replace(/UIDVALIDITY \d+/, 'UIDVALIDITY V').replace(/HIGHESTMODSEQ \d+/, 'HIGHESTMODSEQ H');
  const begun = await answers(bob, `NOTIFY SET STATUS (subtree user/ada@example.test ${counted}) (personal NONE)`);
  assert.deepEqual(
    begun.map((line) => line.replace(/UIDVALIDITY \d+/, 'UIDVALIDITY V').replace(/HIGHESTMODSEQ \d+/, 'HIGHESTMODSEQ H')),
    [
      `* STATUS "${WORK}" (MESSAGES 2 UIDNEXT 3 UIDVALIDITY V UNSEEN 2 HIGHESTMODSEQ H)`,
      `* STATUS "${WORK}/Sub" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY V UNSEEN 0 HIGHESTMODSEQ H)`,
      '$ OK NOTIFY done',
    ],
  );

  // What he may not read, or not even look up, is not told of; what follows is the next that he hears.
  await ada.append('Private', HELLO);
  await ada.append('Hidden', HELLO);
  await ada.run('CREATE Secret');
  await ada.append('Work', HELLO);
  assert.equal(await status(), `* STATUS "${WORK}" (MESSAGES 3 UIDNEXT 4 UIDVALIDITY V UNSEEN 3 HIGHESTMODSEQ H)`);
  await ada.run('SELECT Work');
  await ada.run('STORE 1 +FLAGS (\\Flagged)');
  assert.equal(await status(), `* STATUS "${WORK}" (UIDVALIDITY V UNSEEN 3 HIGHESTMODSEQ H)`);

  // The tree, as he may see it: what is made, what is shared, what is taken away.
  await ada.run('CREATE Work/New');
  await bob.hears(`* LIST (\\HasNoChildren) "/" "${WORK}/New"`);
  await ada.run('RENAME Work/New Work/Newer');
  await bob.hears(`* LIST (\\HasNoChildren) "/" "${WORK}/Newer" ("OLDNAME" ("${WORK}/New"))`);
  await ada.run(`SETACL Private ${BOB} lr`);
  await bob.hears('* LIST (\\HasNoChildren) "/" "user/ada@example.test/Private"');
  await ada.append('Private', HELLO);
  assert.match((await bob.response()) ?? '', /^\* STATUS "user\/ada@example\.test\/Private" \(MESSAGES 3 UIDNEXT 4 /);
  await ada.run(`DELETEACL Private ${BOB}`);
  await bob.hears('* LIST (\\NonExistent) "/" "user/ada@example.test/Private"');
  await ada.append('Private', HELLO);
  await bob.expect('NOTIFY NONE', '$ OK NOTIFY done');
  await ada.append('Work', HELLO);
  await bob.expect('NOOP', '$ OK NOOP done');
});

test("NOTIFY of `subscribed` reaches others' mailboxes, of `personal` and `inboxes` it does not; one's own \\Seen counts", async (t) => {
  const { ada, bob, login } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await ada.run(`SETACL INBOX ${BOB} lrs`);
  await bob.run(`SUBSCRIBE ${WORK}`);
  const messages = '(MessageNew MessageExpunge FlagChange)';
  await bob.expect(`NOTIFY SET (personal ${messages}) (inboxes ${messages}) (subscribed ${messages})`, '$ OK NOTIFY done');
  await ada.append('INBOX', HELLO);
  await ada.append('Work', HELLO);
  assert.match((await bob.response()) ?? '', /^\* STATUS "user\/ada@example\.test\/Work" \(MESSAGES 3 UIDNEXT 4 UIDVALIDITY \d+ UNSEEN 3 /);
  // His other session reads a message.
  const again = await login(BOB);
  await again.run(`SELECT ${WORK}`);
  await again.run('STORE 1 +FLAGS (\\Seen)');
  assert.match((await bob.response()) ?? '', /^\* STATUS "user\/ada@example\.test\/Work" \(UIDVALIDITY \d+ UNSEEN 2 /);
});

test('ESEARCH IN (subscribed) looks into subscribed mailboxes of others that may be read', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  await ada.run(`SETACL Private ${BOB} lr`);
  await bob.run(`SUBSCRIBE ${WORK}`);
  await bob.run('SUBSCRIBE user/ada@example.test/Private');
  await bob.append('INBOX', HELLO);
  await ada.run(`SETACL Private ${BOB} l`);
  assert.deepEqual(
    (await bob.run('ESEARCH IN (subscribed) SUBJECT hello')).map((line) => line.replace(/UIDVALIDITY \d+/, 'UIDVALIDITY V')),
    [
      '* ESEARCH (TAG "$" MAILBOX INBOX UIDVALIDITY V) UID ALL 1',
      `* ESEARCH (TAG "$" MAILBOX "${WORK}" UIDVALIDITY V) UID ALL 1:2`,
      '$ OK ESEARCH done',
    ],
  );
  await bob.run(`UNSUBSCRIBE ${WORK}`);
  assert.equal((await bob.run('ESEARCH IN (subscribed) SUBJECT hello')).length, 2);
});

test('THREADID of a message without any Message ID names the account of others, and SEARCH takes it', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrs`);
  const threads = async (client: WireClient): Promise<string | undefined> =>
    / THREADID \(([^)]+)\)/.exec((await client.run('FETCH 1 (UID THREADID)'))[0] ?? '')?.[1];
  await ada.run('SELECT Work');
  await bob.run(`SELECT ${WORK}`);
  const own = await threads(ada);
  const theirs = await threads(bob);
  assert.match(own ?? '', /^TM\d+$/);
  assert.ok(theirs?.startsWith(`${own}-`), theirs);
  await bob.expect(`SEARCH THREADID ${theirs}`, '* SEARCH 1', '$ OK SEARCH done');
  await bob.expect(`SEARCH THREADID ${own}`, '* SEARCH', '$ OK SEARCH done');
});

test('REPLACE into a mailbox of another account, and out of one', async (t) => {
  const { ada, bob } = await neighbours(t);
  await ada.run(`SETACL Work ${BOB} lrsi`);
  await bob.append('INBOX', HELLO);
  await bob.run('SELECT INBOX');
  const literal = `{${HELLO.length}+}\r\n${HELLO}`;
  assert.deepEqual(await answers(bob, `REPLACE 1 ${WORK} ${literal}`), [
    '* OK [APPENDUID V 3] Message stored',
    '* 1 EXPUNGE',
    '$ OK REPLACE done',
  ]);
  await ada.expect('STATUS Work (MESSAGES)', '* STATUS "Work" (MESSAGES 3)', '$ OK STATUS done');
  await bob.run(`SELECT ${WORK}`);
  assert.deepEqual(await answers(bob, `REPLACE 1 INBOX ${literal}`), [NOT_ALLOWED]);
  await ada.run(`SETACL Work ${BOB} +te`);
  assert.deepEqual(await answers(bob, `UID REPLACE 1 INBOX ${literal}`), [
    '* OK [APPENDUID V 2] Message stored',
    '* 1 EXPUNGE',
    '$ OK REPLACE done',
  ]);
  await bob.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 1)', '$ OK STATUS done');
  assert.deepEqual(await answers(bob, `REPLACE 1 user/ada@example.test/Private ${literal}`), ['$ NO [TRYCREATE] No such mailbox']);
});
