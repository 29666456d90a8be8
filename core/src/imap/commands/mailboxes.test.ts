import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('commands on the tree with broken arguments are BAD', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100, imapBadCommandsBeforeLogin: 100 } });
  const stranger = await house.connect();
  const client = await house.login();
  for (const name of ['CREATE', 'DELETE', 'SUBSCRIBE', 'UNSUBSCRIBE', 'RENAME', 'STATUS', 'LIST', 'LSUB']) {
    await stranger.expect(`${name} a b`, '$ BAD Log in first');
    await client.expect(name, '$ BAD Argument missing');
  }
  await client.expect('RENAME a', '$ BAD Argument missing');
  await client.expect('STATUS INBOX', '$ BAD Argument missing');
  await client.expect('STATUS INBOX ()', '$ BAD Empty list');
  await client.expect('STATUS INBOX (NONSENSE)', '$ BAD Unknown STATUS item');
  await client.expect('CREATE "a\x01b"', '$ BAD Wrong character in a mailbox name');
  await client.expect('CREATE a (USE (\\Nonsense))', '$ NO [USEATTR] Special use is not known');
  await client.expect('LIST "" (a', '$ BAD Space or closing parenthesis expected');
});

test('CREATE makes missing superiors, and refuses what is there or cannot be', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('CREATE Work/Projects/', '$ OK [MAILBOXID (F5)] Mailbox created');
  await client.expect(
    'LIST "" Work*',
    '* LIST (\\HasChildren) "/" "Work"',
    '* LIST (\\HasNoChildren) "/" "Work/Projects"',
    '$ OK LIST done',
  );
  assert.match((await client.run('CREATE Work')).at(-1) ?? '', /^\$ NO \[ALREADYEXISTS\] /);
  assert.match((await client.run('CREATE inbox')).at(-1) ?? '', /^\$ NO \[ALREADYEXISTS\] /);
  for (const name of ['""', '/', 'a//b', '"/a"'])
    assert.match((await client.run(`CREATE ${name}`)).at(-1) ?? '', /^\$ NO \[CANNOT\] /, name);
  await client.expectEnd('CREATE Trash (USE (\\Trash))', '$ OK [MAILBOXID (F6)] Mailbox created');
  await client.expect(
    'LIST (SPECIAL-USE) "" *',
    '* LIST (\\HasNoChildren \\Drafts) "/" "Drafts"',
    '* LIST (\\HasNoChildren \\Sent) "/" "Sent"',
    '* LIST (\\HasNoChildren \\Trash) "/" "Trash"',
    '$ OK LIST done',
  );
});

test('names are modified UTF-7 until UTF8=ACCEPT', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expectEnd('CREATE "Entw&APw-rfe"', '$ OK [MAILBOXID (F4)] Mailbox created');
  await client.expect('LIST "" E*', '* LIST (\\HasNoChildren) "/" "Entw&APw-rfe"', '$ OK LIST done');
  await client.run('ENABLE UTF8=ACCEPT');
  await client.expect('LIST "" E*', '* LIST (\\HasNoChildren) "/" "Entw\xc3\xbcrfe"', '$ OK LIST done');
  await client.expect('STATUS "Entw\xc3\xbcrfe" (MESSAGES)', '* STATUS "Entw\xc3\xbcrfe" (MESSAGES 0)', '$ OK STATUS done');
});

test('LIST: the delimiter, references, wildcards, selection and return options', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.run('CREATE a/b/c');
  await client.run('SUBSCRIBE a/b/c');
  await client.expect('LIST "" ""', '* LIST (\\Noselect) "/" ""', '$ OK LIST done');
  await client.expect('LIST "" a%', '* LIST (\\HasChildren) "/" "a"', '$ OK LIST done');
  await client.expect('LIST "a/" %', '* LIST (\\HasChildren) "/" "a/b"', '$ OK LIST done');
  await client.expect('LIST a/ *c', '* LIST (\\HasNoChildren) "/" "a/b/c"', '$ OK LIST done');
  await client.expect('LIST "" inbox', '* LIST (\\HasNoChildren) "/" INBOX', '$ OK LIST done');
  await client.expect('LIST "" (INBOX "a/b")', '* LIST (\\HasNoChildren) "/" INBOX', '* LIST (\\HasChildren) "/" "a/b"', '$ OK LIST done');
  await client.expect('LIST (SUBSCRIBED) "" a/%/%', '* LIST (\\HasNoChildren \\Subscribed) "/" "a/b/c"', '$ OK LIST done');
  await client.expect(
    'LIST (SUBSCRIBED RECURSIVEMATCH) "" a',
    '* LIST (\\HasChildren) "/" "a" ("CHILDINFO" ("SUBSCRIBED"))',
    '$ OK LIST done',
  );
  await client.run('CREATE x/y/z (USE (\\Junk))');
  await client.expect(
    'LIST (SPECIAL-USE RECURSIVEMATCH) "" x',
    '* LIST (\\HasChildren) "/" "x" ("CHILDINFO" ("SPECIAL-USE"))',
    '$ OK LIST done',
  );
  await client.expect('LIST "" a/b/* RETURN (SUBSCRIBED CHILDREN)', '* LIST (\\HasNoChildren \\Subscribed) "/" "a/b/c"', '$ OK LIST done');
  await client.expect(
    'LIST "" a RETURN (STATUS (MESSAGES UNSEEN))',
    '* LIST (\\HasChildren) "/" "a"',
    '* STATUS "a" (MESSAGES 0 UNSEEN 0)',
    '$ OK LIST done',
  );
});

