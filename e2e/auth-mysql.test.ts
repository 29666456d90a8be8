/** auth-mysql against a real MariaDB, with the tables of six products. Outages: auth-mysql-outage.test.ts. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { vectorGroups } from '../core/src/passwords/scheme-vectors.ts';
import { ImapScript } from './support/imap-script.ts';
import { MailScript } from './support/mail-script.ts';
import { type MariaDb, startMariaDb } from './support/mariadb.ts';
import { runProgram } from './support/run-program.ts';
import { startServer, type TestServer } from './support/server.ts';

const MAIN = join(import.meta.dirname, '..', 'core', 'src', 'main.ts');
const SCHEMAS = join(import.meta.dirname, '..', 'plugins', 'auth-mysql', 'test', 'schemas');
const PASSWORD = 'pässword';
const SALT = Buffer.from('saltsalt');
/** As the product writes them; from openssl, htpasswd and doveadm (scheme-vectors.ts) but the salted digest, which is computed. */
const STORED: Readonly<Record<string, string>> = {
  postfixadmin: '$1$saltsalt$QgbQ7EUpcKNQTLgSVL4qr/',
  iredmail: `{SSHA512}${Buffer.concat([createHash('sha512').update(PASSWORD).update(SALT).digest(), SALT]).toString('base64')}`,
  ispconfig: '$6$rounds=1234$x$TAOPsRfseIO9iklpfkEKMUs96lorT7HsYpEsAA8KIjA3gqxMV7ZxGu9KUmdxRBymBsoUCM.R6OsBqUV5c045j1',
  mailcow: '{BLF-CRYPT}$2y$05$nOzkgvXTq28S6UTAUuPl8.PYEYp3kZ7hVKVSHBjp9TTNZTBfLa5CO',
  vimbadmin: '$2y$06$urhl18fvvsgfSmb8w0ZMYOokMrdKv/b5flgCDMsqtR/I5HPcMp1yy',
  modoboa: '{CRYPT}$2y$05$3FkCl7ZuRY4EByUsCWcDYecZU266y7yGqlQnlHKeRJxNmvfWu6K76',
};

/** The tagged answer to a login. */
async function login(t: TestContext, server: TestServer, user: string, password = PASSWORD): Promise<string> {
  const script = await ImapScript.connect(t, server.port('imap'));
  const { done } = await script.command(`AUTHENTICATE PLAIN ${Buffer.from(`\0${user}\0${password}`, 'utf8').toString('base64')}`);
  script.close();
  return done;
}
/** The answer to a login at submission: 235 or why not. */
async function submissionLogin(t: TestContext, server: TestServer, user: string, password = PASSWORD): Promise<string> {
  const script = await MailScript.connect(t, server.port('submission'), 'EHLO x');
  const reply = await script.command(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`, 'utf8').toString('base64')}`);
  script.socket.destroy();
  return reply;
}
/** The status of a user's own request to the API. */
async function apiLogin(server: TestServer, user: string, password = PASSWORD, method = 'GET', path = '', body?: object): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`;
  const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
  const reply = await fetch(`http://127.0.0.1:${server.port('http')}/v1/me${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  await reply.arrayBuffer();
  return reply.status;
}
/** Undefined when the password is right at IMAP, submission and the API; else what they said. */
async function refusedSomewhere(t: TestContext, server: TestServer, user: string, password = PASSWORD): Promise<string | undefined> {
  const said = [await login(t, server, user, password), await submissionLogin(t, server, user, password)];
  const status = await apiLogin(server, user, password);
  return said[0]?.startsWith('OK') && said[1]?.startsWith('235') && status === 200 ? undefined : `${said.join(' | ')} | ${status}`;
}
function letter(subject: string, octets = 10): Buffer {
  return Buffer.from(`From: x@example.org\r\nTo: y@example.org\r\nSubject: ${subject}\r\n\r\n${'z'.repeat(octets)}\r\n`, 'latin1');
}
async function deliver(t: TestContext, server: TestServer, to: string, subject: string, octets?: number): Promise<string> {
  const script = await MailScript.connect(t, server.port('lmtp'), 'LHLO x');
  return script.send(letter(subject, octets), to);
}
async function subjects(t: TestContext, server: TestServer, user: string): Promise<readonly string[]> {
  const script = await ImapScript.connect(t, server.port('imap'));
  const { done } = await script.command(`AUTHENTICATE PLAIN ${Buffer.from(`\0${user}\0${PASSWORD}`, 'utf8').toString('base64')}`);
  assert.match(done, /^OK/);
  await script.command('SELECT INBOX');
  const { untagged } = await script.command('FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]');
  script.close();
  return untagged.flatMap((line) => /Subject: (\S+)/.exec(line)?.[1] ?? []).sort();
}
function withPlugin(config: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>> = {}) {
  const submission = { listeners: [{ address: '127.0.0.1', port: 0, tls: 'none' }] };
  // Wrong passwords come from one address here, and are not what is measured.
  const limits = { loginDelayMaxMs: 100, httpAnonymousRequestsPerMinute: 10_000 };
  return { config: { plugins: [{ use: 'auth-mysql', config }], submission, limits, ...more } };
}

