/** curl and openssl against IMAP, SMTP and the HTTP API. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { mustRun, runProgram } from './support/run-program.ts';
import { startServer, temporaryFolder } from './support/server.ts';
import { needsProgram } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
const MESSAGE =
  'From: bob@example.org\r\nTo: ada@example.test\r\nSubject: pochard and wigeon\r\n\r\nA line with an ocelot\r\n.\r\n..two dots\r\n';

test('curl and openssl', async (t) => {
  if (!needsProgram(t, 'curl')) return;
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const folder = await temporaryFolder(t);
  const file = join(folder, 'message.eml');
  await writeFile(file, MESSAGE);
  const imap = (port: number, path: string, ...args: string[]) =>
    runProgram('curl', ['-s', '-S', '--user', `${USER}:${PASSWORD}`, `imap://127.0.0.1:${port}/${path}`, ...args]);
  const plain = server.port('imap');

  await t.test('a wrong password is refused and nothing is shown', async () => {
    const { code, stdout } = await runProgram('curl', ['-s', '--user', `${USER}:wrong`, `imap://127.0.0.1:${plain}/INBOX`]);
    assert.equal(code, 67);
    assert.equal(stdout, '');
  });

  await t.test('SMTP, then LIST, FETCH and SEARCH', async () => {
    const smtp = `smtp://127.0.0.1:${server.port('smtp')}/client.example`;
    await mustRun('curl', ['-s', '-S', smtp, '--mail-from', 'bob@example.org', '--mail-rcpt', USER, '--upload-file', file]);
    const list = await imap(plain, '');
    assert.equal(list.code, 0, list.stderr);
    assert.match(list.stdout, /^\* LIST \(.*\) "\/" "?INBOX"?\r$/m);
    const fetched = await imap(plain, 'INBOX;MAILINDEX=1');
    assert.equal(fetched.code, 0, fetched.stderr);
    assert.ok(fetched.stdout.endsWith(MESSAGE), fetched.stdout);
    assert.match(fetched.stdout, /^Received: from client\.example /m);
    const section = await imap(plain, 'INBOX;UID=1;SECTION=TEXT');
    assert.equal(section.stdout, MESSAGE.slice(MESSAGE.indexOf('\r\n\r\n') + 4));
    for (const [query, result] of [
      ['SUBJECT%20wigeon', '* SEARCH 1\r\n'],
      ['BODY%20OCELOT', '* SEARCH 1\r\n'],
      ['FROM%20carol', '* SEARCH\r\n'],
    ] as const) {
      assert.equal((await imap(plain, `INBOX?${query}`)).stdout, result, query);
    }
  });

  await t.test('APPEND, STORE and EXPUNGE by custom requests', async () => {
    assert.equal((await imap(plain, 'INBOX', '-T', file)).code, 0);
    const { stdout } = await imap(plain, 'INBOX;UID=2');
    assert.equal(stdout, MESSAGE);
    assert.match((await imap(plain, 'INBOX', '-X', 'STORE 2 +FLAGS (\\Deleted)')).stdout, /\* 2 FETCH \(.*\\Deleted/);
    assert.match((await imap(plain, 'INBOX', '-X', 'EXPUNGE')).stdout, /\* 2 EXPUNGE/);
    assert.match((await imap(plain, 'INBOX', '-X', 'STATUS INBOX (MESSAGES)')).stdout, /MESSAGES 1/);
  });

  await t.test('STARTTLS and implicit TLS', async () => {
    const starttls = await imap(server.port('imap', 'starttls'), 'INBOX;UID=1', '-k', '--ssl-reqd');
    assert.equal(starttls.code, 0, starttls.stderr);
    assert.ok(starttls.stdout.endsWith(MESSAGE));
    const url = `imaps://127.0.0.1:${server.port('imap', 'implicit')}/INBOX;UID=1`;
    const implicit = await mustRun('curl', ['-s', '-S', '-k', '--user', `${USER}:${PASSWORD}`, url]);
    assert.ok(implicit.stdout.endsWith(MESSAGE));
    const unknown = await runProgram('curl', ['-s', '--user', `${USER}:${PASSWORD}`, url]);
    assert.equal(unknown.code, 60, 'a self-signed certificate is not believed without -k');
    const smtp = `smtp://127.0.0.1:${server.port('smtp', 'starttls')}/client.example`;
    await mustRun('curl', [
      '-s',
      '-S',
      '-k',
      '--ssl-reqd',
      smtp,
      '--mail-from',
      'x@example.org',
      '--mail-rcpt',
      USER,
      '--upload-file',
      file,
    ]);
  });

  await t.test('openssl s_client speaks IMAP over implicit TLS', async (sub) => {
    if (!needsProgram(sub, 'openssl')) return;
    const input = `a LOGIN "${USER}" "${PASSWORD}"\r\nb STATUS INBOX (MESSAGES)\r\nc LOGOUT\r\n`;
    const args = ['s_client', '-quiet', '-ign_eof', '-connect', `127.0.0.1:${server.port('imap', 'implicit')}`];
    const { stdout } = await runProgram('openssl', args, { input, timeoutMs: 20_000 });
    assert.match(stdout, /^\* OK /);
    assert.match(stdout, /^\* STATUS "?INBOX"? \(MESSAGES 2\)\r$/m);
    assert.match(stdout, /^\* BYE .*\r\nc OK /m);
    const { stdout: hello } = await runProgram(
      'openssl',
      ['s_client', '-starttls', 'imap', '-brief', '-connect', `127.0.0.1:${server.port('imap', 'starttls')}`],
      { input: 'x LOGOUT\r\n', timeoutMs: 20_000 },
    ).then(({ stdout: out, stderr }) => ({ stdout: out + stderr }));
    assert.match(hello, /Protocol version: TLSv1\.3/);
  });
});