test('LSUB lists subscriptions, and superiors in their place', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.run('CREATE x/y');
  await client.expect('SUBSCRIBE x/y', '$ OK SUBSCRIBE done');
  await client.expect('LSUB "" x*', '* LSUB () "/" "x/y"', '$ OK LSUB done');
  await client.expect('LSUB "" x%', '* LSUB (\\Noselect) "/" "x"', '$ OK LSUB done');
  await client.expect('UNSUBSCRIBE x/y', '$ OK UNSUBSCRIBE done');
  await client.expect('LSUB "" x*', '$ OK LSUB done');
  await client.expect('LSUB "" ""', '* LSUB (\\Noselect) "/" ""', '$ OK LSUB done');
});

test('DELETE: leaves, superiors, INBOX, and the mailbox that is selected', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.run('CREATE a/b');
  await client.append('a', HELLO);
  await client.expect('DELETE a', '$ OK DELETE done');
  await client.expect('LIST "" a*', '* LIST (\\Noselect \\HasChildren) "/" "a"', '* LIST (\\HasNoChildren) "/" "a/b"', '$ OK LIST done');
  await client.expect('SELECT a', '$ NO [NONEXISTENT] This name holds no messages');
  assert.match((await client.run('DELETE a')).at(-1) ?? '', /^\$ NO \[HASCHILDREN\] /);
  assert.match((await client.run('DELETE inbox')).at(-1) ?? '', /^\$ NO \[/);
  assert.match((await client.run('DELETE nowhere')).at(-1) ?? '', /^\$ NO \[NONEXISTENT\] /);
  await client.run('SELECT a/b');
  const other = await house.select('a/b');
  await client.expect('DELETE a/b', '* OK [CLOSED] The selected mailbox was deleted', '$ OK DELETE done');
  await client.expect('CHECK', '$ BAD No mailbox selected');
  await other.hears('* BYE [UNAVAILABLE] The selected mailbox was deleted');
  assert(await other.isClosed());
});

test('RENAME moves the whole subtree with its messages and subscriptions; sessions in it go on', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.run('CREATE old/sub/leaf');
  await client.run('SUBSCRIBE old/sub/leaf');
  await client.append('old/sub/leaf', HELLO);
  const other = await house.select('old/sub/leaf');
  await client.expect('RENAME old new/place', '$ OK RENAME done');
  await client.expect(
    'LIST "" *sub*',
    '* LIST (\\HasChildren) "/" "new/place/sub"',
    '* LIST (\\HasNoChildren) "/" "new/place/sub/leaf"',
    '$ OK LIST done',
  );
  await client.expect('LSUB "" *leaf', '* LSUB () "/" "new/place/sub/leaf"', '$ OK LSUB done');
  await other.expect('FETCH 1 UID', '* 1 FETCH (UID 1)', '$ OK FETCH done');
  await client.append('new/place/sub/leaf', HELLO);
  assert.deepEqual(await other.run('NOOP'), ['* 2 EXISTS', '* 2 RECENT', '$ OK NOOP done']);
  assert.match((await client.run('RENAME new/place new/place/sub/x')).at(-1) ?? '', /^\$ NO \[/);
  assert.match((await client.run('RENAME new INBOX')).at(-1) ?? '', /^\$ NO \[ALREADYEXISTS\] /);
  assert.match((await client.run('RENAME nowhere b')).at(-1) ?? '', /^\$ NO \[NONEXISTENT\] /);
});

test('RENAME INBOX moves its messages and leaves it empty', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  await client.expect('RENAME INBOX kept', '* 1 EXPUNGE', '$ OK RENAME done');
  await client.expect('STATUS kept (MESSAGES)', '* STATUS "kept" (MESSAGES 1)', '$ OK STATUS done');
  await client.expect('STATUS INBOX (MESSAGES UIDNEXT)', '* STATUS INBOX (MESSAGES 0 UIDNEXT 2)', '$ OK STATUS done');
});

test('STATUS: every item, from counters', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.append('Sent', HELLO, '(\\Seen)');
  await client.append('Sent', HELLO, '(\\Deleted)');
  await client.expect(
    'STATUS Sent (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED DELETED-STORAGE SIZE HIGHESTMODSEQ MAILBOXID APPENDLIMIT)',
    '* STATUS "Sent" (MESSAGES 2 RECENT 2 UIDNEXT 3 UIDVALIDITY V UNSEEN 1 DELETED 1 DELETED-STORAGE 115 SIZE 230 HIGHESTMODSEQ 3 MAILBOXID (F3) APPENDLIMIT 52428800)',
    '$ OK STATUS done',
  );
  await client.expect('STATUS nowhere (MESSAGES)', '$ NO [NONEXISTENT] No such mailbox');
});

test('NAMESPACE, and names that try to get out', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('NAMESPACE', '* NAMESPACE (("" "/")) (("user/" "/")) NIL', '$ OK NAMESPACE done');
  for (const name of ['../../etc/passwd', '__proto__', 'constructor', '..']) {
    const created = (await client.run(`CREATE "${name}"`)).at(-1) ?? '';
    assert.match(created, /^\$ (OK|NO) /, name);
    if (created.startsWith('$ OK'))
      await client.expect(`STATUS "${name}" (MESSAGES)`, `* STATUS "${name}" (MESSAGES 0)`, '$ OK STATUS done');
  }
  await client.expectEnd('SELECT __proto__x', '$ NO [NONEXISTENT] No such mailbox');
});

test('a mailbox may be \\Important, and a message $Important (RFC 8457)', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.expectEnd('CREATE Urgent (USE (\\important))', '$ OK [MAILBOXID (F4)] Mailbox created');
  await client.expect('LIST (SPECIAL-USE) "" U*', '* LIST (\\HasNoChildren \\Important) "/" "Urgent"', '$ OK LIST done');
  await client.append('INBOX', HELLO, '($Important)');
  await client.expect('SEARCH KEYWORD $important', '* SEARCH 1', '$ OK SEARCH done');
});
