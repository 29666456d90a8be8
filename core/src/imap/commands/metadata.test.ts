import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imapHouse } from '../imap-house.fixture.ts';

const DONE = '$ OK SETMETADATA done';

test('GETMETADATA and SETMETADATA that are malformed, or come before login, are BAD', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  const stranger = await house.connect();
  await stranger.expect('GETMETADATA "" /shared/comment', '$ BAD Log in first');
  const client = await house.login();
  const broken: readonly (readonly [string, string])[] = [
    ['GETMETADATA', 'Argument missing'],
    ['GETMETADATA INBOX', 'Space expected'],
    ['GETMETADATA INBOX ()', 'Empty list'],
    ['GETMETADATA INBOX comment', 'Entry is neither private nor shared'],
    ['GETMETADATA INBOX /other/comment', 'Entry is neither private nor shared'],
    ['GETMETADATA INBOX /privately/comment', 'Entry is neither private nor shared'],
    ['GETMETADATA INBOX /shared//comment', 'Empty component in an entry name'],
    ['GETMETADATA INBOX /shared/comment/', 'Empty component in an entry name'],
    ['GETMETADATA INBOX "/shared/*"', 'Wrong character in an entry name'],
    ['GETMETADATA INBOX "/shared/a\x01"', 'Wrong character in an entry name'],
    [`GETMETADATA INBOX "/shared/${'a'.repeat(2000)}"`, 'Entry name too long'],
    ['GETMETADATA (DEPTH 2) INBOX /shared/comment', 'Unknown DEPTH'],
    ['GETMETADATA (DEEP 1) INBOX /shared/comment', 'Unknown option'],
    ['GETMETADATA (MAXSIZE) INBOX /shared/comment', 'Space expected'],
    ['SETMETADATA INBOX /shared/comment "x"', 'List expected'],
    ['SETMETADATA INBOX (/shared "x")', 'Entry name is only a scope'],
    ['SETMETADATA INBOX (/shared/comment)', 'Space expected'],
    ['SETMETADATA INBOX (/shared/comment x)', 'String expected'],
  ];
  for (const [command, text] of broken) await client.expect(command, `$ BAD ${text}`);
  const many = Array.from({ length: 257 }, (_, n) => `/shared/a${n} NIL`).join(' ');
  await client.expect(`SETMETADATA INBOX (${many})`, '$ BAD Too many entries');
});

test('annotations of a mailbox that is not there are NO [NONEXISTENT]', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('GETMETADATA Nowhere /shared/comment', '$ NO [NONEXISTENT] No such mailbox');
  await client.expect('SETMETADATA Nowhere (/shared/comment "x")', '$ NO [NONEXISTENT] No such mailbox');
});

test('what SETMETADATA sets every session reads, whatever case the name is in, and NIL removes it', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.expect('GETMETADATA INBOX /private/comment', '* METADATA INBOX (/private/comment NIL)', '$ OK GETMETADATA done');
  await client.expect('SETMETADATA INBOX (/private/comment "My \\"comment\\"" /shared/Comment {2+}\r\nhi)', DONE);
  const other = await house.login();
  await other.expect(
    'GETMETADATA "INBOX" (/PRIVATE/Comment /shared/comment)',
    '* METADATA INBOX (/PRIVATE/Comment "My \\"comment\\"" /shared/comment "hi")',
    '$ OK GETMETADATA done',
  );
  await other.expect('SETMETADATA INBOX (/private/comment NIL)', DONE);
  await client.expect('GETMETADATA INBOX /private/comment', '* METADATA INBOX (/private/comment NIL)', '$ OK GETMETADATA done');
});

test('values are octets: empty, 8-bit, with NUL', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('SETMETADATA INBOX (/private/a "" /private/b ~{3+}\r\n\x00\xff\x01 /private/c {2+}\r\n\xc3\xbc)', DONE);
  await client.expect(
    'GETMETADATA INBOX (/private/a /private/b /private/c)',
    '* METADATA INBOX (/private/a "" /private/b ~{3}\r\n\x00\xff\x01 /private/c {2}\r\n\xc3\xbc)',
    '$ OK GETMETADATA done',
  );
});

