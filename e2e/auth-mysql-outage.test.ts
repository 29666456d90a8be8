/** A database that is stopped, frozen, slow or wrong is never "wrong password", never "no such user", and never lets anybody in. */
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ImapScript } from './support/imap-script.ts';
import { MailScript } from './support/mail-script.ts';
import { type MariaDb, startMariaDb } from './support/mariadb.ts';
import { mustRun } from './support/run-program.ts';
import { startServer, type TestServer, temporaryFolder } from './support/server.ts';

const SCHEMA = join(import.meta.dirname, '..', 'plugins', 'auth-mysql', 'test', 'schemas', 'postfixadmin.sql');
const PASSWORD = 'pässword';
const HASH = '$1$saltsalt$QgbQ7EUpcKNQTLgSVL4qr/'; // openssl passwd -1
const CACHE_MS = 4_000;
const RECOVERY_MS = 5_000;
const UNAVAILABLE = /^NO \[UNAVAILABLE\]/;

async function login(t: TestContext, server: TestServer, user: string, password = PASSWORD): Promise<string> {
  const script = await ImapScript.connect(t, server.port('imap'));
  const { done } = await script.command(`AUTHENTICATE PLAIN ${Buffer.from(`\0${user}\0${password}`, 'utf8').toString('base64')}`);
  script.close();
  return done;
}
async function rcpt(t: TestContext, server: TestServer, to: string, protocol: 'lmtp' | 'smtp' = 'lmtp'): Promise<string> {
  const script = await MailScript.connect(t, server.port(protocol), protocol === 'lmtp' ? 'LHLO x' : 'EHLO x');
  await script.command('MAIL FROM:<x@example.org>');
  return script.command(`RCPT TO:<${to}>`);
}
/** Milliseconds until the user gets in; each attempt may only meet "unavailable". */
async function recovered(t: TestContext, server: TestServer, user: string): Promise<number> {
  const started = performance.now();
  for (;;) {
    const done = await login(t, server, user);
    const ms = performance.now() - started;
    if (done.startsWith('OK')) return ms;
    assert.match(done, UNAVAILABLE);
    assert(ms < RECOVERY_MS, `not back after ${Math.round(ms)} ms`);
    await delay(400);
  }
}
interface Case {
  readonly database: MariaDb;
  readonly server: TestServer;
}
async function start(
  t: TestContext,
  database: MariaDb,
  more: Readonly<Record<string, unknown>> = {},
  connection: Readonly<Record<string, unknown>> = {},
): Promise<Case> {
  const config = {
    connection: { ...database.connection('mail'), queryTimeoutMs: 800, connectTimeoutMs: 800, retryMs: 200, ...connection },
    preset: 'postfixadmin',
    cache: { acceptedMs: CACHE_MS },
    ...more,
  };
  return { database, server: await startServer(t, { config: { plugins: [{ use: 'auth-mysql', config }] } }) };
}
/** More calls of each hook than the faults in a row at which the guard's breaker opens. */
const STREAM = 12;
/** Under a stream of logins and recipients nobody gets in, nobody is told that a password or an address is wrong. @returns ms for four answers */
async function unavailable(t: TestContext, { server }: Case, user = 'bob@a.example'): Promise<number> {
  const started = performance.now();
  for (let turn = 0; turn < STREAM / 2; turn += 1) {
    await Promise.all([
      login(t, server, user, 'wrong').then((done) => assert.match(done, UNAVAILABLE)),
      login(t, server, user).then((done) => assert.match(done, UNAVAILABLE)),
      rcpt(t, server, 'info@a.example').then((reply) => assert.match(reply, /^451 4\.3\.0/)),
      rcpt(t, server, 'never@a.example', 'smtp').then((reply) => assert.match(reply, /^451 4\.3\.0/)),
    ]);
  }
  return (performance.now() - started) / (STREAM / 2);
}

