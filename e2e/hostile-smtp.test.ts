/** Hostile SMTP and LMTP clients: smuggling, injection, floods. LMTP is as strict as SMTP: to stand behind a relay is no excuse. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ADA, collect, EVE, hostileHouse, throwAfterGreeting } from './support/hostile-house.ts';
import { SmtpScript } from './support/smtp-script.ts';

const SMUGGLED = `MAIL FROM:<boss@example.org>\r\nRCPT TO:<${ADA}>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n`;
/** Ends of data that some servers take for one; none but CRLF.CRLF is. */
const FALSE_ENDS = [
  '\n.\n',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r',
  '\r.\r\n',
  '\r\n.\r',
  '\n.\r',
  '\r.\n',
  '\r\r\n.\r\r\n',
  '\r\n\r.\r\n',
  '\n\n.\r\n',
  '\r\n.\0\r\n',
  '\r\n.\r\0\n',
  '\r\n\0.\r\n',
  '\r\n. \r\n',
  '\r\n.\t\r\n',
  '\r\n.\x0b\r\n',
  '\x85.\x85',
];

test('hostile SMTP and LMTP clients', async (t) => {
  const house = await hostileHouse(t);
  const { server } = house;
  const attack = (name: string, work: (t: import('node:test').TestContext) => Promise<void>): Promise<void> =>
    t.test(name, async (sub) => {
      await work(sub);
      await house.unharmed();
    });
  const inbox = async (): Promise<string> => {
    const eve = await house.eve(t);
    await eve.command('SELECT INBOX');
    const { untagged } = await eve.command('FETCH 1:* (BODY.PEEK[])');
    eve.close();
    return untagged.join('\n');
  };

  for (const protocol of ['smtp', 'lmtp'] as const) {
    const hello = protocol === 'lmtp' ? 'LHLO' : 'EHLO';
    const port = server.port(protocol);
    const envelope = `${hello} x.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<${EVE}>\r\nDATA\r\n`;

    await attack(`${protocol}: random octets, with and without an envelope`, async () => {
      await Promise.all(Array.from({ length: 30 }, () => throwAfterGreeting(port, randomBytes(65_536))));
      await Promise.all(Array.from({ length: 30 }, () => throwAfterGreeting(port, envelope, randomBytes(65_536))));
    });
    await attack(`${protocol}: lines without end`, async () => {
      assert.match(await throwAfterGreeting(port, Buffer.alloc(20_000_000, 'a')), /^[45]\d\d/m);
      assert.match(await throwAfterGreeting(port, `${hello} ${'x'.repeat(5_000)}\r\nQUIT\r\n`), /^[45]\d\d/m);
      await throwAfterGreeting(port, envelope, Buffer.alloc(5_000_000, 'a'), '\r\n.\r\n');
    });
    await attack(`${protocol}: a message with a line of 60 kB comes back unchanged`, async (sub) => {
      const script = await SmtpScript.open(sub, port, hello);
      const raw = Buffer.from(`Subject: long ${protocol}\r\n\r\n${'y'.repeat(60_000)}\r\n`);
      assert.equal((await script.deliver('a@example.org', [EVE], raw))[0]?.code, 250);
      assert.ok((await inbox()).includes('y'.repeat(60_000)));
    });

    await attack(`${protocol}: ${FALSE_ENDS.length} false ends of data smuggle nothing`, async (sub) => {
      const delivered: number[] = [];
      for (const [i, end] of FALSE_ENDS.entries()) {
        const script = await SmtpScript.open(sub, port, hello);
        await script.begin('a@example.org', [EVE]);
        script.socket.write(`Subject: carrier ${protocol}${i}\r\n\r\ntext${end}${SMUGGLED}`, 'latin1');
        const reply = await script.reply();
        if (reply.code === 250) {
          // One message that holds the other as text.
          delivered.push(i);
          script.socket.write('QUIT\r\n');
          await script.end();
          continue;
        }
        assert.ok(reply.code >= 500, `${JSON.stringify(end)}: ${reply.text}`);
        await script.end();
      }
      const text = await inbox();
      const boss = [...text.matchAll(/Return-Path: <boss@example\.org>/g)];
      assert.equal(boss.length, 0, 'a smuggled message was delivered');
      for (const i of delivered) assert.match(text, new RegExp(`carrier ${protocol}${i}\r\n\r\ntext[^]*smuggled`));
      sub.diagnostic(`${FALSE_ENDS.length - delivered.length} refused and closed, ${delivered.length} taken as text of one message`);
    });
    await attack(`${protocol}: CRLF.CRLF is found wherever packets end`, async (sub) => {
      const script = await SmtpScript.open(sub, port, hello);
      const raw = `Subject: split\r\n\r\n..dot\r\n...\r\nend\r\n`;
      const wire = `${raw.replaceAll('\r\n.', '\r\n..')}.\r\n`;
      for (let at = wire.length - 8; at <= wire.length; at++) {
        await script.begin(`s${at}@example.org`, [EVE]);
        script.socket.write(wire.slice(0, at));
        await new Promise((resolve) => setTimeout(resolve, 2)); // so that it is a packet of its own
        script.socket.write(wire.slice(at));
        await script.expect(250);
      }
      assert.ok((await inbox()).includes(raw));
    });

    await attack(`${protocol}: 5000 commands in one go are all answered`, async () => {
      const text = await throwAfterGreeting(port, `${hello} x\r\n${'NOOP\r\n'.repeat(5_000)}QUIT\r\n`);
      assert.ok([...text.matchAll(/^250 /gm)].length >= 5_000, `${[...text.matchAll(/^250 /gm)].length}`);
    });
    await attack(`${protocol}: 2000 bad commands, odd envelopes, too many recipients`, async (sub) => {
      assert.match(await throwAfterGreeting(port, 'BLA\r\n'.repeat(2_000)), /^5\d\d/m);
      const script = await SmtpScript.open(sub, port, hello);
      for (const line of [
        'MAIL FROM:<a\0b@c>',
        'MAIL FROM:<__proto__@__proto__> __proto__=1',
        'MAIL FROM:<a@b> SIZE=-1',
        'MAIL FROM:<a@b> SIZE=1e308',
        'MAIL FROM:<a@b> SIZE=99999999999999',
        `MAIL FROM:<${'('.repeat(900)}`,
        'MAIL FROM:a@b',
        'MAIL',
        'RCPT TO:<x>',
        'DATA',
        'BDAT 5',
        '__proto__',
        'constructor x',
        'MAIL FROM:<a@b> BODY=__proto__',
        'VRFY constructor',
        'HELP __proto__',
      ])
        assert.ok((await script.command(line)).code >= 200, line);
      await script.command('RSET', 250);
      await script.command('MAIL FROM:<a@example.org>', 250);
      for (const recipient of [
        '__proto__',
        'constructor@example.test',
        'toString',
        `${'x'.repeat(400)}@example.test`,
        '../../etc/passwd@example.test',
        '$ne@example.test',
        '"\r"@example.test',
        '\u202eada@example.test',
      ])
        assert.ok((await script.command(`RCPT TO:<${recipient}>`)).code >= 400, recipient);
      let taken = 0;
      script.socket.write(Array.from({ length: 1_500 }, (_, i) => `RCPT TO:<eve+${i}@example.test>\r\n`).join(''));
      for (let i = 0; i < 1_500; i++) if ((await script.reply()).code === 250) taken += 1;
      assert.ok(taken <= 1_000, `${taken} recipients taken`);
    });
  }

  await attack('what is sent in clear behind STARTTLS is never run', async () => {
    for (const pieces of [
      ['STARTTLS\r\nMAIL FROM:<injected@example.org>\r\nEXPN injected\r\n'],
      ['STARTTLS\r\n', 'MAIL FROM:<injected@example.org>\r\n'],
      [`MAIL FROM:<injected@example.org>\r\nSTARTTLS\r\nRCPT TO:<${EVE}>\r\n`],
    ]) {
      const socket = connect(server.port('smtp', 'starttls'), '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'data');
      socket.write('EHLO x\r\n');
      await once(socket, 'data');
      let plain = '';
      const begun = new Promise<boolean>((resolve) => {
        socket.on('close', () => resolve(false));
        socket.on('data', (chunk: Buffer) => {
          plain += chunk.toString('latin1');
          if (/^220 /m.test(plain)) resolve(true);
        });
      });
      for (const piece of pieces) socket.write(piece);
      if (!(await begun)) continue; // closing is as good an answer
      socket.removeAllListeners('data');
      const secure = connectTls({ socket, rejectUnauthorized: false });
      const answer = collect(secure);
      secure.on('secureConnect', () => secure.write(`RCPT TO:<${EVE}>\r\nEHLO y\r\nRCPT TO:<${EVE}>\r\nQUIT\r\n`));
      const text = await answer;
      assert.doesNotMatch(text, /^250 2\.1\.5/m);
      assert.doesNotMatch(text, /injected/);
      const [first = ''] = text.split('\r\n');
      assert.ok(text === '' || /^503/.test(first), `first answer under TLS: ${first}`);
    }
  });
  await attack('many clients that begin a message and go', async () => {
    const envelope = `EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<${EVE}>\r\nDATA\r\n`;
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        const socket = connect(server.port('smtp'), '127.0.0.1');
        socket.on('error', () => undefined);
        socket.write(envelope);
        socket.write(randomBytes(1_000_000));
        await once(socket, 'data');
        socket.resetAndDestroy();
      }),
    );
  });
});