/** What `pochard auth-mysql` prints, through the API as the command itself does. */
async function accountList(server: TestServer, ...args: readonly string[]): Promise<readonly string[]> {
  const reply = await server.api('POST', '/v1/plugins/commands/auth-mysql', { args: ['accounts', ...args] });
  assert.equal(reply.status, 200);
  return ((await reply.json()) as { readonly lines: readonly string[] }).lines;
}
/** Login name: state, protocols, quota. */
const LISTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  postfixadmin: {},
  iredmail: {
    'ada@a.example': 'enabled|ALL|104857600 octets',
    'full@a.example': 'enabled|ALL|1048576 octets',
    'noimap@a.example': 'enabled|submission,http|unlimited',
  },
  ispconfig: { 'off@a.example': 'enabled, gets no mail|submission,http|unlimited' },
  mailcow: {
    'noimap@a.example': 'enabled|submission,http|unlimited',
    'nologin@a.example': 'disabled (no login), gets mail|ALL|102400 octets',
    'off@a.example': 'disabled (not active)|ALL|102400 octets',
  },
  vimbadmin: { 'noimap@a.example': 'enabled|submission,http|unlimited' },
  modoboa: { 'full@a.example': 'enabled|ALL|1048576 octets' },
};

async function presetCase(t: TestContext, database: MariaDb, preset: string): Promise<void> {
  const schema = await readFile(join(SCHEMAS, `${preset}.sql`), 'utf8');
  await database.createDatabase(preset, `SET @hash = '${STORED[preset]}';\n${schema}`);
  const server = await startServer(t, withPlugin({ connection: database.connection(preset), preset }));
  const bobsLogin = preset === 'ispconfig' ? 'web1-bob' : 'bob@a.example';

  // Refused, before any of them is an account.
  assert.match(await login(t, server, 'ada@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await login(t, server, 'nobody@a.example'), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await login(t, server, 'off@a.example'), /^NO \[AUTHORIZATIONFAILED\]/);
  assert.match(await login(t, server, 'off@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await login(t, server, 'eve@closed.example'), /^NO \[AUTHORIZATIONFAILED\]/);
  assert.match(await deliver(t, server, 'off@a.example', 'off'), /^550 5\.2\.1/);
  assert.match(await deliver(t, server, 'eve@closed.example', 'closed'), /^550 5\.2\.1/);
  assert.match(await deliver(t, server, 'oldalias@a.example', 'oldalias'), /^550 5\.2\.1/);
  assert.match(await deliver(t, server, 'ada@elsewhere.example', 'elsewhere'), /^550 5\.1\.1/);

  // Mail arrives before the first login.
  assert.match(await deliver(t, server, 'ada@a.example', 'address'), /^250/);
  assert.match(await login(t, server, 'ada@a.example'), /^OK/);
  assert.match(await login(t, server, 'Ada@A.Example'), /^OK/);
  assert.equal(await refusedSomewhere(t, server, bobsLogin), undefined);
  assert.match(await submissionLogin(t, server, bobsLogin, 'wrong'), /^535 5\.7\.8/);
  assert.equal(await apiLogin(server, bobsLogin, ''), 401);
  if (preset !== 'ispconfig') assert.match(await submissionLogin(t, server, 'off@a.example'), /^535 5\.7\./); // by protocol there
  for (const [to, subject] of [
    ['info@a.example', 'alias'],
    ['team@a.example', 'team'],
    ['chain@a.example', 'chain'],
    ['ADA+label@a.example', 'label'],
    ['whoever@a.example', 'catchall'],
    ...(preset === 'vimbadmin' ? [] : [['ada@b.example', 'domainalias'] as const, ['info@b.example', 'both'] as const]),
  ] as const) {
    assert.match(await deliver(t, server, to, subject), /^250/, `${to}`);
  }
  const expected = ['address', 'alias', 'catchall', 'chain', 'label', 'team', ...(preset === 'vimbadmin' ? [] : ['both', 'domainalias'])];
  assert.deepEqual(await subjects(t, server, 'ada@a.example'), expected.sort());
  assert.deepEqual(await subjects(t, server, bobsLogin), ['team']);

  // Quota: 4096 octets, or one MiB where the product counts in those.
  const big = preset === 'iredmail' || preset === 'modoboa' ? 1_100_000 : 6_000;
  assert.match(await deliver(t, server, 'full@a.example', 'small'), /^250/);
  assert.match(await deliver(t, server, 'full@a.example', 'big', big), /^452 4\.2\.2/);
  assert.deepEqual(await subjects(t, server, 'full@a.example'), ['small']);

  if (preset === 'iredmail' || preset === 'mailcow' || preset === 'vimbadmin') {
    assert.match(await login(t, server, 'noimap@a.example'), /^NO \[AUTHORIZATIONFAILED\]/);
    assert.match(await deliver(t, server, 'noimap@a.example', 'noimap'), /^250/);
  }
  if (preset === 'mailcow') {
    assert.match(await login(t, server, 'nologin@a.example'), /^NO \[AUTHORIZATIONFAILED\]/);
    assert.match(await deliver(t, server, 'nologin@a.example', 'nologin'), /^250/);
    assert.match(await login(t, server, 'room@a.example'), /^NO \[AUTHENTICATIONFAILED\]/);
  }

  const expectedLines = new Map(
    Object.entries({
      'ada@a.example': 'enabled|ALL|unlimited',
      [bobsLogin]: 'enabled|ALL|unlimited',
      'eve@closed.example': 'disabled (domain disabled)|ALL|unlimited',
      'full@a.example': 'enabled|ALL|4096 octets',
      'off@a.example': 'disabled (not active)|ALL|unlimited',
      ...LISTED[preset],
    }),
  );
  const lines = [...expectedLines].map(([user, rest]) =>
    [user, user === 'web1-bob' ? 'bob@a.example' : user, ...rest.replace('ALL', 'imap,submission,http').split('|')].join('\t'),
  );
  assert.deepEqual(await accountList(server), lines.sort());
  assert.deepEqual(
    (await accountList(server, '--domain', 'CLOSED.example')).map((line) => line.split('\t')[0]),
    ['eve@closed.example'],
  );
  assert.deepEqual(await accountList(server, '--like', 'Ad', '--after', 'a'), [lines[0]]);
  assert.equal(await server.stop(), 0);
}

/** More than a page, names that mean harm, own queries, and a database that is not there. */
async function listingCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  const many = Array.from({ length: 450 }, (_, at) => `('u${String(at).padStart(3, '0')}@a.example', @hash, 'a.example')`);
  await database.createDatabase(
    'listing',
    `SET @hash = '${STORED['postfixadmin']}';\n${schema}\nALTER TABLE mailbox DROP PRIMARY KEY;
     INSERT INTO mailbox (username, password, domain) VALUES ${many.join(',')},
       (CONCAT('evil', CHAR(27 USING utf8mb4), '[2J', CHAR(10 USING utf8mb4), 'x@a.example'), @hash, 'a.example'),
       (CONCAT('evil', CONVERT(X'E280AE' USING utf8mb4), '@a.example'), @hash, 'a.example'),
       ('under_score@a.example', @hash, 'a.example'), ('underxscore@a.example', @hash, 'a.example'), ('U192@a.example', @hash, 'a.example');
     DELETE FROM domain WHERE domain = 'closed.example'`,
  );
  const connection = database.connection('listing');
  const server = await startServer(t, withPlugin({ connection, preset: 'postfixadmin' }));
  const before = (await database.generalLog()).length;
  const all = await accountList(server);
  assert.equal(all.length, 5 + 450 + 5);
  assert.equal(new Set(all).size, all.length);
  const written = (await database.generalLog()).slice(before);
  assert.doesNotMatch(written, /\d Query\t|password/);
  assert.match(written, /Prepare\tselect .* limit 200\n/);

  const pages: string[] = [];
  for (let after = ''; ; ) {
    const page = await accountList(server, '--limit', '77', ...(after === '' ? [] : [`--after=${after}`]));
    const more = /^# more: --after (?:'(.*)'|(.*))$/.exec(page.at(-1) ?? '');
    pages.push(...(more === null ? page : page.slice(0, -1)));
    if (more === null) break;
    after = more[1] ?? more[2] ?? '';
  }
  assert.deepEqual(pages.toSorted(), all.toSorted());

  const names = async (...args: readonly string[]) => (await accountList(server, ...args)).map((line) => line.split('\t').toSpliced(1, 1));
  assert.deepEqual(await names('--like', 'under_'), [['under_score@a.example', 'enabled', 'imap,submission,http', 'unlimited']]);
  assert.deepEqual(await names('--domain', 'closed.example'), [
    ['eve@closed.example', 'disabled (domain not listed)', 'imap,submission,http', 'unlimited'],
  ]);
  const evil = await names('--like', 'evil');
  assert.deepEqual(evil.map(([name]) => name).toSorted(), ['evil\\u{1b}[2J\\u{a}x@a.example', 'evil\\u{202e}@a.example']);
  for (const [, state] of evil) assert.equal(state, 'disabled (no usable name)');

  const pochard = (on: TestServer, ...args: readonly string[]) =>
    runProgram(process.execPath, [MAIN, 'auth-mysql', ...args, '--config', join(on.data, 'pochard.yaml'), '--data', on.data]);
  const shown = await pochard(server, 'accounts', '--like', 'evil');
  assert.equal(shown.code, 0, shown.stderr);
  assert.doesNotMatch(shown.stdout, /[\0-\x08\x0b-\x1f\x7f-\xff]/);
  assert.equal(shown.stdout.split('\n').length, 3);

  const user = 'SELECT username, password FROM mailbox WHERE username = ?';
  const list = 'SELECT username, quota, active FROM mailbox WHERE username > ? ORDER BY username';
  const own = await startServer(t, withPlugin({ connection, queries: { user, list } }));
  assert.equal((await accountList(own, '--domain', 'a.example')).length, 4 + 450 + 4); // one of u192 and U192 is lost between the pages of > alone
  assert.deepEqual(await accountList(own, '--like', 'full'), [
    'full@a.example\tfull@a.example\tenabled\timap,submission,http\t4096 octets',
  ]);
  const columns = {
    address: 'domain',
    login: 'mailbox.username',
    password: 'password',
    quota: 'quota',
    active: { column: 'active', on: ['0'] },
  };
  const tables = { users: { table: 'mailbox', columns, where: { domain: ['closed.example'] } }, quotaUnit: 'KiB' };
  const mapped = await startServer(t, withPlugin({ connection, tables }));
  assert.deepEqual(await accountList(mapped), [
    'eve@closed.example\tclosed.example\tdisabled (not active)\timap,submission,http\tunlimited',
  ]);
  const without = await pochard(await startServer(t, withPlugin({ connection, queries: { user } })), 'accounts');
  assert.deepEqual([without.code, without.stdout], [1, '']);
  assert.match(without.stderr, /^pochard: The configuration of auth-mysql has no queries\.list\n$/);
  const away = await startServer(t, withPlugin({ connection: { ...connection, port: 9 }, preset: 'postfixadmin' }));
  const down = await pochard(away, 'accounts');
  assert.deepEqual([down.code, down.stdout], [1, '']);
  assert.match(down.stderr, /^pochard: auth-mysql is unavailable: list query: \S.*\n$/);
}

test('users of six products log in and receive mail at address, alias, catch-all and domain alias', async (t) => {
  const database = await startMariaDb(t);
  if (database === undefined) return;
  for (const preset of Object.keys(STORED)) {
    await t.test(preset, async (t) => presetCase(t, database, preset));
  }

  await t.test('the accounts of the database are listed page by page, harmful names spelled out', async (t) => listingCase(t, database));
  await t.test('SQL in names stays a name, and the server log has placeholders alone', async (t) => injectionCase(t, database));
  await t.test('every scheme of the vectors logs in through own queries', async (t) => schemesCase(t, database));
  await t.test('what the database changes counts: disabled, deleted, forwarded, new password, no quota', async (t) =>
    changesCase(t, database),
  );
  await t.test('a weak hash becomes Argon2id after a login, and logs in again', async (t) => rehashCase(t, database));
  await t.test('a password is changed in the database or not at all; app passwords end with the user', async (t) =>
    passwordCase(t, database),
  );
  await t.test('domains and names beyond ASCII: stored as A-labels, two spellings of a collation stay two users', async (t) =>
    unicodeCase(t, database),
  );
  await t.test('logins with the cache: a figure', async (t) => throughputCase(t, database));
});

const INJECTIONS: readonly string[] = [
  "' OR '1'='1",
  "ada@a.example' -- ",
  "ada@a.example'#",
  "ada@a.example' OR 1=1; DROP TABLE mailbox; --",
  "ada@a.example\\' OR 1=1 -- ",
  "'; UPDATE mailbox SET active=1; --@a.example",
  "x' UNION SELECT 'ada@a.example','{PLAIN}x',1,1,1 -- ",
  'ada@a.example" OR ""="',
  '`mailbox`@a.example',
  "\u00bf' OR 1=1 -- @a.example", // BF 27 in GBK: the quote that addslashes left open
  '\u8868\\@a.example', // 95 5C in Shift_JIS
  "\u7e97' OR 1=1 -- @a.example",
  "\u0195'@a.example",
  'ada@a.example\u0000',
  'ada\u0008@a.example',
  'ada@a.example\u001a',
  'ada%@a.example',
  '_da@a.example',
  'ada@a.example ',
  'ad\u00e1@a.example', // equal under utf8mb4_general_ci
  'a\u0308da@a.example',
  '\uff41da\ufe52@a.example',
  '\uff07 OR 1=1 -- @a.example', // a full-width quote, narrowed by PRECIS
  '\u02bc OR 1=1@a.example', // a letter that some conversions turn into a quote
  '?@a.example',
  '%u@a.example',
  `\${jndi:x}@a.example`,
  `${"'".repeat(200)}@a.example`,
];

async function injectionCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  await database.createDatabase(
    'injection',
    `SET @hash = '${STORED['postfixadmin']}';\n${schema}\nDELETE FROM alias WHERE address = '@a.example';`,
  );
  const before = (await database.generalLog()).length;
  const server = await startServer(t, withPlugin({ connection: database.connection('injection'), preset: 'postfixadmin' }));
  for (const name of INJECTIONS) {
    // As it is, which the core refuses mostly, and as a quoted local part, which goes through to the query.
    for (const typed of [name, `"${name.replace(/[\\"]/g, '\\$&')}"@a.example`]) {
      const done = await login(t, server, typed);
      assert.match(done, /^(?:NO \[AUTHENTICATIONFAILED\]|BAD)/, `${JSON.stringify(typed)}: ${done}`);
    }
  }
  const script = await MailScript.connect(t, server.port('lmtp'), 'LHLO x');
  await script.command('MAIL FROM:<x@example.org>');
  for (const local of ["x'or'1'='1", "ada'--", '`id`', "x'||'1", "'/**/union/**/select/**/1#", '%', '_da', "ada'#", '\\\\ada']) {
    const reply = await script.command(`RCPT TO:<${local}@a.example>`);
    assert.match(reply, /^5/, `${local}: ${reply}`);
  }
  const written = (await database.generalLog()).slice(before).split('\n');
  const mailbox = (await database.sql('SELECT COUNT(*) FROM mailbox WHERE active = 1', 'injection')).trim().split('\n')[1];
  assert.equal(mailbox, '4');
  const prepares = written.filter((line) => /\tPrepare\t|\d Prepare\t/.test(line));
  const queries = written.filter((line) => /\d Query\t/.test(line));
  assert(prepares.length > 0);
  for (const line of prepares)
    assert.match(line, /Prepare\t(?:SET SESSION (?:sql_select_limit|max_statement_time) = [\d.]+|select [^']* = \?)$/, line);
  assert.deepEqual(queries, [], 'no statement went as text');
  const executed = written.filter((line) => /\d Execute\t/.test(line));
  t.diagnostic(`${INJECTIONS.length} names: ${prepares.length} prepared, ${executed.length} executed, ${queries.length} sent as text`);
  assert(executed.length > INJECTIONS.length);
  assert(executed.filter((line) => line.includes("\\'")).length > 20, 'names with quotes came as far as the query');
  for (const word of ['DROP TABLE', 'UPDATE mailbox']) {
    // MariaDB writes an execution with its values filled in: there, and escaped, is the one place for them.
    for (const line of written.filter((one) => one.includes(word))) assert.match(line, /\d Execute\t.*\\'/, line);
  }
}

async function schemesCase(t: TestContext, database: MariaDb): Promise<void> {
  const stored = vectorGroups.flatMap((group) => group.stored);
  const rows = stored.map((hash, at) => `('u${at}@a.example', '${hash.replaceAll('\\', '\\\\').replaceAll("'", "''")}')`);
  const md5 = createHash('md5').update(PASSWORD).digest('hex');
  await database.createDatabase(
    'schemes',
    `CREATE TABLE u (mail VARCHAR(255) CHARACTER SET utf8mb4 PRIMARY KEY, hash TEXT CHARACTER SET utf8mb4);
     INSERT INTO u VALUES ${rows.join(',')}, ('bare@a.example', '${md5}'), ('junk@a.example', '{NOSUCH}x'), ('locked@a.example', '!$6$x$y'), ('null@a.example', NULL);`,
  );
  const config = {
    connection: database.connection('schemes'),
    queries: { user: 'SELECT mail AS username, hash AS password FROM u WHERE mail = ?' },
  };
  const weak = { passwords: { memoryKib: 7_168, allowWeakSchemes: true } };
  const server = await startServer(t, withPlugin(config, weak));
  const failed: string[] = [];
  const started = performance.now();
  for (const [at, hash] of stored.entries()) {
    const said = await refusedSomewhere(t, server, `u${at}@a.example`);
    if (said !== undefined) failed.push(`${hash.slice(0, 30)}: ${said}`);
  }
  t.diagnostic(
    `${stored.length} stored passwords of other software: ${stored.length - failed.length} log in by IMAP, submission and API, ${Math.round(performance.now() - started)} ms`,
  );
  assert.deepEqual(failed, []);
  assert.match(await login(t, server, 'junk@a.example'), /^NO \[NOPERM\]/);
  assert.match(await login(t, server, 'locked@a.example'), /^NO \[AUTHORIZATIONFAILED\]/);
  assert.match(await login(t, server, 'null@a.example'), /^NO \[AUTHORIZATIONFAILED\]/);

  const bare = { ...config, passwordScheme: 'PLAIN-MD5' };
  assert.match(await login(t, await startServer(t, withPlugin(bare, weak)), 'bare@a.example'), /^OK/);
  const strict = await startServer(t, withPlugin(bare));
  assert.match(await login(t, strict, 'bare@a.example'), /^NO \[NOPERM\]/);
}

async function changesCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  await database.createDatabase('changes', `SET @hash = '${STORED['postfixadmin']}';\n${schema}`);
  const config = {
    connection: database.connection('changes'),
    preset: 'postfixadmin',
    cache: { acceptedMs: 600_000, rejectedMs: 600_000, quotaMs: 1 },
  };
  const server = await startServer(t, { ...withPlugin(config), accounts: { 'local@z.example': 'local' } });
  const change = (sql: string) => database.sql(sql, 'changes');
  for (const user of ['ada@a.example', 'bob@a.example', 'full@a.example']) assert.match(await login(t, server, user), /^OK/);

  // The wrong one is remembered for ten minutes; as soon as it is the right one it counts.
  const next = 'pässword 2';
  assert.match(await login(t, server, 'ada@a.example', next), /^NO \[AUTHENTICATIONFAILED\]/);
  const salted = `{SSHA512}${Buffer.concat([createHash('sha512').update(next).update(SALT).digest(), SALT]).toString('base64')}`;
  await change(`UPDATE mailbox SET password = '${salted}' WHERE username = 'ada@a.example'`);
  assert.match(await login(t, server, 'ada@a.example', next), /^OK/);
  assert.match(await login(t, server, 'ada@a.example'), /^NO \[AUTHENTICATIONFAILED\]/);

  // An account that forwards and keeps a copy.
  await change("UPDATE alias SET goto = 'bob@a.example,full@a.example' WHERE address = 'bob@a.example'");
  assert.match(await deliver(t, server, 'bob@a.example', 'copied'), /^250/);
  assert.deepEqual(await subjects(t, server, 'full@a.example'), ['copied']);
  assert.deepEqual(await subjects(t, server, 'bob@a.example'), ['copied']);

  // The same before the account is there.
  await change(`INSERT INTO mailbox (username, password, domain) VALUES ('new@a.example', '${STORED['postfixadmin']}', 'a.example');
    INSERT INTO alias (address, goto, domain) VALUES ('new@a.example', 'new@a.example,bob@a.example', 'a.example')`);
  assert.match(await deliver(t, server, 'new@a.example', 'first'), /^250/);
  assert.deepEqual(await subjects(t, server, 'new@a.example'), ['first']);
  assert.deepEqual(await subjects(t, server, 'bob@a.example'), ['copied', 'first']);

  await change("UPDATE mailbox SET quota = 0 WHERE username = 'full@a.example'");
  await deliver(t, server, 'full@a.example', 'asks'); // the answer before is still believed, and asked for anew
  assert.match(await deliver(t, server, 'full@a.example', 'big', 6_000), /^250/);

  await change("UPDATE mailbox SET active = 0 WHERE username = 'bob@a.example'");
  assert.match(await deliver(t, server, 'bob@a.example', 'disabled'), /^550/);
  await change("DELETE FROM mailbox WHERE username = 'full@a.example'");
  assert.match(await deliver(t, server, 'full@a.example', 'deleted'), /^550/);
  assert.match(await deliver(t, server, 'local@z.example', 'local'), /^250/);
}

async function rehashCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  await database.createDatabase('rehash', `SET @hash = '${STORED['postfixadmin']}';\n${schema}`);
  const config = { connection: database.connection('rehash'), preset: 'postfixadmin', rehash: 'writeBack', cache: { acceptedMs: 0 } };
  const server = await startServer(t, withPlugin(config));
  assert.match(await login(t, server, 'ada@a.example'), /^OK/);
  const stored = (
    await database.sql("SELECT username, password FROM mailbox WHERE username LIKE '%da@a.example' OR username LIKE 'bob%'", 'rehash')
  ).split('\n');
  assert.match(stored.find((line) => line.startsWith('ada')) ?? '', /\$argon2id\$/);
  assert.match(stored.find((line) => line.startsWith('bob')) ?? '', /\$1\$saltsalt/);
  assert.match(await login(t, server, 'ada@a.example'), /^OK/);
  assert.match(await login(t, server, 'ada@a.example', 'wrong'), /^NO \[AUTHENTICATIONFAILED\]/);
}

async function passwordCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  await database.createDatabase('passwords', `SET @hash = '${STORED['postfixadmin']}';\n${schema}`);
  const base = { connection: database.connection('passwords'), preset: 'postfixadmin', cache: { acceptedMs: 600_000, quotaMs: 1 } };
  const ada = 'ada@a.example';
  const strict = await startServer(t, withPlugin(base));
  assert.equal(await apiLogin(strict, ada, PASSWORD, 'PUT', '/password', { password: 'next' }), 400); // unsupported here
  assert.equal((await strict.api('PUT', `/v1/accounts/${ada}/password`, { password: 'next' })).status, 400);
  assert.equal(await refusedSomewhere(t, strict, ada), undefined);
  await strict.stop();

  const server = await startServer(t, withPlugin({ ...base, passwordChange: 'writeBack' }));
  assert.equal(await refusedSomewhere(t, server, ada), undefined);
  assert.equal(await apiLogin(server, ada, PASSWORD, 'PUT', '/password', { password: 'next' }), 204);
  assert.match(await login(t, server, ada), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.equal(await refusedSomewhere(t, server, ada, 'next'), undefined);
  assert.equal((await server.api('PUT', `/v1/accounts/${ada}/password`, { password: 'third' })).status, 204);
  assert.equal(await refusedSomewhere(t, server, ada, 'third'), undefined);
  const rows = await database.sql("SELECT password FROM mailbox WHERE username = 'ada@a.example'", 'passwords');
  assert.match(rows, /\$argon2id\$/);

  const made = await server.api('POST', `/v1/accounts/${ada}/app-passwords`, { label: 'phone', scope: ['imap'] });
  const { password } = (await made.json()) as { password: string };
  assert.match(await login(t, server, ada, password), /^OK/);
  assert.match(await submissionLogin(t, server, ada, password), /^535/);
  await database.sql("UPDATE mailbox SET active = 0 WHERE username = 'ada@a.example'", 'passwords');
  assert.match(await login(t, server, ada, password), /^NO \[NOPERM\]/);
  await database.sql("DELETE FROM mailbox WHERE username = 'ada@a.example'", 'passwords');
  assert.match(await login(t, server, ada, password), /^NO \[NOPERM\]/);
}

async function throughputCase(t: TestContext, database: MariaDb): Promise<void> {
  const server = await startServer(t, withPlugin({ connection: database.connection('vimbadmin'), preset: 'vimbadmin' }));
  const sasl = Buffer.from(`\0ada@a.example\0${PASSWORD}`, 'utf8').toString('base64');
  const first = performance.now();
  assert.match(await login(t, server, 'ada@a.example'), /^OK/);
  const firstMs = performance.now() - first;
  for (const _ of server.instances.slice(1)) assert.match(await login(t, server, 'ada@a.example'), /^OK/); // each remembers for itself
  const times: number[] = [];
  const started = performance.now();
  let left = 600;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (left > 0) {
        left -= 1;
        const script = await ImapScript.connect(undefined, server.port('imap'));
        const before = performance.now();
        const { done } = await script.command(`AUTHENTICATE PLAIN ${sasl}`);
        times.push(performance.now() - before);
        assert.match(done, /^OK/);
        script.close();
      }
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  times.sort((one, other) => one - other);
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1);
  t.diagnostic(
    `${times.length} logins, 8 at once, ${(times.length / seconds).toFixed(0)} a second with a new connection each; login p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; first (bcrypt) ${firstMs.toFixed(0)} ms`,
  );
}

async function unicodeCase(t: TestContext, database: MariaDb): Promise<void> {
  const schema = await readFile(join(SCHEMAS, 'postfixadmin.sql'), 'utf8');
  const other = `{SSHA512}${Buffer.concat([createHash('sha512').update('other').update(SALT).digest(), SALT]).toString('base64')}`;
  await database.createDatabase(
    'unicode',
    `SET @hash = '${STORED['postfixadmin']}';\n${schema}
     INSERT INTO domain (domain) VALUES ('xn--bcher-kva.example');
     ALTER TABLE mailbox DROP PRIMARY KEY;
     INSERT INTO mailbox (username, password, domain) VALUES
       ('zoe@xn--bcher-kva.example', @hash, 'xn--bcher-kva.example'), ('jose@a.example', @hash, 'a.example'), ('jos\u00e9@a.example', '${other}', 'a.example'),
       ('twin@a.example', @hash, 'a.example'), ('Twin@a.example', @hash, 'a.example');`,
  );
  const server = await startServer(
    t,
    withPlugin({ connection: database.connection('unicode'), preset: 'postfixadmin', defaultDomain: 'a.example' }),
  );
  assert.match(await login(t, server, 'zoe@b\u00fccher.example'), /^OK/);
  assert.match(await login(t, server, 'zoe@xn--bcher-kva.example'), /^OK/);
  assert.match(await login(t, server, 'jose@a.example'), /^OK/);
  assert.match(await login(t, server, 'jos\u00e9@a.example'), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await login(t, server, 'jos\u00e9@a.example', 'other'), /^OK/);
  assert.match(await login(t, server, 'jose@a.example', 'other'), /^NO \[AUTHENTICATIONFAILED\]/);
  assert.match(await login(t, server, 'ada'), /^OK/);
  // Two rows that fold to one name: nobody is guessed at.
  assert.match(await login(t, server, 'twin@a.example'), /^NO \[NOPERM\]/);
}
