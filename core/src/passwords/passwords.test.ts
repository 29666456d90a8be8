import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';

import { hashNow, Passwords, type PasswordsOptions } from './passwords.ts';

const cheap = { memoryKib: 256, passes: 1, parallelism: 1 };
const secret = Buffer.from('pässword');
const wrong = Buffer.from('passwörd');
const { signal } = new AbortController();

function open(t: TestContext, options: Partial<PasswordsOptions> = {}): Passwords {
  const passwords = new Passwords({ argon2: cheap, threads: 2, queue: 64, allowWeakSchemes: false, ...options });
  t.after(() => passwords.close());
  return passwords;
}

const malformed: readonly string[] = [
  '',
  'secret',
  '{}x',
  '{NOSUCH}x',
  '{__proto__}x',
  '{constructor}x',
  '{SHA.ROT13}x',
  '{SSHA}',
  '{SSHA}!!!!',
  '{SSHA}eXQMN0j6D6qI3OzmNr/jmX5tFsI=', // no salt
  '{SHA256}NHgme1Y=',
  '{SHA256.HEX}3478267',
  '{ARGON2ID}',
  '{ARGON2ID}$argon2i$v=19$m=256,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=999999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=256,t=99999999,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=256,t=2,p=64$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=256,t=2,p=1$c29t$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
  '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$',
  '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65 EOgL',
  '$pbkdf2-sha256$0$AAECAwQF$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns.sglAvd4sSjw',
  '$pbkdf2-sha256$999999999$AAECAwQF$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns.sglAvd4sSjw',
  '$pbkdf2-sha256$1000$AAECAwQF$',
  '$pbkdf2-sha256$1000',
  '{PBKDF2}$1$saltsalt$1000$zz',
  '{PBKDF2-MD5}1000$AAECAwQF$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns.sglAvd4sSjw',
  `{SSHA}${'A'.repeat(5000)}`,
];

for (const stored of malformed) {
  test(`a stored ${JSON.stringify(stored.slice(0, 70))} is an error, never "wrong password" and never a match`, async (t) => {
    const passwords = open(t, { allowWeakSchemes: true });
    await assert.rejects(passwords.verify(secret, stored, signal), (error: Error) => {
      assert.equal(error.name, 'PasswordError');
      assert.equal('code' in error && error.code, 'invalid-stored');
      assert.ok(stored.length < 20 || !error.message.includes(stored.slice(-12)), 'the stored value is not in the message');
      return true;
    });
  });
}

