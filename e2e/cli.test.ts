/** The `pochard` command as an administrator types it: on an idle store and beside a running server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { type Ran, runProgram } from './support/run-program.ts';
import { closedStore, isDistributed, startServer, temporaryFolder } from './support/server.ts';

const MAIN = join(import.meta.dirname, '../core/src/main.ts');
/** Some 4,000 a second on a disk, 100 on the MongoDB test engine. */
const MANY = isDistributed ? 300 : 5_000;

type Pochard = (args: readonly string[], input?: string) => Promise<Ran>;

/** Runs `pochard ARGS --data DATA`, with the server's configuration when it has one there. */
function pochardOn(data: string, config?: string): Pochard {
  const common = ['--data', data, ...(config === undefined ? [] : ['--config', config])];
  return (args, input = '') => runProgram(process.execPath, [MAIN, ...args, ...common], { input, timeoutMs: 120_000 });
}

async function ok(ran: Promise<Ran>): Promise<string> {
  const { code, stdout, stderr } = await ran;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout;
}
async function fails(ran: Promise<Ran>, code: number, message: RegExp): Promise<void> {
  const { code: actual, stdout, stderr } = await ran;
  assert.match(stderr, message);
  assert.equal(actual, code, stderr);
  assert.doesNotMatch(stdout + stderr, /\n\s+at .*\.ts:\d+/, 'no stack');
}

