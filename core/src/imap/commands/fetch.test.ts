import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse, mail } from '../imap-house.fixture.ts';

const MULTIPART = mail(
  'From: a@example.org\nSubject: two parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\nContent-Type: text/plain\n\none\n' +
    '--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nAAEC/w==\n--b\nContent-Type: message/rfc822\n\n' +
    'Subject: inner\nFrom: c@example.org\n\ninner body\n--b--\n',
);

test('FETCH with broken arguments is BAD', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO);
  for (const [args, text] of [
    ['', 'Argument missing'],
    [' 1', 'Argument missing'],
    [' 1 NONSENSE', 'Unknown FETCH item'],
    [' 1 (FLAGS', 'Space or closing parenthesis expected'],
    [' 1 BODY[', 'Unknown section'],
    [' 1 BODY[HEADER.FIELDS ()]', 'Empty list'],
    [' 1 FLAGS (CHANGEDSINCE 0)', 'Number must not be zero'],
    [' x FLAGS', 'Number expected'],
    [' 2 FLAGS', 'No message has this sequence number'],
    [' 1:9 FLAGS', 'No message has this sequence number'],
    [' 1 FLAGS (CHANGEDSINCE 1 VANISHED)', 'QRESYNC is not enabled'],
  ] as const) {
    await client.expect(`FETCH${args}`, `$ BAD ${text}`);
  }
  await client.run('UNSELECT');
  await client.expect('FETCH 1 FLAGS', '$ BAD No mailbox selected');
});

test('an empty mailbox has no message, not even *', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.expect('FETCH * FLAGS', '$ BAD No message has this sequence number');
  await client.expect('FETCH 1:* FLAGS', '$ BAD No message has this sequence number');
  await client.expect('UID FETCH 1:* FLAGS', '$ OK FETCH done');
  await client.expect('UID FETCH * FLAGS', '$ OK FETCH done');
});

test('FETCH of items that a row answers', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO, '(\\Answered) "01-Feb-2024 03:04:05 +0200"');
  await client.append('INBOX', HELLO, '"31-Dec-1999 23:59:59 -0100"');
  await client.expect('FETCH 1 UID', '* 1 FETCH (UID 1)', '$ OK FETCH done');
  await client.expect(
    'FETCH 1:2 (FLAGS INTERNALDATE RFC822.SIZE)',
    '* 1 FETCH (FLAGS (\\Recent \\Answered) INTERNALDATE " 1-Feb-2024 01:04:05 +0000" RFC822.SIZE 115)',
    '* 2 FETCH (FLAGS (\\Recent) INTERNALDATE " 1-Jan-2000 00:59:59 +0000" RFC822.SIZE 115)',
    '$ OK FETCH done',
  );
  await client.expect('UID FETCH 2 FLAGS', '* 2 FETCH (UID 2 FLAGS (\\Recent))', '$ OK FETCH done');
  await client.expect('UID FETCH * (UID)', '* 2 FETCH (UID 2)', '$ OK FETCH done');
  await client.expect('UID FETCH 7:* UID', '* 2 FETCH (UID 2)', '$ OK FETCH done');
  await client.expect(
    'FETCH 2,1,1:2 (EMAILID THREADID)',
    '* 1 FETCH (EMAILID (M1) THREADID (TM1))',
    '* 2 FETCH (EMAILID (M2) THREADID (TM2))',
    '$ OK FETCH done',
  );
  assert.match(
    (await client.run('FETCH 1 SAVEDATE'))[0] ?? '',
    /^\* 1 FETCH \(SAVEDATE "[ \d]\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d \+0000"\)$/,
  );
});

