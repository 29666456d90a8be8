/** mbsync and offlineimap: two-way synchronisation with a Maildir. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { mustRun } from './support/run-program.ts';
import { startServer, type TestServer, temporaryFolder } from './support/server.ts';
import { needsProgram } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct-horse';

function message(subject: string): string {
  return `From: bob@example.org\r\nTo: ada@example.test\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\nMessage-ID: <${subject}@example.org>\r\nSubject: ${subject}\r\n\r\nBody of ${subject}\r\n`;
}

interface Local {
  readonly file: string;
  readonly subject: string;
  /** Letters after `:2,`. */
  readonly flags: string;
}

/** Messages of one Maildir folder by subject. */
async function localMessages(folder: string): Promise<Map<string, Local>> {
  const found = new Map<string, Local>();
  for (const sub of ['cur', 'new']) {
    for (const name of await readdir(join(folder, sub))) {
      const file = join(folder, sub, name);
      const subject = /^Subject: (.*?)\r?$/m.exec(await readFile(file, 'latin1'))?.[1] ?? '';
      found.set(subject, { file, subject, flags: /:2,([A-Za-z]*)/.exec(name)?.[1] ?? '' });
    }
  }
  return found;
}

/** Subject to sorted flags, as the server has them. */
async function remoteMessages(imap: ImapScript, mailbox: string): Promise<Map<string, string>> {
  await imap.command(`EXAMINE "${mailbox}"`);
  const { untagged } = await imap.command('FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])');
  await imap.command('UNSELECT');
  const found = new Map<string, string>();
  for (const line of untagged.filter((text) => text.includes(' FETCH '))) {
    const flags = (/FLAGS \(([^)]*)\)/.exec(line)?.[1] ?? '').split(' ').filter((flag) => flag !== '' && flag !== '\\Recent');
    found.set(/Subject: (.*)\r\n/.exec(line)?.[1] ?? '', flags.sort().join(' '));
  }
  return found;
}

async function addLocal(folder: string, subject: string): Promise<void> {
  await writeFile(join(folder, 'cur', `${Date.now()}.${subject}.host:2,`), message(subject).replaceAll('\r\n', '\n'));
}

async function start(t: TestContext): Promise<{ readonly server: TestServer; readonly imap: ImapScript; readonly folder: string }> {
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  return { server, imap, folder: await temporaryFolder(t) };
}

test('mbsync keeps a Maildir and the server the same', async (t) => {
  if (!needsProgram(t, 'mbsync', 'isync')) return;
  const { server, imap, folder } = await start(t);
  const inbox = join(folder, 'mail', 'INBOX');
  await mkdir(join(folder, 'mail'));
  const config = join(folder, 'mbsyncrc');
  await writeFile(
    config,
    `IMAPAccount pochard
Host 127.0.0.1
Port ${server.port('imap')}
User ${USER}
Pass ${PASSWORD}
SSLType None
AuthMechs PLAIN

IMAPStore far
Account pochard

MaildirStore near
Path ${folder}/mail/
Inbox ${inbox}
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
`,
  );
  const sync = () => mustRun('mbsync', ['-c', config, 'all'], { env: { HOME: folder } });

  for (const subject of ['one', 'two', 'three']) await server.deliver(USER, message(subject));
  assert.match(await imap.append('INBOX', Buffer.from(message('seen')), '(\\Seen \\Flagged)'), /^OK /);
  await imap.command('CREATE "Projects/&ANY-l&-"');
  await sync();
  const first = await localMessages(inbox);
  assert.deepEqual([...first.keys()].sort(), ['one', 'seen', 'three', 'two']);
  assert.equal(first.get('seen')?.flags, 'FS');
  assert.ok((await readdir(join(folder, 'mail'))).includes('Archive'), 'special-use mailboxes are there too');

  const idleModSeq = async (): Promise<string> => (await imap.command('STATUS INBOX (HIGHESTMODSEQ MESSAGES UIDNEXT)')).untagged.join();
  const before = await idleModSeq();
  await sync();
  assert.equal(await idleModSeq(), before, 'a second run changes nothing');

  // Near: a new message, one flagged, one deleted. Far: one answered, one expunged, one new.
  await addLocal(inbox, 'near-new');
  const one = first.get('one');
  const two = first.get('two');
  const three = first.get('three');
  assert(one !== undefined && two !== undefined && three !== undefined);
  const unflagged = one.file.replace(/(:2,.*)?$/, '').replace('/new/', '/cur/');
  await rename(one.file, `${unflagged}:2,FS`);
  await rm(two.file);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 3 +FLAGS (\\Answered)');
  await imap.command('STORE 4 +FLAGS (\\Deleted)');
  assert.match((await imap.command('EXPUNGE')).done, /^OK /);
  await server.deliver(USER, message('far-new'));
  await imap.command('UNSELECT');
  await sync();
  assert.deepEqual(
    [...(await remoteMessages(imap, 'INBOX'))].sort(),
    [
      ['one', '\\Flagged \\Seen'],
      ['three', '\\Answered'],
      ['far-new', ''],
      ['near-new', ''],
    ].sort(),
  );
  const second = await localMessages(inbox);
  assert.deepEqual([...second.keys()].sort(), ['far-new', 'near-new', 'one', 'three']);
  assert.equal(second.get('three')?.flags, 'R');

  // A folder made here is made there, with its mail; the message's octets survive the way there and back.
  await mustRun('cp', ['-r', inbox, join(folder, 'mail', 'Copied')]);
  for (const state of ['.uidvalidity', '.mbsyncstate']) await rm(join(folder, 'mail', 'Copied', state), { force: true });
  await sync();
  assert.equal((await remoteMessages(imap, 'Copied')).size, 4);
  const settled = await idleModSeq();
  await sync();
  assert.equal(await idleModSeq(), settled);
});

test('offlineimap keeps a Maildir and the server the same', async (t) => {
  if (!needsProgram(t, 'offlineimap', 'offlineimap3')) return;
  const { server, imap, folder } = await start(t);
  const config = join(folder, 'offlineimaprc');
  await writeFile(
    config,
    `[general]
accounts = pochard
metadata = ${folder}/state
socktimeout = 20
[Account pochard]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = ${folder}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = ${server.port('imap')}
remoteuser = ${USER}
remotepass = ${PASSWORD}
ssl = no
starttls = no
auth_mechanisms = PLAIN
`,
  );
  const sync = () => mustRun('offlineimap', ['-o', '-u', 'basic', '-c', config], { env: { HOME: folder } });
  for (const subject of ['one', 'two', 'three']) await server.deliver(USER, message(subject));
  await sync();
  const inbox = join(folder, 'mail', 'INBOX');
  const first = await localMessages(inbox);
  assert.deepEqual([...first.keys()].sort(), ['one', 'three', 'two']);

  await addLocal(inbox, 'near-new');
  const one = first.get('one');
  assert(one !== undefined);
  await rm(one.file);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 2 +FLAGS (\\Seen \\Flagged)');
  await imap.command('UNSELECT');
  await sync();
  assert.deepEqual(
    [...(await remoteMessages(imap, 'INBOX'))].sort(),
    [
      ['near-new', ''],
      ['three', ''],
      ['two', '\\Flagged \\Seen'],
    ].sort(),
  );
  assert.equal((await localMessages(inbox)).get('two')?.flags, 'FS');
});
