import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { HELLO, type HouseOptions, type ImapHouse, imapHouse } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function compressing(
  t: TestContext,
  options: HouseOptions = {},
): Promise<{ readonly house: ImapHouse; readonly client: WireClient }> {
  const house = await imapHouse(t, options);
  const client = await house.select();
  await client.expect('COMPRESS DEFLATE', '$ OK DEFLATE active');
  client.compressed();
  return { house, client };
}

/** As a client sends it that flushes. */
function deflated(text: string): Buffer {
  return deflateRawSync(Buffer.from(text, 'latin1'), { finishFlush: constants.Z_SYNC_FLUSH });
}

test('COMPRESS wants a mechanism that it knows, a login, and is given once', async (t) => {
  const house = await imapHouse(t);
  const stranger = await house.connect();
  await stranger.expect('COMPRESS DEFLATE', '$ BAD Log in first');
  const [capabilities] = await stranger.run('CAPABILITY');
  assert(!capabilities?.includes('COMPRESS'));
  const client = await house.login();
  assert((await client.run('CAPABILITY'))[0]?.split(' ').includes('COMPRESS=DEFLATE'));
  await client.expect('COMPRESS', '$ BAD Argument missing');
  await client.expect('COMPRESS GZIP', '$ NO [CANNOT] Unknown compression mechanism');
  await client.expect('COMPRESS DEFLATE', '$ OK DEFLATE active');
  client.compressed();
  await client.expect('COMPRESS DEFLATE', '$ NO [COMPRESSIONACTIVE] Compression is on already');
});

test('octets that are not DEFLATE end the session with BYE', async (t) => {
  const { client } = await compressing(t);
  client.socket.write('a NOOP\r\n\xff\xff\xff\xff', 'latin1');
  await client.hears('* BYE Compressed data is broken');
  assert(await client.isClosed());
});

test('a little that inflates to much more than any message ends the session', async (t) => {
  const { client, house } = await compressing(t, { limits: { messageOctets: 64 * 1024, imapLiteralsTotalOctets: 4096 } });
  client.socket.write(deflated(`x LOGIN ${'0'.repeat(4_000_000)}\r\n`));
  const last = await client.until('* BYE');
  assert.equal(last.at(-1), '* BYE Compressed data is broken');
  assert(await client.isClosed());
  assert(house.lines.some(([level, , message]) => level === 'debug' && message === 'compressed input is broken'));
});

test('commands sent in the same breath as COMPRESS, compressed, are read', async (t) => {
  const client = await (await imapHouse(t)).login();
  client.socket.write(Buffer.concat([Buffer.from('a COMPRESS DEFLATE\r\n'), deflated('b NOOP\r\nc NOOP\r\n')]));
  assert.equal(await client.response(), 'a OK DEFLATE active');
  client.compressed();
  await client.hears('b OK NOOP done');
  await client.hears('c OK NOOP done');
});

test('messages of any size go both ways, with literals and IDLE', async (t) => {
  const { house, client } = await compressing(t);
  const big = `${HELLO}${'All work and no play. 0123456789\r\n'.repeat(60_000)}`;
  assert.match((await client.append('INBOX', big)).at(-1) ?? '', /^\$ OK \[APPENDUID /);
  const fetched = await client.run('FETCH 1 BODY.PEEK[]');
  assert.equal(fetched[0], `* 1 FETCH (BODY[] {${big.length}}\r\n${big})`);
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  const other = await house.login();
  await other.append('INBOX', HELLO);
  await client.hears('* 2 EXISTS');
  await client.hears('* 2 RECENT');
  client.send('DONE\r\n');
  await client.hears('x OK IDLE done');
  await client.expect('FETCH 2 RFC822.SIZE', `* 2 FETCH (RFC822.SIZE ${HELLO.length})`, '$ OK FETCH done');
});

test('a compressor that was given back when the session was quiet is not missed', async (t) => {
  const { house, client } = await compressing(t);
  for (let round = 0; round < 3; round++) {
    await client.expect('NOOP', '$ OK NOOP done');
    house.clock.advance(62_000);
  }
  await client.expectEnd('LIST "" *', '$ OK LIST done');
});

test('LOGOUT and a client that goes without a word close the socket', async (t) => {
  const { house, client } = await compressing(t);
  await client.expect('LOGOUT', '* BYE Logging out', '$ OK LOGOUT done');
  assert(await client.isClosed());
  const other = await house.login();
  await other.run('COMPRESS DEFLATE');
  other.compressed();
  await other.expect('NOOP', '$ OK NOOP done');
  other.socket.end();
  assert(await other.isClosed());
});

test('a client that reads slowly holds no more of a large answer in memory than without compression', async (t) => {
  const { client } = await compressing(t);
  // Random text hardly shrinks.
  const noise = Array.from({ length: 12_000 }, () => Math.random().toString(36).padEnd(76, 'x').slice(0, 76)).join('\r\n');
  await client.append('INBOX', `${HELLO}${noise}\r\n`);
  client.send('big FETCH 1:* BODY.PEEK[]\r\nagain FETCH 1:* BODY.PEEK[]\r\n');
  client.socket.pause();
  await new Promise((resolve) => setImmediate(resolve));
  client.socket.resume();
  assert.equal((await client.until('big ')).at(-1), 'big OK FETCH done');
  assert.equal((await client.until('again ')).at(-1), 'again OK FETCH done');
});
