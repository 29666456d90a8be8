/**
 * Real clients that were away: ten changes among many messages. Those with QRESYNC or CONDSTORE hear of the changes only; mbsync and
 * offlineimap ask for the flags of all, and must get nothing else. `POCHARD_RESYNC_CLIENT_MESSAGES=100000` by hand (docs/performance.md).
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CountingProxy } from './support/counting-proxy.ts';
import { ImapScript } from './support/imap-script.ts';
import { CHANGES, changeTen, fillMailbox, flagNine, versionOf } from './support/large-mailbox.ts';
import { mustRun } from './support/run-program.ts';
import { startServer, temporaryFolder } from './support/server.ts';
import { needsProgram, needsPythonModule } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct-horse';
const MESSAGES = Number(process.env['POCHARD_RESYNC_CLIENT_MESSAGES'] ?? 1_000);
const TIMEOUT_MS = 120_000 + MESSAGES * 20;
/** Greeting, login, capabilities, LIST, SELECT. */
const OCTETS_AROUND = 8_000;
/** Of `* 100000 FETCH (UID 100000 FLAGS (\Recent \Flagged))`. */
const OCTETS_OF_FLAGS = 60;
/** offlineimap asks for INTERNALDATE, too. */
const OCTETS_OF_DATE = 45;
const OCTETS_OF_CHANGE = 400;

interface Away {
  /** A session of somebody at home; a new one each time, as a first sync may take longer than an idle session lives. */
  readonly home: () => Promise<ImapScript>;
  readonly proxy: CountingProxy;
  readonly folder: string;
}

async function start(t: TestContext): Promise<Away> {
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const home = () => ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  await fillMailbox(await home(), 'big', MESSAGES);
  return { home, proxy: await CountingProxy.start(t, server.port('imap')), folder: await temporaryFolder(t) };
}

/** Runs it, and says how long it took and what it heard. */
async function measured(t: TestContext, { proxy }: Away, what: string, run: () => Promise<unknown>) {
  proxy.take();
  const began = performance.now();
  await run();
  const seconds = (performance.now() - began) / 1000;
  const { octets, asked } = proxy.take();
  t.diagnostic(`${what} of ${MESSAGES} messages: ${seconds.toFixed(1)} s, ${octets} octets from the server`);
  return { octets, asked };
}

/** Of one Maildir: how many messages, and the flags of those that have some. */
async function maildir(folder: string): Promise<{ readonly messages: number; readonly flagged: number; readonly news: number }> {
  const names = [...(await readdir(join(folder, 'cur'))).map((name) => join('cur', name))];
  names.push(...(await readdir(join(folder, 'new'))).map((name) => join('new', name)));
  const flagged = names.filter((name) => /:2,[A-Z]*F/.test(name)).length;
  let news = 0;
  // The newest file names end the list in neither client: look at all of a small one, at some of a large one.
  for (const name of names.length > 5_000 ? [] : names)
    if (/^Subject: new\r?$/m.test(await readFile(join(folder, name), 'latin1'))) news += 1;
  return { messages: names.length, flagged, news };
}

function assertSynchronised(found: { readonly messages: number; readonly flagged: number; readonly news: number }, rounds: number): void {
  assert.equal(found.messages, MESSAGES - 3 * rounds + rounds);
  assert.equal(found.flagged, 6);
  if (MESSAGES <= 5_000) assert.equal(found.news, rounds);
}