/** The same commands on a closed store and through a server: nobody need know which it is. */
async function accountCommands(pochard: Pochard): Promise<void> {
  assert.match(
    await ok(pochard(['account', 'create', 'ada@example.test', '--address', 'sales@example.test', '--password-stdin'], 'one\n')),
    /ada@example\.test: created, receives ada@example\.test, sales@example\.test/,
  );
  await ok(pochard(['account', 'create', 'grüße', '--quota', '1000000', '--display-name', 'Ünicode']));
  await fails(pochard(['account', 'create', 'ADA@example.test']), 1, /ada@example\.test is taken/);
  await fails(pochard(['account', 'passwd', 'nobody'], 'x\n'), 1, /nobody|no such account/i);
  assert.equal(
    await ok(pochard(['account', 'list'])),
    'ada@example.test\tada@example.test, sales@example.test\ngrüße\tgrüße\n'.replaceAll('üß', '\u00c3\u00bc\u00c3\u009f'),
  );
  const listed = (await ok(pochard(['account', 'list', '--json']))).trim().split('\n');
  assert.equal((JSON.parse(listed[0] ?? '') as { username: string }).username, 'ada@example.test');
  assert.match(await ok(pochard(['address', 'add', 'ada@example.test', '*@example.test'])), /\*@example\.test/);
  assert.match(
    await ok(pochard(['address', 'remove', 'ada@example.test', '*@example.test'])),
    /receives ada@example\.test, sales@example\.test\n$/,
  );
  assert.match(await ok(pochard(['address', 'alias', 'all@example.test', 'ada@example.test'])), /all@example\.test -> ada@example\.test/);
  assert.match(await ok(pochard(['account', 'passwd', 'ada@example.test'], 'two\n')), /password set/);
  const made = await ok(
    pochard(['app-password', 'create', 'ada@example.test', '--label', 'phone', '--network', '127.0.0.0/8', '--days', '9']),
  );
  const appId = /: (app-[0-9a-f]{16})\tphone\timap, submission, from 127\.0\.0\.0\/8, until 2\d.*\n(?:[a-z2-9]{5}-){5}[a-z2-9]{5}\n$/.exec(
    made,
  )?.[1];
  assert(appId !== undefined, made);
  assert.match(
    await ok(pochard(['app-password', 'list', 'ada@example.test'])),
    new RegExp(`^${appId}\tphone\timap, submission, from [^\n]*\n$`),
  );
  await fails(pochard(['app-password', 'create', 'ada@example.test', '--label', 'x', '--scope', 'pop3']), 2, /--scope pop3/);
  await fails(
    pochard(['app-password', 'create', 'ada@example.test', '--label', 'x', '--network', 'here']),
    1,
    /not an address range: "here"/,
  );
  assert.match(await ok(pochard(['app-password', 'revoke', 'ada@example.test', appId])), /revoked/);
  await fails(pochard(['app-password', 'revoke', 'ada@example.test', appId]), 1, /no such app password/);
  assert.equal(await ok(pochard(['app-password', 'list', 'ada@example.test'])), '');
  assert.equal(await ok(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX'])), '');
  await ok(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX', 'grüße', 'lrs']));
  await ok(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX', 'anyone', 'l']));
  await fails(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX', 'anyone', 'lz']), 1, /[Nn]ot rights/);
  await fails(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX', 'nobody', 'l']), 1, /No such user/);
  await fails(pochard(['mailbox', 'acl', 'ada@example.test', 'Nowhere']), 1, /No such mailbox/);
  await ok(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX', 'anyone', 'none']));
  assert.match(await ok(pochard(['mailbox', 'acl', 'ada@example.test', 'INBOX'])), /^gr.* lrs\n$/);
  assert.match(await ok(pochard(['account', 'delete', 'grüße'])), /would be removed/);
  assert.match(await ok(pochard(['account', 'delete', 'grüße', '--yes'])), /removed/);
  assert.equal((await ok(pochard(['account', 'list']))).split('\n').length, 2);
}

async function wrongUse(pochard: Pochard): Promise<void> {
  await fails(pochard(['account', 'create', 'x@example.test', '--password-stdin'], ''), 2, /no password on standard input/);
  await fails(pochard(['account', 'create', 'x@example.test', '--quota', 'much']), 2, /--quota much: not a number of octets/);
  await fails(pochard(['account', 'create', 'x@example.test', '--password-hash', '{NOPE}x']), 1, /scheme/i);
  await fails(pochard(['account', 'create']), 2, /missing required argument/);
  await fails(pochard(['account', 'nonsense']), 2, /unknown command/);
}

async function csvOfMany(folder: string): Promise<string> {
  const rows = ['username,passwordHash,addresses,displayName'];
  for (let n = 0; n < MANY; n += 1) {
    const salt = Buffer.from(`salt${n}`.padEnd(12, '.'));
    const hash = createHash('sha512').update(`password${n}`).update(salt).digest();
    rows.push(`user${n}@many.example,{SSHA512}${Buffer.concat([hash, salt]).toString('base64')},alias${n}@many.example,"User, ""${n}"""`);
  }
  const file = join(folder, 'accounts.csv');
  await writeFile(file, `${rows.join('\r\n')}\r\n`);
  return file;
}

async function importMany(t: TestContext, pochard: Pochard, csv: string, where: string): Promise<void> {
  const started = performance.now();
  const { code, stderr } = await pochard(['account', 'import', csv]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, new RegExp(`${MANY} made, 0 failed`));
  t.diagnostic(`${MANY} accounts ${where}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  console.error(`account import of ${MANY} pre-hashed accounts ${where}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  assert.equal((await ok(pochard(['account', 'list']))).split('\n').filter((line) => line.includes('@many.example')).length, MANY);
}

async function badCsv(pochard: Pochard, folder: string): Promise<void> {
  const bad = join(folder, 'bad.csv');
  await writeFile(bad, 'username,colour\nx,red\n');
  await fails(pochard(['account', 'import', bad]), 1, /bad\.csv:1: unknown column "colour"/);
  await writeFile(bad, 'username,quotaOctets\nx@example.test,1\ny@example.test,much\n');
  await fails(pochard(['account', 'import', bad]), 1, /bad\.csv:3: quotaOctets "much"/);
  await writeFile(bad, 'username\nada@example.test\nnew@example.test\n');
  await fails(pochard(['account', 'import', bad]), 1, /ada@example\.test is taken[\s\S]*1 of 2 accounts could not be made/);
  await fails(pochard(['account', 'import', join(folder, 'missing.csv')]), 1, /missing\.csv/);
}

async function importMail(pochard: Pochard, folder: string): Promise<void> {
  const eml = (n: number): string => `From: bob@example.org\nSubject: eml ${n}\nDate: Tue, 3 Mar 2026 10:00:00 +0000\n\nbody ${n}\n`;
  const mail = join(folder, 'mail');
  await mkdir(join(mail, 'single'), { recursive: true });
  for (const n of [1, 2]) await writeFile(join(mail, 'single', `${n}.eml`), eml(n));
  await writeFile(
    join(mail, 'old.mbox'),
    `From bob@example.org Tue Mar  3 10:00:00 2026\n${eml(3)}\n>From quoted\n\nFrom bob@example.org Tue Mar  3 11:00:00 2026\n${eml(4)}\n`,
  );
  for (const sub of ['cur', 'new', 'tmp', '.Work.Deep/cur', '.Work.Deep/new', '.Work.Deep/tmp'])
    await mkdir(join(mail, 'Maildir', sub), { recursive: true });
  await writeFile(join(mail, 'Maildir/cur/1772532000.a.host:2,FS'), eml(5));
  await writeFile(join(mail, 'Maildir/new/1772532001.b.host'), eml(6));
  await writeFile(join(mail, 'Maildir/.Work.Deep/cur/1772532002.c.host:2,'), eml(7));
  assert.match(await ok(pochard(['import', 'ada@example.test', join(mail, 'single'), join(mail, 'old.mbox')])), /4 messages imported/);
  assert.match(await ok(pochard(['import', 'ada@example.test', join(mail, 'Maildir'), '--mailbox', 'Imported'])), /3 messages imported/);
  await fails(pochard(['import', 'ada@example.test', join(folder, 'missing')]), 1, /missing: cannot be read/);
  await writeFile(join(mail, 'spool'), '');
  const empty = await pochard(['import', 'ada@example.test', join(mail, 'spool')]);
  assert.match(empty.stdout, /0 messages imported/, empty.stderr);
  await fails(pochard(['import', 'ada@example.test', MAIN]), 1, /main\.ts: neither a message nor an mbox file/);
  await fails(pochard(['import', 'nobody@example.test', mail]), 1, /nobody@example\.test|no such account/i);
}

/** What the import has left, looked at over IMAP. */
async function importedMail(t: TestContext, port: number): Promise<void> {
  const imap = await ImapScript.login(t, port, 'ada@example.test', 'two');
  const status = async (mailbox: string): Promise<string> => (await imap.command(`STATUS "${mailbox}" (MESSAGES UNSEEN)`)).untagged.join();
  assert.match(await status('INBOX'), /MESSAGES 4/);
  assert.match(await status('Imported'), /MESSAGES 2 UNSEEN 1/);
  const { untagged } = await imap.command('LIST "" "Imported*"');
  const deep = untagged.map((line) => /"(Imported\/[^"]+)"$/.exec(line)?.[1]).find((name) => name?.endsWith('Deep'));
  assert(deep !== undefined, untagged.join());
  await imap.command('EXAMINE INBOX');
  const { untagged: found } = await imap.command('FETCH 3 (INTERNALDATE BODY.PEEK[])');
  assert.match(found.join(), /INTERNALDATE " 3-Mar-2026 10:00:00 \+0000"/);
  assert.match(found.join(), /Subject: eml 3\r\n/);
  await imap.command('EXAMINE Imported');
  assert.match((await imap.command('FETCH 1:* FLAGS')).untagged.join(), /\\Flagged.*\\Seen|\\Seen.*\\Flagged/);
}

test('commands on a store that no server has open', async (t) => {
  const data = await temporaryFolder(t);
  const folder = await temporaryFolder(t);
  const pochard = pochardOn(data, await closedStore(t, data));
  await accountCommands(pochard);
  await wrongUse(pochard);
  await badCsv(pochard, folder);
  await importMany(t, pochard, await csvOfMany(folder), 'on an idle store');
  await importMail(pochard, folder);
  assert.match(await ok(pochard(['fsck'])), new RegExp(`${MANY + 2} accounts checked, no problems`));
  assert.match(await ok(pochard(['fsck', 'ada@example.test'])), /1 accounts checked, no problems/);
  await fails(pochard(['fsck', 'nobody']), 1, /no account "nobody"/);
  assert.match(await ok(pochard(['store', 'migrate'])), /has the schema of this version/);
  const elsewhere = pochardOn(join(data, 'mistyped'), undefined);
  for (const command of [
    ['store', 'migrate'],
    ['store', 'move', '--from', 'config', '--to', `sqlite:${join(folder, 'to')}`],
  ])
    await fails(elsewhere(command), 2, /mistyped: there is no such data folder/);

  const server = await startServer(t, { data });
  await importedMail(t, server.port('imap'));
  await ImapScript.login(t, server.port('imap'), `user${MANY - 1}@many.example`, `password${MANY - 1}`);
  const fsck = pochardOn(data, join(data, 'pochard.yaml'))(['fsck']);
  if (isDistributed) assert.match(await ok(fsck), new RegExp(`${MANY + 2} accounts checked, no problems`));
  else await fails(fsck, 2, /has this data folder open/);
});

test('commands beside a running server go through it', async (t) => {
  const server = await startServer(t);
  const folder = await temporaryFolder(t);
  const pochard = pochardOn(server.data, join(server.data, 'pochard.yaml'));
  await accountCommands(pochard);
  await importMany(t, pochard, await csvOfMany(folder), 'through a running server');
  await importMail(pochard, folder);
  await importedMail(t, server.port('imap'));
  assert.equal(await server.stop(), 0);
  assert.match(await ok(pochard(['fsck'])), new RegExp(`${MANY + 1} accounts checked, no problems`));
});

/** What a terminal of `script` shows when each of `answers` is typed after the question before it. */
async function atKeyboard(command: string, answers: readonly (readonly [question: string, typed: string])[]): Promise<string> {
  const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let screen = '';
  let answered = 0;
  let from = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    screen += chunk.toString('latin1');
    for (;;) {
      const next = answers[answered];
      const at = next === undefined ? -1 : screen.indexOf(next[0], from);
      if (next === undefined || at === -1) return;
      from = at + next[0].length;
      answered += 1;
      child.stdin.write(next[1]);
    }
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return `${screen.replaceAll('\r', '')}exit ${String(code)}`;
}

test('a password is asked for at a keyboard, twice, and not shown', { timeout: 300_000 }, async (t) => {
  const data = await temporaryFolder(t);
  const command = (args: string) => `${process.execPath} ${MAIN} ${args} --data ${data}`;
  await ok(pochardOn(data)(['account', 'create', 'ada@example.test']));
  const passwd = command('account passwd ada@example.test');
  assert.equal(
    await atKeyboard(passwd, [
      ['Password: ', 'Tiger lilx\x7fy\r'],
      ['Once more: ', 'Tiger lily\r'],
    ]),
    'Password: \nOnce more: \nada@example.test: password set\nexit 0',
  );
  assert.match(await ok(pochardOn(data)(['auth', 'test', 'ada@example.test'], 'Tiger lily\n')), /accepted as ada@example\.test/);
  const test = await atKeyboard(command('auth test ada@example.test'), [['Password: ', 'Tiger lily\r']]);
  assert.match(test, /accepted as ada@example\.test\nexit 0$/);
  const differ = await atKeyboard(passwd, [
    ['Password: ', 'one\r'],
    ['Once more: ', 'two\r'],
  ]);
  assert.match(differ, /pochard: the two passwords differ\nexit 2$/);
  assert.match(await atKeyboard(passwd, [['Password: ', '\x03']]), /^Password: \npochard: no password given\nexit 2$/);
});

test('config check names file, line and key of every problem', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'pochard.yaml');
  const check = async (text: string): Promise<Ran> => {
    await writeFile(file, text);
    return runProgram(process.execPath, [MAIN, 'config', 'check', '--config', file, '--data', folder]);
  };
  const good = await check('hostname: mail.example.test\nhttp:\n  apiToken: very-secret-token-0123456789\n  listeners: []\n');
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /mail\.example\.test/);
  assert.doesNotMatch(good.stdout + good.stderr, /very-secret-token/);
  const bad = await check(
    'hostnam: x\nimap:\n  listeners:\n    - { address: "*", port: 99999, tls: maybe }\nlimits:\n  messageOctets: lots\n',
  );
  assert.equal(bad.code, 2);
  for (const line of [
    /pochard\.yaml:1:\d+: hostnam: .*hostname/,
    /pochard\.yaml:4:\d+: imap\.listeners\[0\]\.port/,
    /pochard\.yaml:4:\d+: imap\.listeners\[0\]\.tls/,
    /pochard\.yaml:6:\d+: limits\.messageOctets/,
  ])
    assert.match(bad.stderr, line);
  await writeFile(join(folder, 'a.crt'), 'no certificate');
  const files = await check(
    'tls: { certificateFile: a.crt, keyFile: a.key }\nplugins:\n  - use: stamp-header\n  - { use: examples/stamp-header, config: { nam: X } }\n  - { use: auth-mysql, config: { connection: { user: u, database: d }, queries: { user: SELECT p FROM u WHERE n = %u } } }\n',
  );
  assert.equal(files.code, 2);
  for (const line of [
    /^tls: .*a\.crt with .*a\.key: /m,
    /^plugins\[0\]: stamp-header: .*did you mean "examples\/stamp-header"/m,
    /^plugins\[1\]: .*plugins\[1\]\.config\.nam: no such key \(did you mean "name"\?\)/m,
    /^plugins\[2\]: .*auth-mysql: plugins\[2\]\.config: queries\.user: interpolates %u/m,
  ])
    assert.match(files.stderr, line);
  const broken = await check('imap: [\n');
  assert.equal(broken.code, 2);
  assert.match(broken.stderr, /pochard\.yaml:\d+:\d+: /);
  const nowhere = await runProgram(process.execPath, [MAIN, 'fsck', '--data', join(folder, 'nowhere')]);
  assert.match(nowhere.stderr, /nowhere: there is no such data folder/);
  const missing = await runProgram(process.execPath, [MAIN, 'start', '--config', join(folder, 'none.yaml'), '--data', folder]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /none\.yaml/);
  const variable = await runProgram(process.execPath, [MAIN, 'config', 'check', '--data', folder], {
    env: { POCHARD__LIMITS__MESSAGE_OCTETS: 'lots' },
  });
  assert.equal(variable.code, 2);
  assert.match(variable.stderr, /POCHARD__LIMITS__MESSAGE_OCTETS: limits\.messageOctets/);
  const started = await runProgram(process.execPath, [MAIN, 'start', '--config', file, '--data', folder]);
  assert.equal(started.code, 2, 'start refuses what check refuses');
  const version = await runProgram(process.execPath, [MAIN, '--version']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});
