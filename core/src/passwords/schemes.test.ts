import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';

import { costLimits } from './cost-limits.ts';
import { Passwords, type PasswordsOptions } from './passwords.ts';
import { coreSchemes } from './scheme-registry.ts';
import { octetVectors, publishedVectors, vectorGroups } from './scheme-vectors.ts';

const secret = Buffer.from('pässword');
const nothing = Buffer.alloc(0);
const { signal } = new AbortController();

function open(t: TestContext, options: Partial<PasswordsOptions> = {}): Passwords {
  const cheap = { memoryKib: 256, passes: 1, parallelism: 1 };
  const passwords = new Passwords({ argon2: cheap, threads: 1, queue: 64, allowWeakSchemes: true, ...options });
  t.after(() => passwords.close());
  return passwords;
}

/** Differs in the first octet, which counts in every scheme, in a bit that counts in every scheme. */
function changed(octets: Buffer): Buffer {
  if (octets.length === 0) return Buffer.from('x');
  const copy = Buffer.from(octets);
  copy.writeUInt8(copy.readUInt8(0) ^ (copy.readUInt8(0) === 2 ? 4 : 2), 0);
  return copy;
}

const md5 = '5ebe2294ecd0e0f08eab7690d2a6ee69';
const sha512 = 'A'.repeat(86);
const malformed: readonly string[] = [
  '{CRYPT}',
  '{CRYPT}secret',
  '{CRYPT}*0',
  '{CRYPT}!$1$saltsalt$QgbQ7EUpcKNQTLgSVL4qr/', // a locked user of shadow(5)
  '{CRYPT}$y$j9T$abcdefgh$0123456789012345678901234567890123456789012',
  '{CRYPT.HEX}zz',
  '{BLF-CRYPT}',
  '$2y$10$abcdefghijklmnopqrstuu',
  '$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e',
  '$2$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  '$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  '$2a$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  '$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  '$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
  '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe',
  '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n',
  `$6$rounds=1000001$salt$${sha512}`,
  `$6$rounds=2147483648$salt$${sha512}`,
  `$6$rounds=9999999999$salt$${sha512}`,
  `$6$rounds=999$salt$${sha512}`,
  `$6$rounds=0$salt$${sha512}`,
  `$6$rounds=-1$salt$${sha512}`,
  `$6$rounds=$salt$${sha512}`,
  `$6$saltsaltsaltsaltX$${sha512}`,
  `$6$salt$${sha512}A`,
  `$6$salt$${'A'.repeat(43)}`,
  `$5$salt$${sha512}`,
  `$6$sa lt$${sha512}`,
  '$6$salt$',
  '$1$saltsalt$QgbQ7EUpcKNQTLgSVL4qr',
  '$1$saltsaltX$QgbQ7EUpcKNQTLgSVL4qr/',
  '$apr1$$',
  '$P$Zsaltsaltaaaaaaaaaaaaaaaaaaaaaa', // 2^37 rounds
  '$P$Jsaltsaltaaaaaaaaaaaaaaaaaaaaaa', // 2^21 rounds
  '$P$.saltsaltaaaaaaaaaaaaaaaaaaaaaa',
  '$H$9saltsalt',
  '{PHPASS}9saltsaltaaaaaaaaaaaaaaaaaaaaaa',
  '{DES-CRYPT}abJnggxhB/yW',
  '{DES-CRYPT}abJnggxhB/yWIx',
  '{DES-CRYPT}_9G..8147mpcfKT8g0U.',
  '{SCRAM-SHA-256}2147483648,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  '{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  '{SCRAM-SHA-256}4096,,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  '{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,,',
  '{SCRAM-SHA-1}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
  '{PBKDF2_SHA256}AAAIAA==',
  `{PBKDF2_SHA256}${Buffer.alloc(324, 255).toString('base64')}`, // 2^32 - 1 iterations
  `{PBKDF2_SHA256}${Buffer.alloc(324).toString('base64')}`,
  'pbkdf2_sha256$5000001$saltsalt$6h4IQHL9HWR81h+An2xpgQd08jjehAg7eLRyOAYi/os=',
  'pbkdf2_md5$1000$saltsalt$6h4IQHL9HWR81h+An2xpgQ==',
  '{SMD5}Xr4ilOzQ4PCOq3aQ0qbuaQ==', // no salt
  `{PLAIN-MD5}${md5}00`,
  '{MD5}secret',
  '{CRAM-MD5}0011',
  '{PLAIN}', // a column that nobody filled lets nobody in
  '{CLEARTEXT.B64}',
  '{PLAIN.HEX}zz',
  '{PLAIN.B64}*',
  '{PLAIN-TRUNC}secret', // as doveadm pw writes it, and Dovecot refuses it
  '{PLAIN-TRUNC}0-', // would let everyone in
  '{PLAIN-TRUNC}-secret',
  '{DIGEST-MD5}a89185c9df609bc6659700ecd5e965c7',
  '{OTP}sha1 1024 97ea8a432882f76c 6957169ea9f9b42e',
];

test('a stored value that is malformed or asks for absurd work is an error at once, never a match and never "wrong password"', async (t) => {
  const passwords = open(t);
  for (const stored of malformed) {
    await assert.rejects(passwords.verify(secret, stored, signal), { name: 'PasswordError', code: 'invalid-stored' }, stored);
    assert.throws(() => passwords.requireUsable(stored), { name: 'PasswordError', code: 'invalid-stored' }, stored);
  }
});

test('an error never tells the stored value', async (t) => {
  const passwords = open(t);
  for (const stored of malformed.filter(({ length }) => length > 20)) {
    await assert.rejects(passwords.verify(secret, stored, signal), ({ message }: Error) => !message.includes(stored.slice(-12)));
  }
});

for (const { by, stored: all } of vectorGroups) {
  test(`right password, wrong password, no password: ${by}`, async (t) => {
    const passwords = open(t);
    for (const stored of all) {
      passwords.requireUsable(stored);
      assert.equal(await passwords.verify(secret, stored, signal), 'match', stored);
      assert.equal(await passwords.verify(changed(secret), stored, signal), 'mismatch', stored);
      assert.equal(await passwords.verify(nothing, stored, signal), 'mismatch', stored);
      assert.equal(passwords.needsRehash(stored), !stored.startsWith('{ARGON2ID}') && !stored.startsWith('$argon2id$'), stored);
    }
  });
}

for (const [by, text, stored] of publishedVectors) {
  test(`a published example holds: ${stored.slice(0, 20)} of ${by}`, async (t) => {
    const passwords = open(t);
    assert.equal(await passwords.verify(Buffer.from(text), stored, signal), 'match');
    assert.equal(await passwords.verify(changed(Buffer.from(text)), stored, signal), 'mismatch');
  });
}

test('passwords are octets: any length and any octet gives what crypt(3) gives', async (t) => {
  const passwords = open(t, { queue: 400 });
  await Promise.all(
    octetVectors.map(async ([length, stored]) => {
      const octets = Buffer.from(Array.from({ length }, (_, at) => 1 + ((7 * at + 3 * length) % 250)));
      const name = `${stored} of ${length} octets`;
      assert.equal(await passwords.verify(octets, stored, signal), 'match', name);
      assert.equal(await passwords.verify(changed(octets), stored, signal), 'mismatch', name);
    }),
  );
});

test('an empty password matches only where it was set', async (t) => {
  const passwords = open(t);
  for (const [length, stored] of octetVectors) {
    if (length > 1) continue;
    assert.equal(await passwords.verify(nothing, stored, signal), length === 0 ? 'match' : 'mismatch', stored);
  }
  assert.equal(await passwords.verify(nothing, '{PLAIN}x', signal), 'mismatch');
});

test('bcrypt takes 72 octets and DES eight, as the tools do; no other scheme is cut', async (t) => {
  const passwords = open(t);
  const a = (length: number) => Buffer.alloc(length, 'a');
  // htpasswd -nbB -C 4 and mkpasswd -m descrypt -S ab, of 72 and 8 times "a"; both tools and password_verify() agree on the rest.
  const bcrypt = '$2y$04$KIL2CNDwDlpzAxmPvDEk2O04izdtMFvj/tzd1OUw0ml.22pyW3zbq';
  const des = 'abBUNZY4cR2mg';
  const rows: readonly (readonly [string, number])[] = [
    [bcrypt, 72],
    [des, 8],
  ];
  for (const [stored, count] of rows) {
    assert.equal(await passwords.verify(a(count), stored, signal), 'match');
    assert.equal(await passwords.verify(a(count + 1), stored, signal), 'match');
    assert.equal(await passwords.verify(a(1000), stored, signal), 'match');
    assert.equal(await passwords.verify(Buffer.concat([a(count), Buffer.from([0, 1])]), stored, signal), 'match');
    assert.equal(await passwords.verify(a(count - 1), stored, signal), 'mismatch');
  }
  for (const [length, stored] of octetVectors) {
    if (length !== 100 || stored.startsWith('$2')) continue;
    const octets = Buffer.from(Array.from({ length }, (_, at) => 1 + ((7 * at + 3 * length) % 250)));
    assert.equal(await passwords.verify(octets.subarray(0, 99), stored, signal), 'mismatch', stored);
  }
});

test('DES looks at seven bits of an octet, as crypt(3) does', async (t) => {
  const passwords = open(t);
  // crypt(3) of libxcrypt 4.4 of b'p\xc3ssword'
  assert.equal(await passwords.verify(Buffer.from('pCssword'), 'abXzylmAy1E.I', signal), 'match');
});

test('what follows a NUL is never ignored: crypt(3) would stop there, so such a password is wrong', async (t) => {
  const passwords = open(t);
  const tail = Buffer.concat([secret, Buffer.from('\0tail')]);
  for (const stored of vectorGroups.flatMap((group) => group.stored)) {
    if (stored.startsWith('{PLAIN-TRUNC}') || stored.includes('argon2')) continue;
    const isDes = /^(?:\{(?:DES-)?CRYPT(?:\.hex)?\})?(?:[./0-9A-Za-z]{13}|[0-9A-Fa-f]{26})$/i.test(stored);
    assert.equal(await passwords.verify(tail, stored, signal), isDes ? 'match' : 'mismatch', stored); // DES: the eighth octet is the r
  }
});

test('a password with NUL and octets that are not UTF-8 matches in schemes that take all octets', async (t) => {
  const passwords = open(t);
  // hashlib and base64 of Python 3.11 of b'a\x00\xff\xfe'; salt b'salt', 1000 iterations
  for (const stored of [
    '{SSHA}b8YjttQpHqYUBeJp60Dw7fyXzY5zYWx0',
    '{SSHA512}NkpVSLX0WTZT7OqYmZ4upGFf5biP/nB90Um02ciN09ql1sCZaCegPcDysaQUu0So5Z6iI3EE8+gaxnSVZ8EcH3NhbHQ=',
    '{SHA256.HEX}68b9f130f50d86224bc398434764cd9ff44d27317c8a76e055e0f5955fa7bb32',
    '{PLAIN-MD5}fae1c84279bdca3f8bdd6c644be7259f',
    '{PLAIN.HEX}6100fffe',
    '{PLAIN.B64}YQD//g==',
    '{PBKDF2}$1$salt$1000$fceb9fbd1841dd84e1e76017a7cc5ac8e33d6ee5',
    'pbkdf2_sha256$1000$salt$9xVButNIJOUhCOfk0Qhm40hocLihGi/ZWuUR8NhV4tw=',
  ]) {
    assert.equal(await passwords.verify(Buffer.from([0x61, 0, 0xff, 0xfe]), stored, signal), 'match', stored);
    assert.equal(await passwords.verify(Buffer.from([0x61, 0, 0xff, 0xfd]), stored, signal), 'mismatch', stored);
    assert.equal(await passwords.verify(Buffer.from([0x61]), stored, signal), 'mismatch', stored);
    assert.equal(await passwords.verify(Buffer.from('a\0\ufffd\ufffd'), stored, signal), 'mismatch', stored);
  }
});

const weak = [
  '{PLAIN}x',
  '{CLEARTEXT.HEX}78',
  '{PLAIN-TRUNC}1-x',
  `{PLAIN-MD5}${md5}`,
  `{LDAP-MD5.HEX}${md5}`,
  `{MD5}${md5}`,
  `{PLAIN-MD4}${md5}`,
  `{CRAM-MD5}${md5}${md5}`,
  '{SMD5}QS8Fz2j2Y5/RtZ6a7IdpGmMicHo=',
  '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
  '{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=',
  '{DES-CRYPT}y3BSstIZ6z0t.',
  '{CRYPT}y3BSstIZ6z0t.',
  '{SHA512-CRYPT}y3BSstIZ6z0t.',
  '{CRYPT.b64}eTNCU3N0SVo2ejB0Lg==',
  'y3BSstIZ6z0t.',
];
test('weak schemes need allowWeakSchemes, whatever the label says', async (t) => {
  const strict = open(t, { allowWeakSchemes: false });
  const lax = open(t);
  for (const stored of weak) {
    await assert.rejects(strict.verify(secret, stored, signal), { code: 'weak-scheme' }, stored);
    assert.throws(() => strict.requireUsable(stored), { code: 'weak-scheme' }, stored);
    lax.requireUsable(stored);
    assert.equal(await lax.verify(secret, stored, signal), 'mismatch', stored);
  }
});

test('slow schemes leave the event loop free', async (t) => {
  const passwords = open(t, { threads: 1 });
  const stored = '$2a$11$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
  let isDone = false;
  const done = passwords.verify(secret, stored, signal).finally(() => (isDone = true));
  let turns = 0;
  while (!isDone) {
    await new Promise(setImmediate);
    turns++;
  }
  assert.equal(await done, 'mismatch');
  assert.ok(turns > 50, `the loop turned ${turns} times meanwhile`);
  const slow = coreSchemes.filter(({ runs }) => runs !== 'inline').flatMap(({ names }) => names);
  for (const name of ['BLF-CRYPT', 'SHA512-CRYPT', 'SHA256-CRYPT', 'MD5-CRYPT', 'DES-CRYPT', 'PHPASS', 'PBKDF2', 'SCRAM-SHA-1', 'ARGON2I'])
    assert.ok(slow.includes(name), name);
});

test('the page about password schemes names every scheme, its strength and every limit', async () => {
  const page = await readFile(new URL('../../../docs/password-schemes.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('|'));
  for (const { names, prefixes, strength } of coreSchemes) {
    for (const name of [...names, ...prefixes]) {
      const row = rows.find((line) => line.includes(`\`${name}\``));
      assert.ok(row, name);
      if (names.includes(name)) assert.ok(row.includes(`| ${strength} |`), `${name} is ${strength}`);
    }
  }
  for (const [limit, value] of Object.entries(costLimits)) {
    assert.ok(
      rows.some((line) => line.includes(`\`${limit}\``) && line.includes(value.toLocaleString('en'))),
      `${limit} ${value}`,
    );
  }
});

test('a kind of crypt that is not supported is named, so that the administrator knows what to do', async (t) => {
  const passwords = new Passwords({
    argon2: { memoryKib: 7_168, passes: 1, parallelism: 1 },
    threads: 1,
    queue: 8,
    allowWeakSchemes: true,
  });
  t.after(() => passwords.close());
  for (const stored of ['$y$j9T$abcdefgh$0123456789', '{CRYPT}$y$j9T$abcdefgh$0123456789', '{SHA512-CRYPT}$y$j9T$x$y']) {
    const verified = passwords.verify(Buffer.from('x'), stored, new AbortController().signal);
    await assert.rejects(verified, {
      code: 'invalid-stored',
      message: stored.startsWith('{SHA') ? /./ : /yescrypt \(\$y\$\) is not supported/,
    });
  }
});
