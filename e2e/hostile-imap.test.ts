/** Hostile IMAP clients: whatever they send, they get BAD, NO or BYE; the server lives and other sessions notice nothing. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { ADA, collect, EVE, hostileHouse, PASSWORD, throwAt } from './support/hostile-house.ts';
import { ImapScript } from './support/imap-script.ts';
import { mebi, memoryOf } from './support/process-memory.ts';
import { base64Lines, plainMail } from './support/sample-mail.ts';
import { skipLoudly } from './support/skip.ts';
import { SmtpScript } from './support/smtp-script.ts';

/** Far more than the second that a write may be blocked: logins of a busy machine come first. */
const DROPPED_MS = 60_000;
const LOGIN = `l LOGIN ${EVE} "${PASSWORD}"\r\n`;

test('hostile IMAP clients', async (t) => {
  const house = await hostileHouse(t);
  const { server } = house;
  const port = server.port('imap');
  const attack = (name: string, work: (t: import('node:test').TestContext) => Promise<void>): Promise<void> =>
    t.test(name, async (sub) => {
      await work(sub);
      await house.unharmed();
    });

  await attack('random octets before login', async () => {
    await Promise.all(Array.from({ length: 50 }, () => throwAt(port, randomBytes(65_536))));
  });
  await attack('random octets after login', async () => {
    await Promise.all(Array.from({ length: 20 }, () => throwAt(port, LOGIN, 's SELECT INBOX\r\n', randomBytes(262_144))));
    await Promise.all(
      Array.from({ length: 20 }, () =>
        throwAt(
          port,
          LOGIN,
          Buffer.from(
            randomBytes(65_536)
              .toString('latin1')
              .replaceAll(/[^ -~]/g, '\r\n'),
            'latin1',
          ),
        ),
      ),
    );
  });
  await attack('octets without a line end', async () => {
    const before = await throwAt(port, Buffer.alloc(2_000_000, 'a'));
    assert.match(before, /BAD|BYE/);
    await throwAt(port, LOGIN, Buffer.alloc(20_000_000, 'a'));
    await throwAt(port, LOGIN, Buffer.alloc(1_000_000, '\0'), Buffer.alloc(1_000_000, '\r'), Buffer.alloc(1_000_000, '\n'));
  });

  await attack('literals that are unbalanced, huge or never sent', async (sub) => {
    for (const stranger of [
      'a LOGIN {5}\r\n',
      'a LOGIN {4096}\r\nabc',
      'a LOGIN {4097}\r\n',
      'a LOGIN {99999999999999999999}\r\n',
      'a LOGIN {4097+}\r\n',
    ])
      assert.doesNotMatch(await throwAt(port, stranger), /a OK/);
    await throwAt(port, LOGIN, 'a SEARCH SUBJECT {10}\r\n12');
    await throwAt(port, LOGIN, 'a APPEND INBOX {1000000}\r\n', randomBytes(1_000));
    const eve = await house.eve(sub);
    await eve.command('SELECT INBOX');
    for (const line of [
      'SEARCH SUBJECT {65537}',
      'SEARCH SUBJECT {4294967296}',
      'SEARCH SUBJECT {18446744073709551616}',
      'SEARCH SUBJECT {99999999999999999999999999999999}',
    ])
      assert.match((await eve.command(line)).done, /^BAD/, line);
    for (const line of [
      'SEARCH SUBJECT {-1}',
      'SEARCH SUBJECT {}',
      'SEARCH SUBJECT {+}',
      'SEARCH SUBJECT {1++}',
      'SEARCH SUBJECT {0x10}',
      'SEARCH SUBJECT ~{2}',
      'SEARCH SUBJECT "a',
    ])
      assert.match((await eve.command(line, 'xy', 'xy')).done, /^(BAD|NO)/, line);
    assert.match((await eve.command('APPEND INBOX {52428801}')).done, /^NO \[TOOBIG\]/);
    assert.match((await eve.command('APPEND INBOX {99999999999999999999}')).done, /^(NO|BAD) \[TOOBIG\]/);
    assert.match((await eve.command('NOOP')).done, /^OK/);
  });
  await attack('non-synchronising literals: above 4096 octets refused, too many refused, the session lives', async (sub) => {
    const eve = await house.eve(sub);
    await eve.command('SELECT INBOX');
    const big = await eve.command(`SEARCH SUBJECT {4097+}\r\n${'x'.repeat(4_097)}`);
    assert.match(big.done, /^BAD/);
    const many = await eve.command(`SEARCH ${'SUBJECT {1+}\r\nx '.repeat(300)}ALL`);
    assert.match(many.done, /^BAD/);
    const total = await eve.command(`SEARCH ${`SUBJECT {4096+}\r\n${'x'.repeat(4_096)} `.repeat(255)}ALL`);
    assert.match(total.done, /^(BAD|OK)/);
    const append = await eve.command(`APPEND INBOX {10000000+}\r\n${'x'.repeat(10_000_000)}`);
    assert.match(append.done, /^(BAD|NO)/);
    assert.match((await eve.command('NOOP')).done, /^OK/);
  });

  await attack('1000 levels of nesting in SEARCH, FETCH, LIST, STORE', async (sub) => {
    const eve = await house.eve(sub);
    await eve.append('INBOX', plainMail('nest-1', 1_000));
    await eve.command('SELECT INBOX');
    const deep = [
      `SEARCH ${'('.repeat(1_000)}ALL${')'.repeat(1_000)}`,
      `SEARCH ${'NOT '.repeat(1_000)}ALL`,
      `SEARCH ${'OR ALL '.repeat(1_000)}ALL`,
      `SEARCH ${'OR '.repeat(1_000)}${'ALL '.repeat(1_000)}ALL`,
      `SEARCH ${'('.repeat(30_000)}`,
      `FETCH 1 ${'('.repeat(1_000)}FLAGS${')'.repeat(1_000)}`,
      `STORE 1 FLAGS ${'('.repeat(1_000)}\\Seen${')'.repeat(1_000)}`,
      `LIST ${'('.repeat(1_000)}`,
      `LIST "" (${'('.repeat(1_000)}`,
      `STATUS INBOX ${'('.repeat(1_000)}`,
      `ID ${'('.repeat(1_000)}`,
      `APPEND INBOX ${'('.repeat(1_000)} {1}`,
    ];
    for (const line of deep) {
      const session = await house.eve(sub);
      await session.command('SELECT INBOX');
      assert.match((await session.command(line)).done, /^BAD/, line.slice(0, 40));
      session.close();
    }
    // Long, but not deep: must be answered, and soon.
    for (const line of [
      `FETCH 1 BODY.PEEK[${'1.'.repeat(1_000)}1]`,
      `FETCH 1 (${'FLAGS '.repeat(9_000)}UID)`,
      `FETCH ${'1:*,'.repeat(15_000)}1 UID`,
      `UID SEARCH UID ${'4294967295:1,'.repeat(4_500)}1`,
      `LIST "" "${'*%'.repeat(500)}x"`,
      `LIST "" "${'%/'.repeat(1_000)}x"`,
      `SEARCH ${'SUBJECT a '.repeat(5_000)}ALL`,
      `STORE 1 +FLAGS (${Array.from({ length: 5_000 }, (_, i) => `K${i}`).join(' ')})`,
    ]) {
      const asked = performance.now();
      assert.match((await eve.command(line)).done, /^(OK|NO|BAD)/, line.slice(0, 40));
      assert.ok(performance.now() - asked < 3_000, `${line.slice(0, 40)} took ${performance.now() - asked} ms`);
    }
  });

  await attack('names of mailboxes, flags and header fields that other programs trip over', async (sub) => {
    const eve = await house.eve(sub);
    const fair = [
      '..',
      '../../etc/passwd',
      'a/../b',
      '__proto__',
      'constructor',
      '__proto__/constructor',
      'hasOwnProperty',
      '$where',
      "'; DROP TABLE x; --",
      'CON',
      'inbox2',
      '&IC4-evil',
      '-rf',
      'a*',
      'a%',
    ];
    for (const name of fair) {
      const { done } = await eve.command(`CREATE {${name.length}}`, name);
      assert.match(done, /^(OK|NO)/, name);
      if (!done.startsWith('OK')) continue;
      assert.match((await eve.command(`SELECT {${name.length}}`, name)).done, /^OK/, name);
      assert.match((await eve.command(`SUBSCRIBE {${name.length}}`, name)).done, /^OK/, name);
      assert.match(await eve.append(name, plainMail(`name-${name.length}`, 500)), /^OK/);
    }
    const foul = [
      'a\0b',
      'a\r\nb',
      'a\nb',
      'a\rb',
      '\x01',
      '',
      '/',
      'a//b',
      '/a',
      '&',
      '&&',
      '&A',
      '&AGE-',
      '&ZZZZ',
      '&2AA-',
      '&2ADYAA-',
      '&-&-&AAAA-',
      '&AA0ACg-',
      'ä',
      '\xff\xfe',
      'x'.repeat(65_536),
      'x'.repeat(10_000),
      'd/'.repeat(2_000),
    ];
    for (const name of foul) {
      const { done } = await eve.command(`CREATE {${name.length}}`, name);
      assert.match(done, /^(NO|BAD)/, JSON.stringify(name.slice(0, 20)));
      assert.match((await eve.command(`SELECT {${name.length}}`, name)).done, /^(NO|BAD)/, JSON.stringify(name.slice(0, 20)));
      assert.match((await eve.command(`RENAME nest {${name.length}}`, name)).done, /^(NO|BAD)/, JSON.stringify(name.slice(0, 20)));
      if (eve.closed) assert.fail('closed');
      await eve.command('NOOP');
      await eve.command('NOOP');
      await eve.command('NOOP');
    }
    assert.match((await eve.command('CREATE "a\0b"')).done, /^BAD/);
    for (const line of [...(await eve.command('LIST "" *')).untagged, ...(await eve.command('LSUB "" *')).untagged])
      assert.match(line, /^\* (LIST|LSUB) \([\\A-Za-z ]*\) "\/" (?:"(?:[^"\\\r\n\0]|\\["\\])*"|[^\s"(){%*\\]+|\{\d+\}\r\n[^\0\r\n]+)$/);
    const ada = await ImapScript.login(sub, port, ADA, PASSWORD);
    assert.doesNotMatch((await ada.command('LIST "" *')).untagged.join(), /proto|etc/);

    await eve.command('SELECT INBOX');
    const raw = Buffer.from(
      '__proto__: polluted\r\nconstructor: c\r\ntoString: s\r\nContent-Type: text/plain; __proto__=1; constructor=2; charset="__proto__"\r\nSubject: odd\r\n\r\nbody\r\n',
    );
    for (const protocol of ['smtp', 'lmtp'] as const) {
      const script = await SmtpScript.open(sub, server.port(protocol), protocol === 'lmtp' ? 'LHLO' : 'EHLO');
      assert.equal((await script.deliver('x@example.org', [EVE], raw))[0]?.code, 250);
    }
    assert.match(await eve.append('INBOX', raw, '(__proto__ constructor toString)'), /^OK/);
    const { untagged } = await eve.command('FETCH * (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (__proto__ constructor)])');
    assert.match(untagged.join('\n'), /__proto__: polluted\r\nconstructor: c\r\n/);
    assert.match(untagged.join('\n'), /FLAGS \([^)]*__proto__[^)]*\)/);
    assert.match((await eve.command('SEARCH HEADER __proto__ polluted KEYWORD __proto__')).untagged.join(), /\* SEARCH \d/);
    assert.match((await eve.command('SEARCH HEADER hasOwnProperty ""')).untagged.join(), /\* SEARCH$/);
    for (const line of [
      '__proto__',
      'constructor',
      'UID __proto__',
      'ENABLE __proto__',
      'STATUS INBOX (__proto__)',
      'FETCH 1 __proto__',
      'AUTHENTICATE __proto__',
    ])
      assert.match((await eve.command(line)).done, /^(BAD|NO|OK)/, line);
  });

  await attack('MIME of 1000 levels and of 20 000 parts', async (sub) => {
    const eve = await house.eve(sub);
    await eve.command('SELECT INBOX');
    const levels = (open: (i: number) => string): Buffer =>
      Buffer.from(`Subject: deep\r\n${Array.from({ length: 1_000 }, (_, i) => open(i)).join('')}\r\nend\r\n`);
    const bad = [
      levels((i) => `Content-Type: multipart/mixed; boundary="b${i}"\r\n\r\n--b${i}\r\n`),
      levels(() => 'Content-Type: message/rfc822\r\n\r\n'),
      Buffer.from(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(20_000)}--b--\r\n`),
      Buffer.from(
        `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'.repeat(5_000)}`,
      ),
      Buffer.from(`To: ${'a@b, '.repeat(100_000)}c@d\r\nSubject: =?utf-8?q?${'=41'.repeat(100_000)}?=\r\n\r\nx\r\n`),
      Buffer.from(`${'Received: x\r\n '.repeat(50_000)}\r\n\r\nx\r\n`),
      Buffer.from(`Content-Type: text/plain; ${Array.from({ length: 10_000 }, (_, i) => `a*${i}*=%41`).join('; ')}\r\n\r\nx\r\n`),
      Buffer.from(`From: ${'('.repeat(100_000)}\r\nTo: ${'<'.repeat(100_000)}\r\nCc: ${'"'.repeat(100_001)}\r\n\r\nx\r\n`),
    ];
    for (const [i, raw] of bad.entries()) {
      const asked = performance.now();
      assert.match(await eve.append('INBOX', raw), /^OK/, `message ${i}`);
      const { untagged, done } = await eve.command('FETCH * (ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE BODY.PEEK[])');
      assert.match(done, /^OK/);
      assert.ok(untagged.join('').includes(raw.toString('latin1')), `message ${i} is not the same`);
      assert.match((await eve.command('SEARCH TEXT nowhere')).done, /^OK/);
      assert.match((await eve.command('FETCH * (BODY.PEEK[1.1.1.1.1.1] BODY.PEEK[1000] BODY.PEEK[1.MIME])')).done, /^(OK|NO)/);
      assert.ok(performance.now() - asked < 5_000, `message ${i} took ${performance.now() - asked} ms`);
    }
  });

  await attack('10 000 commands in one go are all answered, in order', async () => {
    const socket = connect(port, '127.0.0.1');
    const answers = collect(socket);
    socket.write(LOGIN);
    socket.write(Array.from({ length: 10_000 }, (_, i) => `p${i} NOOP\r\n`).join(''));
    socket.end('z LOGOUT\r\n');
    const tags = [...(await answers).matchAll(/^p(\d+) OK/gm)].map(([, n]) => Number(n));
    assert.equal(tags.length, 10_000);
    assert.ok(tags.every((n, i) => n === i));
  });

  await attack('3 bad commands before login and 20 after end in BYE', async () => {
    const stranger = await throwAt(port, 'a1 BLA\r\na2 BLA\r\na3 BLA\r\na4 NOOP\r\n');
    assert.equal([...stranger.matchAll(/^a\d BAD/gm)].length, 3);
    assert.match(stranger, /\* BYE/);
    assert.doesNotMatch(stranger, /a4 OK/);
    const member = await throwAt(port, LOGIN, 'b BLA\r\n'.repeat(25));
    assert.equal([...member.matchAll(/^b BAD/gm)].length, 20);
    assert.match(member, /\* BYE/);
    for (const other of [
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    ])
      assert.doesNotMatch(await throwAt(port, other), /OK (?!\[CAP)/);
  });

  await attack('what is sent in clear behind STARTTLS is never run', async () => {
    for (const pieces of [
      ['a STARTTLS\r\nb CAPABILITY\r\nc CREATE injected\r\n'],
      ['a STARTTLS\r\n', 'b CAPABILITY\r\nc CREATE injected\r\n'],
      ['a STARTTLS\r\nb LOGIN {5}\r\n'],
    ]) {
      const socket = connect(server.port('imap', 'starttls'), '127.0.0.1');
      await once(socket, 'data');
      let plain = '';
      const begun = new Promise<void>((resolve, reject) => {
        socket.on('error', () => undefined);
        socket.on('close', () => reject(new Error(`closed: ${plain}`)));
        socket.on('data', (chunk: Buffer) => {
          plain += chunk.toString('latin1');
          if (/^a OK/m.test(plain)) resolve();
        });
      });
      for (const piece of pieces) socket.write(piece, 'latin1');
      const outcome = await begun.then(
        () => 'begun',
        () => 'closed',
      );
      assert.doesNotMatch(plain, /^[bc] /m);
      if (outcome === 'closed') continue; // closing is as good an answer
      socket.removeAllListeners('data');
      const secure = connectTls({ socket, rejectUnauthorized: false });
      const answer = collect(secure);
      secure.on('secureConnect', () => secure.write('d NOOP\r\ne LOGOUT\r\n'));
      assert.doesNotMatch(await answer, /^[bc] /m);
    }
    const eve = await house.eve(t);
    assert.doesNotMatch((await eve.command('LIST "" *')).untagged.join(), /injected/);
    eve.close();
  });

  await attack('a client that asks for 50 MB and reads nothing costs little', async (sub) => {
    const eve = await house.eve(sub);
    await eve.command('CREATE big');
    const attachment = base64Lines(randomBytes(57 * 1_000)).repeat(300);
    const raw = Buffer.from(`Subject: big\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n${attachment}`);
    assert.match(await eve.append('big', raw), /^OK/);
    await eve.command('SELECT big');
    const { rss } = await memoryOf(server.pid);
    const count = 10;
    const sockets = Array.from({ length: count }, () => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.pause();
      socket.on('error', () => undefined);
      socket.write(`${LOGIN}s SELECT big\r\n${'f FETCH 1 BODY.PEEK[]\r\n'.repeat(4)}`);
      return socket;
    });
    let most = 0;
    for (let i = 0; i < 8; i++) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      most = Math.max(most, (await memoryOf(server.pid)).rss - rss);
    }
    sub.diagnostic(`${count} slow readers: RSS grew by ${mebi(most)}`);
    assert.ok(most < (count + 100) * 1_048_576, `RSS grew by ${mebi(most)}`);
    for (const socket of sockets) socket.destroy();
  });
});