/** By `doveadm pw` 2.3 and by Python's hashlib, all of the same password. */
const imported: readonly string[] = [
  '{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$K4knp09t4NdG+Thj8iTbhA$yQHqZlsifqObQ2gO73HOvO9SgGiZi2qjgDTuEXmlUbU',
  '$argon2i$v=19$m=32768,t=4,p=1$/oDaMWEqb7GRCojoVJLGPw$tcDbLn4eWfBVsILHgMPxeDnxHE4xypXIvG7rUNHbvy4',
  '{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$/oDaMWEqb7GRCojoVJLGPw$tcDbLn4eWfBVsILHgMPxeDnxHE4xypXIvG7rUNHbvy4',
  '{CRYPT}$argon2i$v=19$m=32768,t=4,p=1$/oDaMWEqb7GRCojoVJLGPw$tcDbLn4eWfBVsILHgMPxeDnxHE4xypXIvG7rUNHbvy4',
  '{PBKDF2}$1$9EtpfSceGUdnRQYm$5000$4d063494bad804e6ea1d4c13e52c26cfc8695dab',
  '{PBKDF2}$1$saltsalt$1000$ab435c9edc210a52f7aa310b43a25d5d7c1f6fac',
  '$pbkdf2-sha256$1000$AAECAwQFBgcICQoLDA0ODw$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns.sglAvd4sSjw',
  '{PBKDF2-SHA256}1000$AAECAwQFBgcICQoLDA0ODw$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns.sglAvd4sSjw',
  '{pbkdf2-sha256}$pbkdf2-sha256$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$T0Z5wUqa/rr8kWb7KeLsnYrEP6Go8Ns+sglAvd4sSjw',
  '$pbkdf2-sha512$1000$AAECAwQFBgcICQoLDA0ODw$y/eRj2FwHgs6A0d8wKheOWOR5PjlKZUVEID5K8lrpY3fVCUnILd/a7SvXHROar5bA9d3J9zVifnM9vYjy0q8ZQ',
  'pbkdf2_sha256$1000$saltsalt$6h4IQHL9HWR81h+An2xpgQd08jjehAg7eLRyOAYi/os=',
  '{SSHA}eXQMN0j6D6qI3OzmNr/jmX5tFsKs2zS1',
  '{ssha}kDJH43m4r76VNznhYS+DfYAWbO9zYWx0',
  '{SSHA256}kOo3Qspb2gB+SZon2ncs576o8mje066ZnhxoYZXWZYgyJGB8',
  '{SSHA384}J9danNErlXvUhvHyDS/9XP2qj5JNLS0TGQG606qy2jXlcSJTyREC5qb8XRBWGx+pc2FsdA==',
  '{SSHA512}tjMLumgDMoyuC8hmI8PUpMOVFKnGqGESS6xMPPU8uSzzUtucXLuNx+NxgNi9SRzfQnmiaWzTyJkmTJXJVyjd5IFlLj4=',
  '{SSHA256.HEX}bdd3423100def227753c8a1b4878977ee6d7cc8fc01545be88b1a306e5c0cf5ff693d4f6',
  '{SSHA256.hex}eebd07b8d6aeec5541eeba010c8dad085b3d2dfb695a98155626bc24d3a4f04d73616c74',
  '{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=',
  '{SHA1}I7dElEdfX4dJgLdnbVEeI9iG2mQ=',
  '{SHA256}NHgme1YSeRtAmIkGs6eJfrarUB4EuV7TL5nQr99mnZw=',
  '{SHA256}3478267b5612791b40988906b3a7897eb6ab501e04b95ed32f99d0afdf669d9c',
  '{SHA256.HEX}3478267b5612791b40988906b3a7897eb6ab501e04b95ed32f99d0afdf669d9c',
  '{SHA512}KF3icbSeAO9oGc8Ku/AxXpfCXLo2FhZ8dw78Umxki03hH0sA3HH67TOjEse6g2kNPtFKqq32tiKqSJlv8H7IpA==',
];

for (const stored of imported) {
  test(`an imported ${stored.slice(0, 40)} knows the right password from a wrong one`, async (t) => {
    const passwords = open(t, { allowWeakSchemes: true });
    assert.equal(await passwords.verify(wrong, stored, signal), 'mismatch');
    assert.equal(await passwords.verify(Buffer.alloc(0), stored, signal), 'mismatch');
    assert.equal(await passwords.verify(secret, stored, signal), 'match');
    assert.equal(passwords.needsRehash(stored), !stored.startsWith('{ARGON2ID}'));
    passwords.requireUsable(stored);
  });
}

test('the reference vectors of Argon2 hold', async (t) => {
  const passwords = open(t);
  const password = Buffer.from('password');
  for (const stored of [
    '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4',
    '$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG',
  ]) {
    assert.equal(await passwords.verify(password, stored, signal), 'match');
  }
});

test('plain text is refused unless the configuration allows it', async (t) => {
  const strict = open(t);
  await assert.rejects(strict.verify(secret, '{PLAIN}pässword', signal), { code: 'weak-scheme' });
  assert.throws(() => strict.requireUsable('{PLAIN}pässword'), { code: 'weak-scheme' });
  const lax = open(t, { allowWeakSchemes: true });
  assert.equal(await lax.verify(wrong, '{PLAIN}pässword', signal), 'mismatch');
  assert.equal(await lax.verify(secret, '{PLAIN}pässword', signal), 'match');
  assert.equal(await lax.verify(Buffer.from('}x'), '{CLEARTEXT}}x', signal), 'match');
});