test('THREADID is that of the message that began the conversation, in copies too, and SEARCH finds by it', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.run('CREATE other');
  await client.append('INBOX', mail('Message-ID: <root@x>\n\nbegun'));
  await client.append('INBOX', mail('Message-ID: <reply@x>\nIn-Reply-To: <root@x>\n\nanswered'));
  await client.append('INBOX', mail('Message-ID: <late@x>\nReferences: <root@x> <reply@x>\n\nanswered again'));
  await client.append('INBOX', mail('Message-ID: <alone@x>\n\nanother'));
  await client.append('INBOX', mail('Subject: no id\n\nbody'));
  const threads = async (command: string) =>
    (await client.run(command)).flatMap((line) => /[( ]THREADID \(([^)]*)\)/.exec(line)?.[1] ?? []);
  const [root, reply, late, alone, none] = await threads('FETCH 1:* THREADID');
  assert.match(root ?? '', /^T[0-9a-f]{24}$/);
  assert.deepEqual([reply, late, none], [root, root, 'TM5']);
  assert.notEqual(alone, root);
  assert.deepEqual(await threads('FETCH 1:2 (FLAGS BODY.PEEK[] THREADID)'), [root, root], 'beside octets of the message');
  await client.expect(`SEARCH THREADID ${root}`, '* SEARCH 1 2 3', '$ OK SEARCH done');
  await client.expect(`SEARCH NOT THREADID ${root}`, '* SEARCH 4 5', '$ OK SEARCH done');
  await client.expect(`SEARCH OR THREADID TM5 THREADID ${alone}`, '* SEARCH 4 5', '$ OK SEARCH done');
  await client.expect('SEARCH THREADID TM1', '* SEARCH', '$ OK SEARCH done');
  await client.run('COPY 5 other');
  await client.run('MOVE 2 other');
  await client.run('SELECT other');
  assert.deepEqual(await threads('FETCH 1:* THREADID'), ['TM5', root]);
  await client.expect('SEARCH THREADID TM5', '* SEARCH 1', '$ OK SEARCH done');
});

test('the macros ALL, FAST and FULL', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO, '"01-Feb-2024 03:04:05 +0000"');
  const fast = 'FLAGS (\\Recent) INTERNALDATE " 1-Feb-2024 03:04:05 +0000" RFC822.SIZE 115';
  const envelope =
    'ENVELOPE ("Mon, 5 Jan 2026 10:00:00 +0100" "hello" (("Bob" NIL "bob" "example.org")) (("Bob" NIL "bob" "example.org")) (("Bob" NIL "bob" "example.org")) ((NIL NIL "ada" "example.test")) NIL NIL NIL NIL)';
  await client.expect('FETCH 1 FAST', `* 1 FETCH (${fast})`, '$ OK FETCH done');
  await client.expect('FETCH 1 ALL', `* 1 FETCH (${fast} ${envelope})`, '$ OK FETCH done');
  await client.expect(
    'FETCH 1 FULL',
    `* 1 FETCH (${fast} ${envelope} BODY ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 8 1))`,
    '$ OK FETCH done',
  );
});

test('the sections of a multipart', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', MULTIPART);
  const literal = (text: string) => (text === '' ? '""' : `{${text.length}}\r\n${text}`);
  const part = async (section: string, text: string | undefined, suffix = '') => {
    await client.expect(
      `FETCH 1 BODY.PEEK[${section}]${suffix}`,
      `* 1 FETCH (BODY[${section}]${suffix.replace(/\.\d+>/, '>')} ${text === undefined ? 'NIL' : literal(text)})`,
      '$ OK FETCH done',
    );
  };
  await part('', MULTIPART);
  await part('HEADER', MULTIPART.slice(0, MULTIPART.indexOf('\r\n\r\n') + 4));
  await part('TEXT', MULTIPART.slice(MULTIPART.indexOf('\r\n\r\n') + 4));
  await part('1', 'one');
  await part('1.MIME', 'Content-Type: text/plain\r\n\r\n');
  await part('2', 'AAEC/w==');
  await part('3.HEADER', 'Subject: inner\r\nFrom: c@example.org\r\n\r\n');
  await part('3.HEADER.FIELDS (SUBJECT)', 'Subject: inner\r\n\r\n');
  await part('3.TEXT', 'inner body');
  await part('3.1', 'inner body');
  await part('4', undefined);
  await part('1.TEXT', undefined);
  await part('HEADER.FIELDS (Subject X-None)', 'Subject: two parts\r\n\r\n');
  await part('HEADER.FIELDS.NOT (From Content-Type MIME-Version)', 'Subject: two parts\r\n\r\n');
  await part('HEADER.FIELDS (X-None)', '\r\n');
  await part('', MULTIPART.slice(5, 15), '<5.10>');
  await part('TEXT', 'pre', '<0.3>');
  await part('', '', '<99999.10>');
  await part('1', 'e', '<2.100>');
  await part('HEADER.FIELDS (Subject)', 'two', '<9.3>');
});