test('slow clients are ended: before login in total, and when they read nothing', async (t) => {
  const house = await hostileHouse(t, {
    config: { limits: { loginTimeMs: 1_500, blockedWriteTimeMs: 1_000, imapConnectionsPerUserAndAddress: 50 } },
  });
  const port = house.server.port('imap');
  const eve = await house.eve(t);
  const line = base64Lines(randomBytes(57 * 1_000));
  assert.match(await eve.append('INBOX', Buffer.from(`Subject: big\r\n\r\n${line.repeat(300)}`)), /^OK/);

  const before = await house.server.metric('pochard_connections');
  const trickling = Array.from({ length: 100 }, () => {
    const socket = connect(port, '127.0.0.1');
    const drip = setInterval(() => socket.write('a'), 100);
    return collect(socket).finally(() => clearInterval(drip));
  });
  const deaf = Array.from({ length: 5 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(`${LOGIN}s SELECT INBOX\r\n${'f FETCH 1 BODY.PEEK[]\r\n'.repeat(4)}`);
    return socket;
  });
  const began = performance.now();
  for (const answer of await Promise.all(trickling)) assert.match(answer, /\* BYE/);
  t.diagnostic(`100 trickling clients ended after ${Math.round(performance.now() - began)} ms (limit 1500)`);
  // A paused socket learns of its end by reading on; the server must have dropped it long before all was sent.
  const dropped = performance.now() + DROPPED_MS;
  while ((await house.server.metric('pochard_connections')) > before) {
    assert.ok(performance.now() < dropped, 'clients that read nothing are still connected');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  for (const socket of deaf) {
    let octets = 0;
    socket.on('data', (chunk: Buffer) => {
      octets += chunk.length;
    });
    socket.resume();
    await once(socket, 'close');
    assert.ok(octets < 50_000_000, `${octets} octets came`);
  }
  await house.unharmed();
});

test('logins: delayed after failures, ended after three; none in clear where it is not allowed', async (t) => {
  const house = await hostileHouse(t);
  const port = house.server.port('imap');
  const guesser = await ImapScript.connect(t, port);
  const began = performance.now();
  assert.match((await guesser.command(`LOGIN ${EVE} wrong1`)).done, /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match((await guesser.command('LOGIN nobody@example.test wrong2')).done, /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match((await guesser.command(`LOGIN ${EVE} wrong3`)).done, /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await guesser.response(), /^\* BYE/);
  assert.ok(performance.now() - began > 900, 'a second guess for the same user waits');
  await house.unharmed();

  const address = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  if (address === undefined) {
    skipLoudly(t, 'this machine has no address but loopback');
    return;
  }
  const away = await hostileHouse(t, {
    config: {
      imap: {
        listeners: [
          { address: '0.0.0.0', port: 0, tls: 'starttls' },
          { address: '127.0.0.1', port: 0, tls: 'none' },
        ],
      },
    },
  });
  const socket = connect(away.server.port('imap', 'starttls'), address);
  const answers = collect(socket);
  socket.end(
    `c CAPABILITY\r\na LOGIN ${EVE} "${PASSWORD}"\r\nb AUTHENTICATE PLAIN\r\nd AUTHENTICATE PLAIN ${Buffer.from(`\0${EVE}\0${PASSWORD}`).toString('base64')}\r\n`,
  );
  const text = await answers;
  assert.match(text, /CAPABILITY [^\r]*LOGINDISABLED/);
  assert.doesNotMatch(text, /AUTH=/);
  assert.match(text, /^a NO \[PRIVACYREQUIRED\]/m);
  assert.doesNotMatch(text, /^[abd] OK|^\+ /m);
  const secure = await ImapScript.connect(t, away.server.port('imap', 'starttls'));
  assert.match((await secure.command('STARTTLS')).done, /^OK/);
});