test('a new hash matches its secret only, is salted, and leaves the secret of the caller alone', async (t) => {
  const passwords = open(t);
  const [first, second] = await Promise.all([passwords.hash(secret, signal), passwords.hash(secret, signal)]);
  assert.match(first, /^\{ARGON2ID\}\$argon2id\$v=19\$m=256,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(first, second);
  assert.equal(await passwords.verify(secret, first, signal), 'match');
  assert.equal(await passwords.verify(wrong, first, signal), 'mismatch');
  assert.equal(secret.toString(), 'pässword');
  assert.equal(await passwords.verify(secret, hashNow(secret, cheap), signal), 'match');
});

test('a hash with less work than is configured is to be renewed, one with more is not', async (t) => {
  const stored = await open(t).hash(secret, signal);
  assert.equal(open(t).needsRehash(stored), false);
  assert.equal(open(t, { argon2: { ...cheap, memoryKib: 512 } }).needsRehash(stored), true);
  assert.equal(open(t, { argon2: { ...cheap, passes: 2 } }).needsRehash(stored), true);
  assert.equal(open(t, { argon2: { ...cheap, memoryKib: 128 } }).needsRehash(stored), false);
});

test('a user who does not exist is a mismatch after the same work', async (t) => {
  const passwords = open(t, { threads: 1, queue: 1 });
  const running = [passwords.verify(secret, undefined, signal), passwords.verify(secret, undefined, signal)];
  await assert.rejects(passwords.verify(secret, undefined, signal), { code: 'unavailable' }); // so it went through the queue
  assert.deepEqual(await Promise.all(running), ['mismatch', 'mismatch']);
});

test('a password of megabytes is a mismatch and cannot be set', async (t) => {
  const passwords = open(t, { allowWeakSchemes: true });
  const huge = Buffer.alloc(1_000_000, 97);
  assert.equal(await passwords.verify(huge, `{PLAIN}${'a'.repeat(2000)}`, signal), 'mismatch');
  await assert.rejects(passwords.hash(huge, signal), RangeError);
});

test('beyond the queue a check is unavailable, those that wait are answered', async (t) => {
  const passwords = open(t, { threads: 2, queue: 3 });
  const stored = hashNow(secret, cheap);
  const checks = Array.from({ length: 5 }, () => passwords.verify(secret, stored, signal));
  await assert.rejects(passwords.verify(secret, stored, signal), { name: 'PasswordError', code: 'unavailable' });
  assert.deepEqual(await Promise.all(checks), ['match', 'match', 'match', 'match', 'match']);
});

test('a client that goes away frees its place in the queue', async (t) => {
  const passwords = open(t, { threads: 1, queue: 1 });
  const stored = hashNow(secret, cheap);
  const running = passwords.verify(secret, stored, signal);
  const leaving = new AbortController();
  const left = assert.rejects(passwords.verify(secret, stored, leaving.signal), /gone/);
  leaving.abort(new Error('gone'));
  await left;
  const next = passwords.verify(secret, stored, signal);
  assert.deepEqual(await Promise.all([running, next]), ['match', 'match']);
  await assert.rejects(passwords.verify(secret, stored, leaving.signal), /gone/);
});

test('close refuses what waits and what runs, and all that comes later', async (t) => {
  const passwords = open(t, { threads: 1 });
  const stored = hashNow(secret, cheap);
  const checks = [1, 2, 3].map(() => assert.rejects(passwords.verify(secret, stored, signal), { code: 'closed' }));
  await passwords.close();
  await Promise.all(checks);
  await assert.rejects(passwords.hash(secret, signal), { code: 'closed' });
});

test('a scheme of someone else runs in the threads too; one that dies or throws is unavailable', async (t) => {
  const reversed = {
    names: ['REVERSED'],
    prefixes: ['$rev$'],
    strength: 'normal',
    runs: new URL('./test-scheme.ts', import.meta.url),
    check: () => false,
  } as const;
  const passwords = open(t, { schemes: [reversed], threads: 1 });
  assert.equal(await passwords.verify(Buffer.from('abc'), '{REVERSED}cba', signal), 'match');
  assert.equal(await passwords.verify(Buffer.from('abc'), '{REVERSED}abc', signal), 'mismatch');
  await assert.rejects(passwords.verify(Buffer.from('throw'), '{REVERSED}x', signal), { code: 'unavailable' });
  await assert.rejects(passwords.verify(Buffer.from('die'), '{REVERSED}x', signal), { code: 'unavailable' });
  assert.equal(await passwords.verify(Buffer.from('abc'), '{REVERSED}cba', signal), 'match');
  assert.throws(() => open(t, { schemes: [reversed, reversed] }), /two password schemes are called REVERSED/);
});
