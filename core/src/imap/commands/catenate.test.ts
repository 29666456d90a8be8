/** CATENATE: RFC 4469, with IMAP URLs of RFC 5092. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, type HouseOptions, type ImapHouse, imapHouse, mail } from '../imap-house.fixture.ts';
import { type WireClient, withoutUidValidity } from '../wire-client.fixture.ts';

const PARTS = mail(
  'From: bob@example.org\nSubject: two parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: application/x\nContent-Transfer-Encoding: base64\n\nb25l\n--b--\n',
);

async function filled(t: TestContext, options?: HouseOptions): Promise<{ readonly house: ImapHouse; readonly client: WireClient }> {
  const house = await imapHouse(t, options);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  await client.append('INBOX', PARTS);
  return { house, client };
}

function text(octets: string): string {
  return `TEXT {${octets.length}+}\r\n${octets}`;
}

async function lastOf(client: WireClient, command: string): Promise<string> {
  return withoutUidValidity((await client.run(command)).at(-1) ?? '');
}

/** Of the message with this UID in Drafts. */
async function stored(house: ImapHouse, uid: number): Promise<string> {
  const client = await house.select('Drafts');
  const [reply = ''] = await client.run(`UID FETCH ${uid} BODY.PEEK[]`);
  return reply.replace(/^[^\r]*\r\n/, '').slice(0, -1);
}

test('broken parts are BAD, before the message is sent where that is known', async (t) => {
  const { client } = await filled(t, { limits: { imapBadCommands: 100 } });
  await client.expect('APPEND Drafts CATENATE', '$ BAD Space expected');
  await client.expect('APPEND Drafts CATENATE ()', '$ BAD URL or TEXT expected');
  await client.expect('APPEND Drafts CATENATE (URL)', '$ BAD Space expected');
  await client.expect('APPEND Drafts CATENATE (TEXT "x")', '$ BAD Literal expected');
  await client.expect('APPEND Drafts CATENATE (URL "/INBOX/;UID=1"', '$ BAD Closing parenthesis expected');
  await client.expect('APPEND Drafts CATENATE (FILE {1}', '$ BAD URL or TEXT expected');
  await client.expect('APPEND nowhere CATENATE (TEXT {1}', '$ NO [TRYCREATE] No such mailbox');
  await client.expect('APPEND nowhere CATENATE (URL "/INBOX/;UID=1")', '$ NO [TRYCREATE] No such mailbox');
  const many = Array.from({ length: 300 }, () => 'URL "/INBOX/;UID=1"').join(' ');
  await client.expect(`APPEND Drafts CATENATE (${many})`, '$ BAD Too many parts');
  await client.expect('APPEND Drafts CATENATE (UTF8 (~{1+}\r\nx))', '$ BAD UTF8=ACCEPT is not enabled');
  await client.expectEnd('NOOP', '$ OK NOOP done');
});

test('a URL that names nothing is BADURL, and nothing is stored', async (t) => {
  const { client } = await filled(t);
  for (const url of [
    'x',
    '/INBOX',
    '/nowhere/;UID=1',
    '/INBOX/;UID=9',
    '/INBOX;UIDVALIDITY=1/;UID=1',
    '/INBOX/;UID=2/;SECTION=3',
    '/INBOX/;UID=1/;SECTION=1.MIME',
    '/INBOX/;UID=1;URLAUTH=anonymous:internal:0',
    'imap://elsewhere.example/INBOX/;UID=1',
    'imap://eve@mx.example.test/INBOX/;UID=1',
  ]) {
    const reply = await lastOf(client, `APPEND Drafts CATENATE (${text('Subject: x\r\n\r\n')} URL "${url}")`);
    if (url === '/INBOX/;UID=1/;SECTION=1.MIME')
      assert.match(reply, /^\$ OK /); // part 1 of a message that is no multipart has one
    else assert.equal(reply, `$ NO [BADURL "${url}"] A part of the message was not found`);
  }
  await client.expect('APPEND Drafts CATENATE (URL "/a]b/;UID=1")', '$ NO [BADURL ""] A part of the message was not found');
  await client.expect('APPEND Drafts CATENATE (URL {9+}\r\n/x\xc3\xa4;UID=)', '$ NO [BADURL ""] A part of the message was not found');
  await client.expect('STATUS Drafts (MESSAGES)', '* STATUS "Drafts" (MESSAGES 1)', '$ OK STATUS done');
});

