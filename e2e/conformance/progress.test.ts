/** RFC 9585: INPROGRESS, of a search that takes as long as we want it to. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ImapScript } from '../support/imap-script.ts';
import { checkResponse } from '../support/response-grammar.ts';
import { startServer, temporaryFolder } from '../support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

/** Holds every search back until a file appears. */
const SLOW = `
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { definePlugin, Type } from '@pochard/plugin-sdk';

export const plugin = definePlugin({
  name: 'slow-search',
  permissions: ['plaintext'],
  config: Type.Object({ go: Type.String() }),
  apply({ hooks }, { go }) {
    hooks.search.rewrite.transform(async (query) => {
      while (!existsSync(go)) await setTimeout(50);
      return query;
    });
  },
});
`;

test('RFC 9585: a command that takes long says so before its answer, in clear and compressed', { timeout: 120_000 }, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'slow.ts'), SLOW);
  const go = join(folder, 'go');
  const server = await startServer(t, {
    accounts: { [USER]: PASSWORD },
    config: { plugins: [{ use: join(folder, 'slow.ts'), config: { go }, deadlineMs: { 'search.rewrite': 100_000 } }] },
  });
  const sessions: { readonly imap: ImapScript; readonly tag: string; readonly command: string; readonly answer: RegExp }[] = [];
  for (const [wire, command, answer] of [
    ['clear', 'SEARCH ALL', /^\* SEARCH 1$/],
    ['compressed', 'UID SEARCH RETURN (ALL) ALL', /^\* ESEARCH \(TAG "t\d+"\) UID ALL 1$/],
    ['clear', 'SORT (DATE) UTF-8 ALL', /^\* SORT 1$/],
    ['clear', 'THREAD REFERENCES UTF-8 ALL', /^\* THREAD \(1\)$/],
  ] as const) {
    const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
    if (sessions.length === 0) assert.match(await imap.append('INBOX', Buffer.from('Subject: x\r\n\r\nx\r\n')), /^OK/);
    assert.match((await imap.command('CAPABILITY')).untagged.join(), / INPROGRESS /);
    if (wire === 'compressed') await imap.compress();
    assert.match((await imap.command('SELECT INBOX')).done, /^OK/);
    const tag = imap.takeTag();
    imap.socket.write(`${tag} ${command}\r\n`);
    sessions.push({ imap, tag, command, answer });
  }
  // §4: at most every ten seconds, and each names its command.
  for (const { imap, tag, command } of sessions) {
    const line = await imap.response();
    checkResponse(line, 'ascii');
    assert.equal(line.replace(/\].*/, ']'), `* OK [INPROGRESS ("${tag}" NIL NIL)]`, command);
  }
  await writeFile(go, '');
  for (const { imap, tag, command, answer } of sessions) {
    const lines: string[] = [];
    while (!(lines.at(-1) ?? '').startsWith(`${tag} `)) lines.push(await imap.response());
    const rest = lines.filter((line) => !line.startsWith('* OK [INPROGRESS '));
    assert.match(rest[0] ?? '', answer, command);
    assert.equal(rest.length, 2);
    assert.match(rest[1] ?? '', /^t\d+ OK /);
    assert.deepEqual((await imap.command('NOOP')).untagged, [], 'nothing more of it when it is done');
  }
});
