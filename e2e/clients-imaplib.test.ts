/** Python's imaplib. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { mustRun } from './support/run-program.ts';
import { startServer } from './support/server.ts';
import { needsPythonModule } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
const BODY = 'From: bob@example.org\r\nSubject: from imaplib\r\n\r\nLine 0\r\n.dot line\r\n';

test('a session of imaplib', async (t) => {
  if (!needsPythonModule(t, 'imaplib', 'python3')) return;
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const script = join(import.meta.dirname, 'support/python/imaplib_session.py');
  const { stdout } = await mustRun('python3', [
    script,
    String(server.port('imap')),
    USER,
    PASSWORD,
    String(server.port('imap', 'implicit')),
  ]);
  const seen = JSON.parse(stdout) as Record<string, [string, unknown]>;
  const ok = (name: string): unknown => {
    const [status, data] = seen[name] ?? [];
    assert.equal(status, 'OK', `${name}: ${JSON.stringify(data)}`);
    return data;
  };
  assert.match(String(seen['wrong password']), /AUTHENTICATIONFAILED/);
  assert.equal(seen['create again']?.[0], 'NO');
  assert.match(String(seen['create again']?.[1]), /ALREADYEXISTS/);
  assert.equal(seen['copy missing']?.[0], 'NO');
  assert.match(String(seen['copy missing']?.[1]), /TRYCREATE/);
  for (const name of [
    'login',
    'capability',
    'namespace',
    'create',
    'subscribe',
    'noop',
    'check',
    'getquotaroot',
    'rename',
    'close',
    'enable',
  ])
    ok(name);
  assert.ok((ok('lsub') as string[]).some((line) => /^\(.*\) "\/" "Work"$/.test(line)));
  assert.ok((ok('list') as string[]).some((line) => /\\Trash.* "\/" "Trash"/.test(line)));
  assert.match(String(ok('append 4')), /APPENDUID \d+ 5/);
  assert.match(String(ok('status')), /\(MESSAGES 5 UIDNEXT 6 UNSEEN 4\)/);
  assert.deepEqual(ok('select'), ['5']);
  assert.match(String(seen['permanentflags']), /\$Label1.*\\\*/);
  assert.deepEqual(ok('search'), ['2 3 4 5']);
  assert.deepEqual(ok('search charset'), ['2 3 4 5']);
  const [[start, octets]] = ok('fetch') as [[string, string]];
  assert.match(start, /^1 \(UID 1 FLAGS \(.*\\Seen.*\) INTERNALDATE " 3-Mar-2026 10:00:00 \+0000" RFC822\.SIZE 67 BODY\[\] \{67\}$/);
  assert.equal(octets, BODY);
  assert.deepEqual((ok('partial') as [[string, string]])[0][1], 'Line 0');
  ok('uid copy');
  assert.equal((ok('expunge') as string[]).length, 2);
  assert.deepEqual(ok('uid search'), ['1 4 5']);
  assert.match(String(ok('unselected')), /MESSAGES 3/);
  assert.match(JSON.stringify(ok('utf8 list')), /Gr\u00c3\u00bc\u00c3\u009fe/);
  ok('utf8 create');
  ok('utf8 append');
  ok('delete');
  assert.equal(seen['logout']?.[0], 'BYE');
  ok('tls authenticate');
  assert.deepEqual(ok('tls examine'), ['2']);
  assert.equal((ok('tls fetch') as [[string, string]])[0][1], BODY);
});

test('imaplib shares a mailbox with somebody else: SETACL, GETACL, MYRIGHTS, DELETEACL', async (t) => {
  if (!needsPythonModule(t, 'imaplib', 'python3')) return;
  const guest = 'bob@example.test';
  const server = await startServer(t, { accounts: { [USER]: PASSWORD, [guest]: PASSWORD } });
  const script = join(import.meta.dirname, 'support/python/imaplib_acl.py');
  const { stdout } = await mustRun('python3', [script, String(server.port('imap')), USER, guest, PASSWORD]);
  const seen = JSON.parse(stdout) as Record<string, [string, unknown]>;
  const shared = `user/${USER}/Team`;
  assert.equal(seen['before']?.[0], 'NO');
  assert.equal(seen['setacl unknown']?.[0], 'NO');
  assert.deepEqual(seen['getacl'], ['OK', [`"Team" ${USER} lrswipkxteacd ${guest} lrsw`]]);
  assert.deepEqual(seen['myrights'], ['OK', [`"${shared}" lrsw`]]);
  assert.deepEqual(seen['namespace'], ['OK', ['(("" "/")) (("user/" "/")) NIL']]);
  assert.deepEqual(seen['list'], ['OK', [`(\\Noselect \\HasChildren) "/" "user/${USER}"`, `(\\HasNoChildren) "/" "${shared}"`]]);
  assert.equal(seen['getacl guest']?.[0], 'NO');
  assert.ok(String(seen['lsub']?.[1]).includes(`() "/" "${shared}"`));
  assert.deepEqual(seen['select'], ['OK', ['3']]);
  assert.deepEqual(seen['search guest'], ['OK', ['2 3']]);
  assert.deepEqual(seen['search owner'], ['OK', ['1 2 3']]);
  assert.equal(seen['copy']?.[0], 'OK');
  assert.equal(seen['append']?.[0], 'NO');
  assert.equal(seen['expunge']?.[0], 'NO');
  assert.match(String(seen['status']?.[1]), /\(MESSAGES 3 UNSEEN 2\)/);
  assert.match(String(seen['status inbox']?.[1]), /\(MESSAGES 2\)/);
  assert.deepEqual(seen['getacl after'], ['OK', [`"Team" ${USER} lrswipkxteacd`]]);
  assert.equal(seen['after'], 'ended');
  assert.equal(seen['select after']?.[0], 'NO');
});
