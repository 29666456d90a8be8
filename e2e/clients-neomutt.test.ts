/** neomutt in batch: what it does to a mailbox is looked at from outside. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { mustRun } from './support/run-program.ts';
import { startServer, temporaryFolder } from './support/server.ts';
import { needsProgram } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

test('neomutt lists, saves, copies, deletes and flags', async (t) => {
  if (!needsProgram(t, 'neomutt')) return;
  if (!needsProgram(t, 'script', 'bsdutils')) return; // it wants a terminal
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  for (const subject of ['wigeon', 'teal', 'garganey', 'smew']) {
    await server.deliver(USER, `From: bob@example.org\r\nTo: ada@example.test\r\nSubject: ${subject}\r\n\r\nA ${subject} on the lake\r\n`);
  }
  const folder = await temporaryFolder(t);
  const base = `imap://127.0.0.1:${server.port('imap')}`;
  const config = join(folder, 'neomuttrc');
  const log = join(folder, 'listed');
  const run = async (commands: readonly string[]): Promise<void> => {
    const lines = [
      'set ssl_starttls=no ssl_force_tls=no imap_authenticators=plain',
      `set imap_user="${USER}" imap_pass="${PASSWORD}" folder="${base}/" spoolfile="${base}/INBOX"`,
      `set header_cache="" message_cachedir="" confirmappend=no confirmcreate=no delete=yes move=no quit=yes wait_key=no imap_idle=no timeout=1`,
      'set sort=mailbox-order record="" mark_old=no',
    ];
    await writeFile(config, `${[...lines, ...commands.map((keys) => `push "${keys}"`).reverse()].join('\n')}\n`);
    const command = `neomutt -n -F ${config} -f ${base}/INBOX`;
    await mustRun('script', ['-q', '-e', '-c', command, '/dev/null'], { env: { TERM: 'xterm', HOME: folder }, timeoutMs: 30_000 });
  };

  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  const subjects = async (mailbox: string): Promise<string[]> => {
    await imap.command(`EXAMINE "${mailbox}"`);
    const { untagged } = await imap.command('FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])');
    await imap.command('UNSELECT');
    return untagged
      .filter((line) => line.includes(' FETCH '))
      .map((line) =>
        `${/Subject: (\S+)/.exec(line)?.[1]} ${(/FLAGS \(([^)]*)\)/.exec(line)?.[1] ?? '').replace(/\\Recent ?/, '').trim()}`.trim(),
      );
  };

  // Save (copy, then delete) the first, copy the second, flag the third, delete the fourth; then leave, which expunges.
  await run([
    '<first-entry><save-message>=Archive<enter>',
    '<jump>2<enter><copy-message>=Work<enter>',
    '<jump>3<enter><flag-message>',
    '<jump>4<enter><delete-message>',
    '<sync-mailbox><quit>',
  ]);
  assert.deepEqual(
    (await subjects('Archive')).map((line) => line.split(' ')[0]),
    ['wigeon'],
  );
  assert.deepEqual(
    (await subjects('Work')).map((line) => line.split(' ')[0]),
    ['teal'],
  );
  assert.deepEqual((await subjects('INBOX')).map((line) => line.replace(' \\Seen', '')).sort(), ['garganey \\Flagged', 'teal']);

  // What it shows: the messages that a search limits the list to, piped out.
  await run([`<limit>~b lake<enter><tag-pattern>~A<enter><tag-prefix><pipe-message>cat >> ${log}<enter><quit>`]);
  const listed = await readFile(log, 'latin1');
  assert.match(listed, /A teal on the lake/);
  assert.match(listed, /A garganey on the lake/);
  assert.doesNotMatch(listed, /wigeon|smew/);
});