test('DEPTH shows what is below, and MAXSIZE says how long the longest of the others is', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.run('SETMETADATA "" (/private/vendor/x/a "1" /private/vendor/x/a/b "22" /private/vendor/xy "333")');
  await client.expect('GETMETADATA (DEPTH 1) "" /private/vendor/x', '* METADATA "" (/private/vendor/x/a "1")', '$ OK GETMETADATA done');
  await client.expect(
    'GETMETADATA "" (DEPTH infinity MAXSIZE 2) (/private)',
    '* METADATA "" (/private/vendor/x/a "1" /private/vendor/x/a/b "22")',
    '$ OK [METADATA LONGENTRIES 3] Some values are longer',
  );
  await client.expect('GETMETADATA (DEPTH infinity) "" /shared', '$ OK GETMETADATA done');
});

test("too long and too many are refused whole; the shared annotations of the server are the administrator's", async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  const tag = client.tag();
  client.send(`${tag} SETMETADATA INBOX (/private/a "1" /private/long {32769}\r\n`);
  await client.hears('+ OK');
  client.send(`${'x'.repeat(32_769)})\r\n`);
  assert.deepEqual(await client.end(tag), ['$ NO [METADATA MAXSIZE 32768] Annotation is too long']);
  await client.expect(
    'SETMETADATA "" (/private/a "1" /shared/comment "x")',
    '$ NO [NOPERM] Shared annotations of the server are set by the administrator',
  );
  await client.expect('GETMETADATA "" /private/a', '* METADATA "" (/private/a NIL)', '$ OK GETMETADATA done');
  await (await house.access()).annotate(undefined, new Map([['/shared/comment', Buffer.from('Hello')]]));
  await client.expect('GETMETADATA "" /shared/comment', '* METADATA "" (/shared/comment "Hello")', '$ OK GETMETADATA done');
  const some = (from: number, count: number) => Array.from({ length: count }, (_, n) => `/private/n${from + n} "1"`).join(' ');
  await client.expect(`SETMETADATA INBOX (${some(0, 250)})`, DONE);
  await client.expect(`SETMETADATA INBOX (${some(300, 1)} /private/n0 "2")`, '$ NO [METADATA TOOMANY] Too many annotations');
  await client.expect(`SETMETADATA INBOX (${some(300, 1)} /private/n0 NIL)`, DONE);
});

test('annotations follow RENAME and leave with DELETE', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.run('CREATE a');
  await client.run('SETMETADATA a (/private/comment "x")');
  await client.run('RENAME a b');
  await client.expect('GETMETADATA b /private/comment', '* METADATA "b" (/private/comment "x")', '$ OK GETMETADATA done');
  await client.run('CREATE b/c');
  await client.run('DELETE b');
  await client.expect('GETMETADATA b /private/comment', '* METADATA "b" (/private/comment NIL)', '$ OK GETMETADATA done');
});

test('/private/specialuse is the special use of the mailbox', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect(
    'GETMETADATA Sent /private/specialuse',
    '* METADATA "Sent" (/private/specialuse "\\\\Sent")',
    '$ OK GETMETADATA done',
  );
  await client.run('CREATE Bin');
  await client.expect('SETMETADATA Bin (/private/specialuse "\\\\Trash")', DONE);
  await client.expect('LIST (SPECIAL-USE) "" B*', '* LIST (\\HasNoChildren \\Trash) "/" "Bin"', '$ OK LIST done');
  await client.expect('SETMETADATA Bin (/private/specialuse "\\\\Nonsense")', '$ NO [USEATTR] Special use is not known');
  await client.expect('SETMETADATA Bin (/private/specialuse NIL)', DONE);
  await client.expect('LIST (SPECIAL-USE) "" B*', '$ OK LIST done');
});

test('LIST RETURN (METADATA ...) shows annotations beside the mailboxes', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.run('CREATE a');
  await client.run('SETMETADATA a (/shared/comment "x")');
  await client.expect('LIST "" a RETURN (METADATA ())', '$ BAD Empty list');
  await client.expect(
    'LIST "" (a INBOX) RETURN (METADATA (/shared/comment /private/comment))',
    '* LIST (\\HasNoChildren) "/" INBOX',
    '* METADATA INBOX (/shared/comment NIL /private/comment NIL)',
    '* LIST (\\HasNoChildren) "/" "a"',
    '* METADATA "a" (/shared/comment "x" /private/comment NIL)',
    '$ OK LIST done',
  );
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / LIST-METADATA .*METADATA/);
});
