/** APPEND of octets of any kind, `~{n}`: RFC 3516 §4.4, RFC 9051 §6.3.12. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, imapHouse, mail } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function selected(t: TestContext): Promise<WireClient> {
  return (await imapHouse(t)).select();
}

async function appended(client: WireClient, message: string): Promise<string> {
  const tag = client.tag();
  client.send(`${tag} APPEND INBOX ~{${message.length}}\r\n`);
  await client.hears('+ OK');
  client.send(`${message}\r\n`);
  return (await client.end(tag)).at(-1) ?? '';
}

/** Every octet, NUL, bare CR and bare LF among them. */
const OCTETS = String.fromCharCode(...Array.from({ length: 256 }, (_, octet) => octet));

function parts(...bodies: readonly string[]): string {
  const head = mail('Subject: parts\nMIME-Version: 1.0\nContent-Transfer-Encoding: binary\nContent-Type: multipart/mixed; boundary=b\n\n');
  return `${head}${bodies.map((body) => `--b\r\n${body}\r\n`).join('')}--b--\r\n`;
}

test('NUL outside of a binary part is refused', async (t) => {
  const client = await selected(t);
  assert.equal(await appended(client, 'Subject: x\r\n\r\na\0b\r\n'), '$ NO [UNKNOWN-CTE] NUL outside of a binary part');
  assert.equal(
    await appended(client, parts('Content-Transfer-Encoding: 8bit\r\n\r\na\0b')),
    '$ NO [UNKNOWN-CTE] NUL outside of a binary part',
  );
  await client.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 0)', '$ OK STATUS done');
});

test('a message without binary parts is stored as it is, bare LF as CRLF', async (t) => {
  const client = await selected(t);
  assert.match(await appended(client, HELLO), /^\$ OK/);
  assert.match(await appended(client, 'Subject: x\n\ny\n'), /^\$ OK/);
  await client.expect('FETCH 1 BODY.PEEK[]', `* 1 FETCH (BODY[] {115}\r\n${HELLO})`, '$ OK FETCH done');
  await client.expect('FETCH 2 BODY.PEEK[]', '* 2 FETCH (BODY[] {17}\r\nSubject: x\r\n\r\ny\r\n)', '$ OK FETCH done');
});

test('a binary part keeps its octets: BODY shows base64, BINARY what was sent', async (t) => {
  const client = await selected(t);
  const message = parts(`Content-Type: application/x\r\nX-Y: z\r\ncontent-transfer-encoding:\r\n BINARY\r\n\r\n${OCTETS}`, '\r\ntext');
  assert.match(await appended(client, message), /^\$ OK/);
  const expected = Buffer.from(OCTETS, 'latin1')
    .toString('base64')
    .replaceAll(/(.{76})(?=.)/g, '$1\r\n');
  await client.expect('FETCH 1 BODY.PEEK[1]', `* 1 FETCH (BODY[1] {${expected.length}}\r\n${expected})`, '$ OK FETCH done');
  await client.expect(
    'FETCH 1 BODY.PEEK[1.MIME]',
    '* 1 FETCH (BODY[1.MIME] {74}\r\nContent-Type: application/x\r\nX-Y: z\r\nContent-Transfer-Encoding: base64\r\n\r\n)',
    '$ OK FETCH done',
  );
  await client.expect('FETCH 1 BODY.PEEK[2]', '* 1 FETCH (BODY[2] {4}\r\ntext)', '$ OK FETCH done');
  await client.expect('FETCH 1 BINARY.SIZE[1]', '* 1 FETCH (BINARY.SIZE[1] 256)', '$ OK FETCH done');
  const [line = ''] = await client.run('FETCH 1 BODY.PEEK[HEADER]');
  assert.match(line, /Content-Transfer-Encoding: 8bit\r\n/);
});

test('a message that is one binary part, larger than memory, comes back whole', async (t) => {
  const client = await selected(t);
  const body = OCTETS.repeat(3_000);
  assert.match(await appended(client, `Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n${body}`), /^\$ OK/);
  const [line = ''] = await client.run('FETCH 1 BINARY.PEEK[1]');
  assert.equal(line, `* 1 FETCH (BINARY[1] ~{${body.length}}\r\n${body})`);
});

test('UTF8 literals and pieces of CATENATE are text', async (t) => {
  const client = await selected(t);
  await client.run('ENABLE IMAP4rev2');
  const text = mail('Subject: Gr\xc3\xbcn\n\nx\n');
  assert.match((await client.run(`APPEND INBOX UTF8 (~{${text.length}+}\r\n${text})`)).at(-1) ?? '', /^\$ OK/);
  await client.expect('FETCH 1 BODY.PEEK[]', `* 1 FETCH (BODY[] {${text.length}}\r\n${text})`, '$ OK FETCH done');
});