test('literals and pieces of messages make one message', async (t) => {
  const { house, client } = await filled(t);
  const head = 'Subject: made\r\n';
  const command =
    `APPEND Drafts (\\Draft) "01-Feb-2024 03:04:05 +0000" CATENATE (${text(head)} URL "/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(FROM)" ` +
    `URL "/INBOX/;UID=1/;SECTION=TEXT" ${text('--\r\n')} URL "/INBOX/;UID=2/;SECTION=2" URL {29}`;
  const tag = client.tag();
  client.send(`${tag} ${command}\r\n`);
  await client.hears('+ OK'); // the URL may be a literal too
  client.send('/inbox/;uid=1/;partial=0.8192');
  client.send(' URL ";UID=1/;PARTIAL=0.4")\r\n');
  assert.match((await client.end(tag)).at(-1) ?? '', /^\$ OK \[APPENDUID \d+ 1\]/);
  assert.equal(await stored(house, 1), `${head}From: Bob <bob@example.org>\r\n\r\nHi Ada\r\n--\r\nb25l${HELLO}From`);
  await (await house.select('Drafts')).expect(
    'FETCH 1 (FLAGS INTERNALDATE)',
    '* 1 FETCH (FLAGS (\\Draft) INTERNALDATE " 1-Feb-2024 03:04:05 +0000")',
    '$ OK FETCH done',
  );
});

test('URLs alone, absolute ones of this server, UIDVALIDITY, several messages at once', async (t) => {
  const { house, client } = await filled(t);
  const { uidValidity = 0 } = (await house.access()).mail.byName('INBOX') ?? {};
  const url = `imap://ada%40example.test@MX.example.test:143/INBOX;UIDVALIDITY=${uidValidity}/;UID=2`;
  assert.equal(
    await lastOf(client, `APPEND Drafts CATENATE (URL "${url}") CATENATE (URL "/INBOX/;UID=1")`),
    '$ OK [APPENDUID V 1:2] Message stored',
  );
  assert.equal(await stored(house, 1), PARTS);
  assert.equal(await stored(house, 2), HELLO);
});

test('TOOBIG and OVERQUOTA count the pieces', async (t) => {
  const { client } = await filled(t, { limits: { messageOctets: 64 * 1024 }, quotaOctets: 100_000 });
  const big = mail(`Subject: big\n\n${'line of text\n'.repeat(3_000)}`);
  await client.append('INBOX', big);
  await client.expectEnd('APPEND Drafts CATENATE (URL "/INBOX/;UID=3" URL "/INBOX/;UID=3")', '$ NO [TOOBIG] Message too large');
  await client.run('APPEND Drafts CATENATE (URL "/INBOX/;UID=3")');
  await client.expectEnd('APPEND Drafts CATENATE (URL "/INBOX/;UID=3")', '$ NO [OVERQUOTA] Over quota');
});

test('a message larger than memory is made of pieces and comes back whole', async (t) => {
  const { house, client } = await filled(t);
  const big = mail(`Subject: big\n\n${'line of text\n'.repeat(60_000)}`);
  await client.append('INBOX', big);
  assert.match(
    await lastOf(client, `APPEND Drafts CATENATE (${text('X: y\r\n')} URL "/INBOX/;UID=3" URL "/INBOX/;UID=3/;SECTION=TEXT")`),
    /OK/,
  );
  assert.equal(await stored(house, 1), `X: y\r\n${big}${big.slice(big.indexOf('\r\n\r\n') + 4)}`);
});

test('REPLACE takes CATENATE, with a piece of the message that it replaces', async (t) => {
  const { client } = await filled(t);
  await client.run('ENABLE UIDONLY');
  const responses = await client.run(`UID REPLACE 1 INBOX CATENATE (${text('Subject: new\r\n\r\n')} URL ";UID=1/;SECTION=TEXT")`);
  assert.deepEqual(responses.map(withoutUidValidity), [
    '* OK [APPENDUID V 3] Message stored',
    '* VANISHED 1',
    '* 2 EXISTS',
    '* 2 RECENT',
    '$ OK REPLACE done',
  ]);
  await client.expect('UID FETCH 3 BODY.PEEK[TEXT]', '* 3 UIDFETCH (BODY[TEXT] {8}\r\nHi Ada\r\n)', '$ OK FETCH done');
});

test('UTF8 parts are taken after UTF8=ACCEPT', async (t) => {
  const { house, client } = await filled(t);
  await client.run('ENABLE UTF8=ACCEPT');
  const head = 'Subject: Gr\xc3\xbcn\r\n\r\n';
  assert.match(
    await lastOf(client, `APPEND Drafts CATENATE (UTF8 (~{${head.length}+}\r\n${head}) URL "/INBOX/;UID=1/;SECTION=TEXT")`),
    /OK/,
  );
  assert.equal(await stored(house, 1), `${head}Hi Ada\r\n`);
});