test('a database that fails is unavailable, and is back within five seconds', async (t) => {
  const database = await startMariaDb(t);
  if (database === undefined) return;
  await database.createDatabase('mail', `SET @hash = '${HASH}';\n${await readFile(SCHEMA, 'utf8')}`);

  await t.test('killed: a remembered login ends with the time of the cache', async (t) => {
    const it = await start(t, database);
    const { server } = it;
    assert.match(await login(t, server, 'ada@a.example'), /^OK/);
    const remembered = performance.now();
    await database.kill();
    assert.match(await login(t, server, 'ada@a.example', 'wrong'), UNAVAILABLE);
    let accepted = 0;
    for (;;) {
      const asked = performance.now();
      const done = await login(t, server, 'ada@a.example');
      if (!done.startsWith('OK')) {
        assert.match(done, UNAVAILABLE);
        break;
      }
      accepted += 1;
      assert(asked - remembered < CACHE_MS, 'accepted after its time');
      await delay(200);
    }
    assert(accepted > 0);
    await unavailable(t, it);
    await database.start();
    t.diagnostic(`${accepted} logins from memory; back after ${Math.round(await recovered(t, server, 'bob@a.example'))} ms`);
    assert.match(await rcpt(t, server, 'info@a.example'), /^250/);
    assert.match(await login(t, server, 'bob@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
  });

  await t.test('frozen: connections stay open and nothing is answered', async (t) => {
    const it = await start(t, database, { cache: { acceptedMs: 120_000 } });
    // Each instance remembers for itself; connections go to them in turn.
    for (const _ of it.server.instances) assert.match(await login(t, it.server, 'ada@a.example'), /^OK/);
    database.freeze();
    try {
      t.diagnostic(`four answers at once in ${Math.round(await unavailable(t, it))} ms, as a mean`);
      assert.match(await login(t, it.server, 'ada@a.example'), /^OK/); // remembered
    } finally {
      database.thaw();
    }
    t.diagnostic(`back after ${Math.round(await recovered(t, it.server, 'bob@a.example'))} ms`);
  });

  await t.test('slow: each query takes 30 s', async (t) => {
    const it = await start(t, database);
    await database.sql(
      'RENAME TABLE mailbox TO real_mailbox; CREATE VIEW mailbox AS SELECT * FROM real_mailbox WHERE SLEEP(30) = 0;',
      'mail',
    );
    t.diagnostic(`four answers at once in ${Math.round(await unavailable(t, it))} ms, as a mean`);
    await database.sql('DROP VIEW mailbox; RENAME TABLE real_mailbox TO mailbox;', 'mail');
    t.diagnostic(`back after ${Math.round(await recovered(t, it.server, 'bob@a.example'))} ms`);
  });

  await t.test('wrong schema: a column has another name, a table is missing', async (t) => {
    const it = await start(t, database);
    await database.sql('ALTER TABLE mailbox CHANGE password pass VARCHAR(255)', 'mail');
    await unavailable(t, it);
    await database.sql('ALTER TABLE mailbox CHANGE pass password VARCHAR(255)', 'mail');
    await recovered(t, it.server, 'bob@a.example');
    await database.sql('RENAME TABLE domain TO gone', 'mail');
    await unavailable(t, it, 'full@a.example');
    await database.sql('RENAME TABLE gone TO domain', 'mail');
    t.diagnostic(`back after ${Math.round(await recovered(t, it.server, 'full@a.example'))} ms`);
  });

  await t.test('refused: the database does not know our password', async (t) => {
    await unavailable(t, await start(t, database, {}, { password: 'another' }));
  });

  await t.test('down when the server starts', async (t) => {
    await database.stop();
    const it = await start(t, database);
    await unavailable(t, it);
    await database.start();
    t.diagnostic(`back after ${Math.round(await recovered(t, it.server, 'bob@a.example'))} ms`);
  });

  await t.test('a dead replica costs nothing but a moment, and a dead primary leaves the replica', async (t) => {
    const { port } = database.connection('mail');
    const dead = await start(t, database, { readReplicas: [{ host: '127.0.0.1', port: 1 }] });
    assert.match(await login(t, dead.server, 'bob@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
    assert.match(await login(t, dead.server, 'bob@a.example'), /^OK/);
    const left = await start(t, database, { readReplicas: [{ host: '127.0.0.1', port }] }, { port: 1 });
    assert.match(await login(t, left.server, 'bob@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
    assert.match(await login(t, left.server, 'bob@a.example'), /^OK/);
    assert.match(await rcpt(t, left.server, 'info@a.example'), /^250/);
  });

  await t.test('a name that is interpolated is refused before the server starts', async (t) => {
    await assert.rejects(
      start(t, database, { preset: undefined, queries: { user: "SELECT username, password FROM mailbox WHERE username = '%u'" } }),
      /auth-mysql.*interpolates %u/s,
    );
  });
});

test('TLS: the certificate counts, and nothing is asked in the clear', async (t) => {
  const folder = await temporaryFolder(t);
  await chmod(folder, 0o755);
  const at = (name: string) => join(folder, name);
  const ca = async (name: string) => {
    const args = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      at(`${name}.key`),
      '-out',
      at(`${name}.pem`),
    ];
    await mustRun('openssl', args);
  };
  await ca('ours');
  await ca('theirs');
  await mustRun('openssl', [
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-subj',
    '/CN=localhost',
    '-keyout',
    at('server.key'),
    '-out',
    at('server.csr'),
  ]);
  await writeFile(at('san'), 'subjectAltName=DNS:localhost\n');
  const signing = ['-CA', at('ours.pem'), '-CAkey', at('ours.key'), '-CAcreateserial', '-days', '2', '-extfile', at('san')];
  await mustRun('openssl', ['x509', '-req', '-in', at('server.csr'), ...signing, '-out', at('server.pem')]);
  await chmod(at('server.key'), 0o644); // for the user that mariadbd runs as
  const database = await startMariaDb(t, [`--ssl-cert=${at('server.pem')}`, `--ssl-key=${at('server.key')}`, `--ssl-ca=${at('ours.pem')}`]);
  if (database === undefined) return;
  await database.createDatabase('mail', `SET @hash = '${HASH}';\n${await readFile(SCHEMA, 'utf8')}`);
  await database.sql("ALTER USER 'pochard'@'%' REQUIRE SSL");

  const withTls = (tls: Readonly<Record<string, unknown>> | undefined) =>
    start(t, database, {}, { host: 'localhost', ...(tls === undefined ? {} : { tls }) });
  assert.match(await login(t, (await withTls({ caFile: at('ours.pem') })).server, 'ada@a.example'), /^OK/);
  assert.match(await login(t, (await withTls({ caFile: at('theirs.pem') })).server, 'ada@a.example'), UNAVAILABLE);
  assert.match(await login(t, (await withTls(undefined)).server, 'ada@a.example'), UNAVAILABLE);
  await assert.rejects(start(t, database, {}, { tls: { caFile: at('ours.pem') } }), /a certificate names a host, and 127\.0\.0\.1 is none/);
});

test('a call that ends early takes its connection along: no query of it stays on the server', async (t) => {
  const database = await startMariaDb(t);
  if (database === undefined) return;
  await database.createDatabase('mail', `SET @hash = '${HASH}';\n${await readFile(SCHEMA, 'utf8')}`);
  const config = { connection: { ...database.connection('mail'), queryTimeoutMs: 4_000 }, preset: 'postfixadmin' };
  const server = await startServer(t, { config: { plugins: [{ use: 'auth-mysql', config, deadlineMs: { 'auth.verify': 300 } }] } });
  for (const _ of server.instances) await recovered(t, server, 'ada@a.example'); // connected, which may take more than the deadline
  await database.sql(
    'RENAME TABLE mailbox TO real_mailbox; CREATE VIEW mailbox AS SELECT * FROM real_mailbox WHERE SLEEP(30) = 0;',
    'mail',
  );
  const started = performance.now();
  assert.match(await login(t, server, 'bob@a.example'), UNAVAILABLE);
  assert(performance.now() - started < 2_000);
  const running = async () =>
    (await database.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'pochard' AND INFO IS NOT NULL"))
      .trim()
      .split('\n')[1];
  while ((await running()) !== '0') assert(performance.now() - started < 8_000, 'the query still runs');
  t.diagnostic(`gone from the server after ${Math.round(performance.now() - started)} ms`);
});