test(`mbsync catches up with ${CHANGES} changes`, { timeout: TIMEOUT_MS }, async (t) => {
  if (!needsProgram(t, 'mbsync', 'isync')) return;
  const away = await start(t);
  const { home, proxy, folder } = away;
  await mkdir(join(folder, 'mail'));
  const config = join(folder, 'mbsyncrc');
  await writeFile(
    config,
    `FSync no
IMAPAccount pochard
Host 127.0.0.1
Port ${proxy.port}
User ${USER}
Pass ${PASSWORD}
SSLType None
AuthMechs PLAIN

IMAPStore far
Account pochard

MaildirStore near
Path ${folder}/mail/
Inbox ${folder}/mail/INBOX
SubFolders Verbatim

Channel big
Far :far:big
Near :near:big
Create Near
Expunge Both
SyncState *
`,
  );
  const sync = () => mustRun('mbsync', ['-c', config, 'big'], { env: { HOME: folder }, timeoutMs: TIMEOUT_MS });
  await measured(t, away, 'mbsync, first sync', sync);
  await changeTen(await home(), 'big', MESSAGES);
  const { octets } = await measured(t, away, `mbsync, ${CHANGES} changes`, sync);
  assertSynchronised(await maildir(join(folder, 'mail', 'big')), 1);
  assert.ok(octets < OCTETS_AROUND + MESSAGES * OCTETS_OF_FLAGS + CHANGES * OCTETS_OF_CHANGE, `${octets} octets`);
  await measured(t, away, 'mbsync, nothing new', sync);
});

test(`offlineimap catches up with ${CHANGES} changes`, { timeout: 2 * TIMEOUT_MS }, async (t) => {
  if (!needsProgram(t, 'offlineimap', 'offlineimap3')) return;
  const away = await start(t);
  const { home, proxy, folder } = away;
  const config = join(folder, 'offlineimaprc');
  await writeFile(
    config,
    `[general]
accounts = pochard
metadata = ${folder}/state
socktimeout = 60
fsync = no
[Account pochard]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = ${folder}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = ${proxy.port}
remoteuser = ${USER}
remotepass = ${PASSWORD}
ssl = no
starttls = no
auth_mechanisms = PLAIN
folderfilter = lambda name: name == 'big'
`,
  );
  const sync = () => mustRun('offlineimap', ['-o', '-u', 'quiet', '-c', config], { env: { HOME: folder }, timeoutMs: 2 * TIMEOUT_MS });
  await measured(t, away, 'offlineimap, first sync', sync);
  await changeTen(await home(), 'big', MESSAGES);
  const { octets, asked } = await measured(t, away, `offlineimap, ${CHANGES} changes`, sync);
  assertSynchronised(await maildir(join(folder, 'mail', 'big')), 1);
  const ofEach = OCTETS_OF_FLAGS + OCTETS_OF_DATE;
  assert.ok(octets < OCTETS_AROUND + MESSAGES * ofEach + CHANGES * OCTETS_OF_CHANGE, `${octets} octets for ${asked}`);
  await measured(t, away, 'offlineimap, nothing new', sync);
});