test('RFC822, RFC822.HEADER and RFC822.TEXT, and which of them set \\Seen', async (t) => {
  const client = await (await imapHouse(t)).select();
  for (let n = 0; n < 4; n++) await client.append('INBOX', HELLO);
  const head = HELLO.slice(0, HELLO.indexOf('\r\n\r\n') + 4);
  await client.expect('FETCH 1 RFC822.HEADER', `* 1 FETCH (RFC822.HEADER {${head.length}}\r\n${head})`, '$ OK FETCH done');
  await client.expect('FETCH 1 RFC822', `* 1 FETCH (FLAGS (\\Recent \\Seen) RFC822 {115}\r\n${HELLO})`, '$ OK FETCH done');
  await client.expect('FETCH 2 RFC822.TEXT', '* 2 FETCH (FLAGS (\\Recent \\Seen) RFC822.TEXT {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('FETCH 2 RFC822.TEXT', '* 2 FETCH (RFC822.TEXT {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('FETCH 3 (FLAGS BODY[1])', '* 3 FETCH (FLAGS (\\Recent \\Seen) BODY[1] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('FETCH 4 BODY.PEEK[1]', '* 4 FETCH (BODY[1] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('SEARCH UNSEEN', '* SEARCH 4', '$ OK SEARCH done');
});

test('\\Seen that a FETCH set is heard by others, once', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.run('FETCH 1 BODY[]');
  await client.expect('NOOP', '$ OK NOOP done');
  await other.expect('NOOP', '* 1 FETCH (FLAGS (\\Seen))', '$ OK NOOP done');
});

test('a message that another session expunged is still served until this one has been told', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (const flag of ['\\Seen', '\\Flagged', '\\Draft']) await client.append('INBOX', HELLO, `(${flag})`);
  const other = await house.select();
  await other.run('STORE 1,2 +FLAGS.SILENT (\\Deleted)');
  await client.run('NOOP');
  await other.expect('EXPUNGE', '* 2 EXPUNGE', '* 1 EXPUNGE', '$ OK EXPUNGE done');
  await client.expect(
    'FETCH 1:* (UID FLAGS)',
    '* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen \\Deleted))',
    '* 2 FETCH (UID 2 FLAGS (\\Recent \\Flagged \\Deleted))',
    '* 3 FETCH (UID 3 FLAGS (\\Recent \\Draft))',
    '$ OK FETCH done',
  );
  await client.expect('FETCH 2 BODY.PEEK[TEXT]', '* 2 FETCH (BODY[TEXT] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('FETCH 3 (UID BODY.PEEK[1])', '* 3 FETCH (UID 3 BODY[1] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
  await client.expect('UID FETCH 2 UID', '* 2 FETCH (UID 2)', '* 2 EXPUNGE', '* 1 EXPUNGE', '$ OK FETCH done');
  await client.expect('FETCH 1 UID', '* 1 FETCH (UID 3)', '$ OK FETCH done');
});

test('a message that arrives while FETCH runs has no number until EXISTS is sent', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.login();
  await other.append('INBOX', HELLO);
  await client.expect('FETCH 2 UID', '* 2 EXISTS', '* 2 RECENT', '$ BAD No message has this sequence number');
  await client.expect('FETCH 2 UID', '* 2 FETCH (UID 2)', '$ OK FETCH done');
  await client.append('INBOX', HELLO);
  await other.append('INBOX', HELLO);
  await client.expect('UID FETCH 3:* UID', '* 3 FETCH (UID 3)', '* 4 EXISTS', '* 4 RECENT', '$ OK FETCH done');
});

test('CHANGEDSINCE shows only later changes, with MODSEQ', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 3; n++) await client.append('INBOX', HELLO);
  await client.run('STORE 2 +FLAGS.SILENT (\\Seen)');
  await client.expect(
    'FETCH 1:* FLAGS (CHANGEDSINCE 4)',
    '* OK [HIGHESTMODSEQ 5] Highest mod-sequence',
    '* 2 FETCH (FLAGS (\\Recent \\Seen) MODSEQ (5))',
    '$ OK FETCH done',
  );
  await client.expect('UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5)', '$ OK FETCH done');
  await client.expect('UID FETCH 3 (UID MODSEQ)', '* 3 FETCH (UID 3 MODSEQ (4))', '$ OK FETCH done');
});

test('BINARY decodes a part, BINARY.SIZE counts it', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', MULTIPART);
  await client.expect('FETCH 1 BINARY.PEEK[2]', '* 1 FETCH (BINARY[2] ~{4}\r\n\0\x01\x02\xff)', '$ OK FETCH done');
  await client.expect('FETCH 1 BINARY.SIZE[2]', '* 1 FETCH (BINARY.SIZE[2] 4)', '$ OK FETCH done');
  await client.expect('FETCH 1 BINARY.PEEK[1]<1.1>', '* 1 FETCH (BINARY[1]<1> {1}\r\nn)', '$ OK FETCH done');
  await client.expect('FETCH 1 BINARY.PEEK[9]', '* 1 FETCH (BINARY[9] NIL)', '$ OK FETCH done');
  await client.append('INBOX', mail('Content-Type: text/plain\nContent-Transfer-Encoding: x-uue\n\nabc\n'));
  await client.expect('FETCH 2 BINARY.PEEK[1]', '$ NO [UNKNOWN-CTE] Content-Transfer-Encoding is not known');
});

test('PREVIEW is text in the words that the client understands', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append(
    'INBOX',
    mail('Subject: x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\xc3\xbc\xc3\x9fe\n'),
  );
  await client.expect('FETCH 1 PREVIEW', '* 1 FETCH (PREVIEW {7}\r\nGr\xc3\xbc\xc3\x9fe)', '$ OK FETCH done');
  await client.run('ENABLE UTF8=ACCEPT');
  await client.expect('FETCH 1 (PREVIEW (LAZY))', '* 1 FETCH (PREVIEW "Gr\xc3\xbc\xc3\x9fe")', '$ OK FETCH done');
});

