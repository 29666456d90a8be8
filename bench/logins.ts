/**
 * Logins through auth-mysql on a real MariaDB: how many a second from its cache, how long the event loop stands still while passwords are
 * hashed, and whether a wrong password of a cheap scheme answers as late as an unknown user. `npx node bench/logins.ts`; needs mariadb-server.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../core/src/config/load.ts';
import { createLogger } from '../core/src/config/logger.ts';
import { startSources } from '../core/src/config/sources.ts';
import { MailError } from '../core/src/mail/errors.ts';
import { openMail } from '../core/src/open-mail.ts';
import { startMariaDb } from '../e2e/support/mariadb.ts';

const PASSWORD = 'bench';
const USERS = 200;
const SECONDS = 5;
const BCRYPT = '$2y$06$urhl18fvvsgfSmb8w0ZMYOokMrdKv/b5flgCDMsqtR/I5HPcMp1yy'; // of "pässword"

const closers: (() => unknown)[] = [];
const context = {
  after: (close: () => unknown) => closers.push(close),
  skip: () => undefined,
  diagnostic: console.log,
} as unknown as TestContext;
const folder = await mkdtemp(join(tmpdir(), 'pochard-bench-'));
closers.push(() => rm(folder, { recursive: true, force: true }));
try {
  const database = await startMariaDb(context);
  if (database === undefined) throw new Error('mariadb-server is not installed');
  const salt = Buffer.from('saltsalt');
  const cheap = `{SSHA512}${Buffer.concat([createHash('sha512').update(PASSWORD).update(salt).digest(), salt]).toString('base64')}`;
  const rows = Array.from({ length: USERS }, (_, n) => `('u${n}@a.example', '${n % 2 === 0 ? cheap : BCRYPT}')`);
  await database.createDatabase(
    'bench',
    `CREATE TABLE u (mail VARCHAR(255) PRIMARY KEY, hash TEXT) CHARACTER SET utf8mb4; INSERT INTO u VALUES ${rows.join(',')};`,
  );
  const plugin = {
    use: 'auth-mysql',
    config: {
      connection: database.connection('bench'),
      queries: { user: 'SELECT mail AS username, hash AS password FROM u WHERE mail = ?' },
      cache: { rejectedMs: 0 },
    },
  };
  const file = join(folder, 'pochard.yaml');
  await writeFile(file, JSON.stringify({ plugins: [plugin], limits: { loginDelayMaxMs: 0, loginFailuresPerAddressDay: 1_000_000 } }));
  const config = await loadConfig(startSources({ configFile: file, data: join(folder, 'data'), directory: folder, env: {} }));
  await mkdir(config.data, { recursive: true });
  const log = createLogger({ level: 'error', pretty: false, to: { write: (line) => process.stderr.write(line) } });
  const mail = await openMail({ config, log, configFolder: import.meta.dirname });
  closers.unshift(() => mail.close());
  const { accounts } = mail.services;
  const never = new AbortController().signal;
  const login = async (username: string, password: string): Promise<string> => {
    const session = { id: 'bench', protocol: 'imap', listener: 'bench', remoteAddress: '127.0.0.1' } as const;
    try {
      (await accounts.login({ username, secret: Buffer.from(password), mechanism: 'PLAIN', session }, never)).end('logout');
      return 'ok';
    } catch (error) {
      if (error instanceof MailError) return error.code;
      throw error;
    }
  };

  for (let n = 0; n < USERS; n += 1) {
    const said = await login(`u${n}@a.example`, n % 2 === 0 ? PASSWORD : 'pässword');
    if (said !== 'ok') throw new Error(`u${n}: ${said}`);
  }
  await stage('nothing (what the machine itself does)', 8, () => delay(20, 'ok'), 'ok');
  await stage('from the cache', 8, (n) => login(`u${n % USERS}@a.example`, n % 2 === 0 ? PASSWORD : 'pässword'), 'ok');
  await stage('wrong passwords, bcrypt', 8, (n) => login(`u${((n * 2) % USERS) + 1}@a.example`, `wrong${n}`), 'credentials');
  await stage('unknown users', 8, (n) => login(`x${n}@a.example`, `wrong${n}`), 'credentials');
  const flat: Record<string, number[]> = { unknown: [], 'wrong, {SSHA512}': [], 'wrong, bcrypt': [] };
  for (let n = 0; n < 40; n += 1) {
    for (const [name, user] of [
      ['unknown', `y${n}@a.example`],
      ['wrong, {SSHA512}', `u${(n * 2) % USERS}@a.example`],
      ['wrong, bcrypt', `u${((n * 2) % USERS) + 1}@a.example`],
    ] as const) {
      const started = performance.now();
      await login(user, `wrong${n}`);
      flat[name]?.push(performance.now() - started);
    }
  }
  for (const [name, times] of Object.entries(flat)) {
    times.sort((one, other) => one - other);
    console.log(`one at a time, ${name}: p10 ${at(times, 0.1)} ms, p50 ${at(times, 0.5)} ms, p90 ${at(times, 0.9)} ms`);
  }
} finally {
  for (const close of closers) await close();
}

async function stage(title: string, parallel: number, attempt: (n: number) => Promise<string>, expected: string): Promise<void> {
  const loop = monitorEventLoopDelay({ resolution: 5 });
  const times: number[] = [];
  const started = performance.now();
  let n = 0;
  loop.enable();
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (performance.now() - started < SECONDS * 1000) {
        n += 1;
        const before = performance.now();
        const said = await attempt(n);
        if (said !== expected) throw new Error(`${title}: ${said}`);
        times.push(performance.now() - before);
      }
    }),
  );
  loop.disable();
  const seconds = (performance.now() - started) / 1000;
  times.sort((one, other) => one - other);
  const stall = `loop stall p99 ${(loop.percentile(99) / 1e6).toFixed(0)} ms, longest ${(loop.max / 1e6).toFixed(0)} ms`;
  console.log(`${title}: ${(times.length / seconds).toFixed(0)} a second, p50 ${at(times, 0.5)} ms, p99 ${at(times, 0.99)} ms; ${stall}`);
}
function at(times: readonly number[], share: number): string {
  return (times[Math.floor(times.length * share)] ?? 0).toFixed(1);
}
