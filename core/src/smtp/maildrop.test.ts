import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maildropHouse } from './maildrop-house.fixture.ts';

test('a dot between bare line ends is refused with 554 and the connection closes, on SMTP and LMTP', async (t) => {
  for (const [protocol, hello] of [
    ['smtp', 'EHLO'],
    ['lmtp', 'LHLO'],
  ] as const) {
    const { client, stored } = await maildropHouse(t, protocol);
    for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r\n', '\r\n.\r']) {
      const smtp = await client();
      await smtp.begin(hello, 'ada@example.test');
      assert.match(
        await smtp.say(`Subject: x\r\n\r\nhi${end}MAIL FROM:<evil@example.org>\r\nRCPT TO:<ada@example.test>\r\n`),
        /^554 5\.5\.2 /,
      );
      assert.equal(await smtp.reply(), 'closed');
    }
    assert.equal(stored.length, 0);
  }
});

test('a fault inside is 451 and tells no detail', async (t) => {
  const smtp = await (await maildropHouse(t, 'smtp')).client();
  await smtp.say('EHLO c\r\n');
  await smtp.say('MAIL FROM:<>\r\n');
  assert.equal(await smtp.say('RCPT TO:<crash@example.test>\r\n'), '451 4.3.0 Local error in processing');
});

test('bad syntax and wrong order leave the session usable', async (t) => {
  const smtp = await (await maildropHouse(t, 'smtp')).client();
  assert.match(await smtp.say('MAIL FROM:<a@b.c>\r\n'), /^503 /);
  assert.match(await smtp.say('EHLO\r\n'), /^501 /);
  await smtp.say('EHLO c\r\n');
  assert.match(await smtp.say('DATA\r\n'), /^503 5\.5\.1 /);
  assert.match(await smtp.say('MAIL FROM:bob\r\n'), /^501 5\.5\.4|^501 5\.1\./);
  assert.match(await smtp.say('MAIL FROM:<bob@example.org> SIZE=99999999\r\n'), /^552 5\.3\.4 /);
  assert.match(await smtp.say('NOOP\r\n'), /^250 /);
});

test('an unknown recipient is 550 5.1.1; others go on', async (t) => {
  const smtp = await (await maildropHouse(t, 'smtp')).client();
  await smtp.say('EHLO c\r\n');
  await smtp.say('MAIL FROM:<>\r\n');
  assert.equal(await smtp.say('RCPT TO:<unknown@example.test>\r\n'), '550 5.1.1 No such recipient here');
  assert.match(await smtp.say('RCPT TO:<ada@example.test>\r\n'), /^250 /);
});

test('a message over the limit is read to its end, answered 552, and the session goes on', async (t) => {
  const { client, stored } = await maildropHouse(t, 'smtp', { messageOctets: 1000 });
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say(`${'0123456789\r\n'.repeat(500)}.\r\n`), /^552 5\.3\.4 /);
  assert.equal(stored.length, 0);
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say('small\r\n.\r\n'), /^250 /);
});

test('a client that goes away in the middle of a message leaves nothing', async (t) => {
  const { client, stored, connections } = await maildropHouse(t, 'smtp');
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  smtp.socket.write('Subject: half\r\n\r\nhal');
  smtp.socket.destroy();
  while (connections() > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stored.length, 0);
});

test('random octets end in 5xx or a closed connection, and the next client is served', async (t) => {
  const { client } = await maildropHouse(t, 'smtp');
  const noise = await client();
  noise.socket.write(Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7919 + 13) & 0xff)));
  noise.socket.end();
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say('x\r\n.\r\n'), /^250 /);
});