test('many and large messages come back byte for byte', async (t) => {
  const client = await (await imapHouse(t)).select();
  const big = `Subject: big\r\n\r\n${'0123456789abcdef\r\n'.repeat(100_000)}`;
  await client.append('INBOX', big);
  for (let n = 0; n < 70; n++) await client.append('INBOX', mail(`Subject: n${n}\n\nbody ${n}\n`));
  const responses = await client.run('FETCH 1:* (UID BODY.PEEK[])');
  assert.equal(responses.length, 72);
  assert.equal(responses[0], `* 1 FETCH (UID 1 BODY[] {${big.length}}\r\n${big})`);
  for (let n = 0; n < 70; n++) {
    const text = mail(`Subject: n${n}\n\nbody ${n}\n`);
    assert.equal(responses[n + 1], `* ${n + 2} FETCH (UID ${n + 2} BODY[] {${text.length}}\r\n${text})`);
  }
  await client.expect(
    'FETCH 1 BODY.PEEK[1]<1000000.20>',
    `* 1 FETCH (BODY[1]<1000000> {20}\r\n${big.slice(1000016, 1000036)})`,
    '$ OK FETCH done',
  );
});

test('a header block beyond what is parsed is still served whole', async (t) => {
  const client = await (await imapHouse(t)).select();
  const head = `Subject: long\r\n${'X-Filler: 0123456789012345678901234567890123456789\r\n'.repeat(25_000)}X-Last: yes\r\n\r\n`;
  await client.append('INBOX', `${head}body\r\n`);
  const [reply] = await client.run('FETCH 1 (UID BODY.PEEK[HEADER])');
  assert.equal(reply?.slice(0, 60), `* 1 FETCH (UID 1 BODY[HEADER] {${head.length}}\r\n${head}`.slice(0, 60));
  assert.equal(reply?.length, `* 1 FETCH (UID 1 BODY[HEADER] {${head.length}}\r\n${head})`.length);
  await client.expect(
    'FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]',
    '* 1 FETCH (BODY[HEADER.FIELDS (Subject)] {17}\r\nSubject: long\r\n\r\n)',
    '$ OK FETCH done',
  );
});