for (const [extension, settings] of [
  ['QRESYNC', 'imap_qresync=yes imap_condstore=yes'],
  ['CONDSTORE', 'imap_qresync=no imap_condstore=yes'],
] as const) {
  test(`neomutt with its header cache catches up with ${CHANGES} changes by ${extension}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (!needsProgram(t, 'neomutt')) return;
    if (!needsProgram(t, 'script', 'bsdutils')) return; // it wants a terminal
    const away = await start(t);
    const { home, proxy, folder } = away;
    const base = `imap://127.0.0.1:${proxy.port}`;
    const config = join(folder, 'neomuttrc');
    const log = join(folder, 'listed');
    await mkdir(join(folder, 'cache'));
    await writeFile(
      config,
      `set ssl_starttls=no ssl_force_tls=no imap_authenticators=plain
set imap_user="${USER}" imap_pass="${PASSWORD}" folder="${base}/" spoolfile="${base}/big" ${settings}
set header_cache="${folder}/cache" message_cachedir="" delete=no move=no quit=yes wait_key=no imap_idle=no timeout=1
set sort=mailbox-order record="" mark_old=no imap_fetch_chunk_size=0
set index_format="%s %Z" pipe_decode=yes
push "<limit>~F | ~s ^new$<enter><tag-pattern>~A<enter><tag-prefix><pipe-message>cat >> ${log}<enter><quit>"
`,
    );
    const open = () =>
      mustRun('script', ['-q', '-e', '-c', `neomutt -n -F ${config} -f ${base}/big`, '/dev/null'], {
        env: { TERM: 'xterm', HOME: folder },
        timeoutMs: TIMEOUT_MS,
      });
    await measured(t, away, `neomutt (${extension}), first time`, open);
    const listed = async (): Promise<string> => readFile(log, 'latin1');
    const bodies = (text: string, of: RegExp): number => text.match(of)?.length ?? 0;

    await flagNine(await home(), 'big', MESSAGES);
    await rm(log, { force: true });
    const { octets, asked } = await measured(t, away, `neomutt (${extension}), ${CHANGES} changes`, open);
    assert.match(asked, extension === 'QRESYNC' ? /\(CHANGEDSINCE \d+ VANISHED\)/ : /\(CHANGEDSINCE \d+\)/);
    assert.equal(bodies(await listed(), /^body \d+\r?$/gm), 9);
    assert.equal(bodies(await listed(), /^new\r?$/gm), 1);
    // Without QRESYNC it asks which UIDs there are.
    const all = MESSAGES * OCTETS_OF_FLAGS;
    assert.ok(octets < OCTETS_AROUND + (extension === 'QRESYNC' ? 0 : all) + CHANGES * OCTETS_OF_CHANGE, `${octets} octets for ${asked}`);

    // After VANISHED (EARLIER) this neomutt counts sequence numbers wrongly, sees it, and asks for the flags of all.
    await changeTen(await home(), 'big', MESSAGES);
    await rm(log, { force: true });
    const after = await measured(t, away, `neomutt (${extension}), ${CHANGES} changes, 3 of them expunges`, open);
    assert.equal(bodies(await listed(), /^body \d+\r?$/gm), 9 + 6);
    assert.equal(bodies(await listed(), /^new\r?$/gm), 2);
    assert.ok(after.octets < OCTETS_AROUND + all + 3 * CHANGES * OCTETS_OF_CHANGE, `${after.octets} octets for ${after.asked}`);
  });
}

test(`imaplib and curl catch up with ${CHANGES} changes by CHANGEDSINCE`, { timeout: TIMEOUT_MS }, async (t) => {
  const away = await start(t);
  const { home, proxy } = away;
  const { modSeq } = await versionOf(await home(), 'big');
  const { flagged, gone } = await changeTen(await home(), 'big', MESSAGES);
  const wanted = [...flagged, MESSAGES + 1];

  await t.test('imaplib', async (subtest) => {
    if (!needsPythonModule(subtest, 'imaplib', 'python3')) return;
    const script = join(import.meta.dirname, 'support/python/imaplib_resync.py');
    let stdout = '';
    const { octets } = await measured(t, away, `imaplib, ${CHANGES} changes`, async () => {
      ({ stdout } = await mustRun('python3', [script, String(proxy.port), USER, PASSWORD, 'big', String(modSeq)]));
    });
    const heard = JSON.parse(stdout) as { readonly fetched: readonly string[]; readonly vanished: readonly string[] };
    assert.deepEqual(
      heard.fetched.map((line) => Number(/UID (\d+)/.exec(line)?.[1])),
      wanted,
    );
    assert.deepEqual(heard.vanished, [`(EARLIER) ${gone.join(',')}`]);
    assert.ok(octets < OCTETS_AROUND + CHANGES * OCTETS_OF_CHANGE, `${octets} octets`);
  });

  await t.test('curl', async (subtest) => {
    if (!needsProgram(subtest, 'curl')) return;
    const request = `UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${modSeq})`;
    const args = ['-s', '-S', '--user', `${USER}:${PASSWORD}`, `imap://127.0.0.1:${proxy.port}/big`, '-X', request];
    let stdout = '';
    const { octets } = await measured(t, away, `curl, ${CHANGES} changes`, async () => {
      ({ stdout } = await mustRun('curl', args));
    });
    assert.deepEqual(
      [...stdout.matchAll(/ FETCH \(UID (\d+) FLAGS \(([^)]*)\)/g)].map(([, uid, flags]) => [Number(uid), flags?.includes('\\Flagged')]),
      wanted.map((uid) => [uid, uid <= MESSAGES]),
    );
    assert.ok(octets < OCTETS_AROUND + CHANGES * OCTETS_OF_CHANGE, `${octets} octets`);
  });
});
