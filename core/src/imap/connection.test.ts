import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from './imap-house.fixture.ts';
import { WireClient } from './wire-client.fixture.ts';

test('the greeting tells the capabilities', async (t) => {
  const house = await imapHouse(t);
  const client = await WireClient.open(house.port);
  t.after(() => client.destroy());
  assert.match((await client.response()) ?? '', /^\* OK \[CAPABILITY IMAP4rev1 [^\]]*\] Pochard ready$/);
});

test('what is no command is BAD, and the third time before login BYE', async (t) => {
  const client = await (await imapHouse(t)).connect();
  client.send('\r\n');
  await client.hears('* BAD Tag expected');
  client.send('a1\r\n');
  await client.hears('* BAD Space expected');
  client.send('GET / HTTP/1.1\r\n');
  await client.hears('GET BAD Command expected');
  await client.hears('* BYE Too many bad commands');
  assert(await client.isClosed());
});

test('after login twenty bad commands end the session, and good ones make up for them', async (t) => {
  const client = await (await imapHouse(t, { limits: { imapBadCommands: 3 } })).login();
  for (let n = 0; n < 10; n++) {
    await client.expect('NONSENSE', '$ BAD Unknown command');
    await client.expect('NOOP', '$ OK NOOP done');
  }
  for (let n = 0; n < 3; n++) await client.expect('UID NONSENSE', '$ BAD Unknown command');
  await client.hears('* BYE Too many bad commands');
});

test('a line that is too long is BAD; before login it is the last', async (t) => {
  const house = await imapHouse(t);
  const stranger = await house.connect();
  stranger.send(`x LOGIN ${'a'.repeat(10_000)} b\r\n`);
  await stranger.hears('x BAD [TOOBIG] Command line too long');
  await stranger.hears('* BYE Command too large');
  assert(await stranger.isClosed());
  const client = await house.login();
  await client.expect(`NOOP ${'a'.repeat(70_000)}`, '$ BAD [TOOBIG] Command line too long');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('literals beyond the limits are BAD and the session goes on', async (t) => {
  const client = await (await imapHouse(t, { limits: { imapLiteralsPerCommand: 3 } })).login();
  await client.expect('SELECT {100000}', '$ BAD [TOOBIG] Literal too large');
  await client.expect(`SELECT {5000+}\r\n${'x'.repeat(5000)}`, '$ BAD [TOOBIG] Literal too large');
  await client.expect('LIST {1+}\r\na ({1+}\r\nb {1+}\r\nc {1+}\r\nd)', '$ BAD [LIMIT] Too many literals');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('commands that come together are answered one after the other', async (t) => {
  const client = await (await imapHouse(t)).login();
  client.send(`a SELECT INBOX\r\nb APPEND INBOX {${HELLO.length}+}\r\n${HELLO}\r\nc FETCH 1 UID\r\nd NOOP\r\n`);
  assert.equal((await client.until('a ')).at(-1), 'a OK [READ-WRITE] Mailbox selected');
  assert.match((await client.until('b ')).at(-1) ?? '', /^b OK \[APPENDUID /);
  assert.deepEqual(await client.until('c '), ['* 1 FETCH (UID 1)', 'c OK FETCH done']);
  assert.deepEqual(await client.until('d '), ['d OK NOOP done']);
});

test('a client that closes its side is still answered', async (t) => {
  const client = await (await imapHouse(t)).connect();
  client.send('a LOGIN ada@example.test secret\r\nb SELECT INBOX\r\nc NOOP\r\n');
  client.socket.end();
  assert.equal((await client.until('c ')).at(-1), 'c OK NOOP done');
  assert(await client.isClosed());
});

test('commands sent ahead of the end, behind one that takes its time, are all answered', async (t) => {
  const house = await imapHouse(t);
  const client = await house.connect();
  client.send(`a LOGIN ada@example.test secret\r\n${'b BLA\r\n'.repeat(5)}c NOOP\r\nd SELECT INBOX\r\ne NOOP\r\n`);
  client.socket.end();
  for (const reply of ['a OK', ...Array<string>(5).fill('b BAD'), 'c OK', 'd OK', 'e OK']) {
    let line = await client.response();
    while (line?.startsWith('*')) line = await client.response();
    assert.ok(line?.startsWith(reply), `${reply}: ${line}`);
  }
});

test('a client that closes its side in the middle of a message is let go', async (t) => {
  const house = await imapHouse(t);
  const client = await house.connect();
  client.send('a LOGIN ada@example.test secret\r\nb APPEND INBOX {100000}\r\nSubject: half\r\n');
  client.socket.end();
  await client.until('a OK');
  while (!(await client.isClosed()));
  await (await house.login()).expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 0)', '$ OK STATUS done');
});

test('a minute without login, and half an hour without a command, end with BYE', async (t) => {
  const house = await imapHouse(t);
  const stranger = await house.connect();
  house.clock.advance(61_000);
  await stranger.hears('* BYE Too long before login');
  assert(await stranger.isClosed());
  const client = await house.login();
  house.clock.advance(20 * 60_000);
  await client.expect('NOOP', '$ OK NOOP done');
  house.clock.advance(20 * 60_000);
  await client.expect('NOOP', '$ OK NOOP done');
  house.clock.advance(31 * 60_000);
  await client.hears('* BYE Silent for too long');
  assert(await client.isClosed());
});

test('when the server goes down, idle and busy sessions hear BYE', async (t) => {
  const house = await imapHouse(t);
  const plain = await house.login();
  const idler = await house.select();
  idler.send('x IDLE\r\n');
  await idler.hears('+ idling');
  const drained = house.group.drain(60_000);
  await plain.hears('* BYE [UNAVAILABLE] The server is going down');
  await idler.hears('* BYE [UNAVAILABLE] The server is going down');
  assert(await plain.isClosed());
  assert(await idler.isClosed());
  await drained;
});

test('a fault of ours is NO [SERVERBUG], logged with its cause, and the session lives', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  const access = await house.access();
  const { mail } = access;
  mail.deleteMailbox = () => Promise.reject(new Error('on purpose'));
  await client.expect('DELETE Sent', '$ NO [SERVERBUG] Internal error');
  const logged = house.lines.find(([, , message]) => message === 'IMAP command failed');
  assert.equal(logged?.[0], 'error');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('octets of no meaning do not end the server', async (t) => {
  const house = await imapHouse(t);
  let seed = 1;
  for (let round = 0; round < 20; round++) {
    const client = await house.connect();
    const octets = Buffer.alloc(2000);
    for (let at = 0; at < octets.length; at++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      octets[at] = seed >>> 16;
    }
    client.socket.write(octets);
    client.socket.end('\r\n');
    while (!(await client.isClosed()));
  }
  await (await house.login()).expect('NOOP', '$ OK NOOP done');
  assert.deepEqual(
    house.lines.filter(([level]) => level === 'error'),
    [],
  );
});
