import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse, mail } from '../imap-house.fixture.ts';
import { withoutUidValidity } from '../wire-client.fixture.ts';

test('APPEND with broken arguments is BAD before the message is asked for', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  const client = await house.login();
  await client.expect('APPEND', '$ BAD Argument missing');
  await client.expect('APPEND INBOX', '$ BAD Space expected');
  await client.expect('APPEND INBOX text', '$ BAD Literal expected');
  assert.match((await client.append('INBOX', HELLO, '(\\Seen')).at(-1) ?? '', /^\$ BAD /);
  assert.match((await client.append('INBOX', HELLO, '"32-Foo-2024 00:00:00 +0000"')).at(-1) ?? '', /^\$ BAD /);
  await client.expect('NOOP', '$ OK NOOP done');
});

test('APPEND before login is BAD, its literal read and dropped', async (t) => {
  const client = await (await imapHouse(t)).connect();
  assert.deepEqual(await client.append('INBOX', HELLO), ['$ BAD Log in first']);
  client.send('x APPEND INBOX {200000}\r\n');
  await client.hears('x BAD [TOOBIG] Literal too large');
});

test('a message for a mailbox that is not there is refused before it is sent', async (t) => {
  const client = await (await imapHouse(t)).login();
  assert.deepEqual(await client.append('nowhere', HELLO), ['$ NO [TRYCREATE] No such mailbox']);
  await client.expect('NOOP', '$ OK NOOP done');
});

test('a refused non-synchronising message is read and dropped, and the session goes on', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect(`APPEND nowhere {${HELLO.length}+}\r\n${HELLO}`, '$ NO [TRYCREATE] No such mailbox');
  await client.expect(`APPEND INBOX {5000+}\r\n${'x'.repeat(5000)}`, '$ BAD [TOOBIG] Literal too large');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('too large and over quota are told before the message is sent', async (t) => {
  const house = await imapHouse(t, { limits: { messageOctets: 64 * 1024 }, quotaOctets: 10_000 });
  const client = await house.login();
  assert.match((await client.append('INBOX', 'x'.repeat(70_000))).join(), /^\$ NO \[TOOBIG\] /);
  assert.match((await client.append('INBOX', 'x'.repeat(20_000))).join(), /^\$ NO \[OVERQUOTA\] /);
  await client.expect('GETQUOTA ""', '* QUOTA "" (STORAGE 0 9)', '$ OK GETQUOTA done');
  assert.match((await client.append('INBOX', HELLO)).at(-1) ?? '', /^\$ OK \[APPENDUID /);
  await client.expect('GETQUOTAROOT INBOX', '* QUOTAROOT INBOX ""', '* QUOTA "" (STORAGE 1 9)', '$ OK GETQUOTAROOT done');
});

test('APPEND keeps octets, flags and date, and tells the UID', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const responses = await client.append('INBOX', HELLO, '(\\Seen $Work) "01-Feb-2024 03:04:05 +0530"');
  assert.deepEqual(responses.map(withoutUidValidity).slice(-3), ['* 1 EXISTS', '* 1 RECENT', '$ OK [APPENDUID V 1] Message stored']);
  await client.expect(
    'FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])',
    `* 1 FETCH (FLAGS (\\Recent \\Seen $Work) INTERNALDATE "31-Jan-2024 21:34:05 +0000" BODY[] {115}\r\n${HELLO})`,
    '$ OK FETCH done',
  );
});

test('bare LF becomes CRLF, once, and the size is that of the result', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', 'Subject: x\n\na\nb\n');
  await client.expect(
    'FETCH 1 (RFC822.SIZE BODY.PEEK[])',
    '* 1 FETCH (RFC822.SIZE 20 BODY[] {20}\r\nSubject: x\r\n\r\na\r\nb\r\n)',
    '$ OK FETCH done',
  );
});

test('a message beyond what memory holds is streamed and comes back whole', async (t) => {
  const client = await (await imapHouse(t)).select();
  const big = mail(`Subject: big\n\n${'line of text\n'.repeat(60_000)}`);
  assert.match((await client.append('INBOX', big)).at(-1) ?? '', /^\$ OK \[APPENDUID \d+ 1\]/);
  await client.expect('FETCH 1 BODY.PEEK[]', `* 1 FETCH (BODY[] {${big.length}}\r\n${big})`, '$ OK FETCH done');
});

test('each message of a MULTIAPPEND is judged when it is announced', async (t) => {
  const client = await (await imapHouse(t)).login();
  const one = `{${HELLO.length}+}\r\n${HELLO}`;
  for (const more of [' (\\Seen {5}', '{5}', ' "no date" {5}', ` ${one} UTF8 (~{5}`])
    assert.match((await client.run(`APPEND INBOX ${one}${more}`)).at(-1) ?? '', /^\$ BAD /, more);
  assert.deepEqual(
    (await client.run(`APPEND INBOX ${one} (\\Flagged) "17-Nov-2026 10:22:31 +0100" ${one} CATENATE (TEXT ${one} TEXT ${one}) ${one}`)).map(
      withoutUidValidity,
    ),
    ['$ OK [APPENDUID V 1:4] Message stored'],
  );
  await client.run('SELECT INBOX');
  await client.expect(
    'FETCH 1:* (FLAGS RFC822.SIZE)',
    `* 1 FETCH (FLAGS (\\Recent) RFC822.SIZE ${HELLO.length})`,
    `* 2 FETCH (FLAGS (\\Recent \\Flagged) RFC822.SIZE ${HELLO.length})`,
    `* 3 FETCH (FLAGS (\\Recent) RFC822.SIZE ${2 * HELLO.length})`,
    `* 4 FETCH (FLAGS (\\Recent) RFC822.SIZE ${HELLO.length})`,
    '$ OK FETCH done',
  );
});

test('MULTIAPPEND stores all or nothing', async (t) => {
  const client = await (await imapHouse(t)).select();
  const one = `{${HELLO.length}+}\r\n${HELLO}`;
  assert.deepEqual((await client.run(`APPEND INBOX (\\Seen) ${one} ${one}`)).map(withoutUidValidity), [
    '* 2 EXISTS',
    '* 2 RECENT',
    '$ OK [APPENDUID V 1:2] Message stored',
  ]);
  await client.expect(`APPEND INBOX ${one} {0+}\r\n`, '$ NO [CANNOT] An empty message is not stored');
  await client.expect('FETCH 1:* FLAGS', '* 1 FETCH (FLAGS (\\Recent \\Seen))', '* 2 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
});

test('UTF8 literals need UTF8=ACCEPT', async (t) => {
  const client = await (await imapHouse(t)).login();
  const text = mail('Subject: Gr\xc3\xbc\xc3\x9fe\n\nx\n');
  await client.expect(`APPEND INBOX UTF8 (~{${text.length}+}\r\n${text})`, '$ BAD UTF8=ACCEPT is not enabled');
  await client.run('ENABLE UTF8=ACCEPT');
  assert.match((await client.run(`APPEND INBOX UTF8 (~{${text.length}+}\r\n${text})`)).at(-1) ?? '', /^\$ OK \[APPENDUID /);
});

test('a connection that ends within a message leaves nothing behind', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  client.send('x APPEND INBOX {500000}\r\n');
  await client.hears('+ OK');
  client.send('x'.repeat(100_000));
  client.destroy();
  const other = await house.login();
  await other.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 0)', '$ OK STATUS done');
  assert.deepEqual(
    house.lines.filter(([level]) => level !== 'debug' && level !== 'info'),
    [],
  );
});
