/** A plugin of somebody else in a folder of its own, installed by path: it works, is inspected by commands, and SIGHUP swaps it. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { ImapScript } from './support/imap-script.ts';
import { runProgram } from './support/run-program.ts';
import { startServer, type TestServer, temporaryFolder } from './support/server.ts';

const MAIN = join(import.meta.dirname, '../core/src/main.ts');
const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

/** Several files, a configuration, permissions, a route, a command and a health check. */
const INDEX = `
import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';
import { greeting } from './greeting.ts';

export const plugin = definePlugin({
  name: 'stranger',
  permissions: ['plaintext'],
  config: Type.Object({ word: Type.String(), ill: Type.Boolean({ default: false }) }),
  apply({ hooks }, { word, ill }) {
    hooks.delivery.received.transform((delivery) => delivery.with(delivery.message.prepend('X-Stranger', greeting(word))));
    hooks.rcpt.accept.gate(({ address }) => {
      if (address.startsWith('closed')) throw new Refusal('policy', 'closed by a stranger');
    });
    hooks.auth.verify.decide(({ username }) => (username.startsWith('banned') ? { result: 'reject', reason: 'policy' } : undefined), { stage: 'policy' });
    hooks.http.route.declare({
      method: 'GET',
      path: '/word',
      scope: 'admin:word',
      summary: 'The word',
      replies: { 200: Type.Object({ word: Type.String() }) },
      handle: (_request, { reply }) => reply(200, { word }),
    });
    hooks.cli.command.declare({
      name: 'word',
      summary: 'prints the word',
      run: (args, { print }) => print([greeting(word), ...args].join(' ')),
    });
    hooks.health.check.declare({
      name: 'stranger',
      check() {
        if (ill) throw new Error('ill');
      },
    });
  },
});
`;

async function strangersFolder(t: TestContext): Promise<string> {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'src'));
  await writeFile(join(folder, 'package.json'), '{ "name": "stranger", "type": "module", "exports": "./src/index.ts" }');
  await writeFile(
    join(folder, 'src/greeting.ts'),
    'export function greeting(word: string): string {\n  return ["hello", word].join(" ");\n}\n',
  );
  await writeFile(join(folder, 'src/index.ts'), INDEX);
  return folder;
}

async function pochard(server: TestServer, args: readonly string[], input = '') {
  const common = ['--config', join(server.data, 'pochard.yaml'), '--data', server.data];
  return runProgram(process.execPath, [MAIN, ...args, ...common], { input });
}
async function setPlugins(server: TestServer, plugins: readonly object[]): Promise<void> {
  const file = join(server.data, 'pochard.yaml');
  await writeFile(file, stringify({ ...(parse(await readFile(file, 'utf8')) as object), plugins }));
}
/** Until the server has said so in its log once more. */
async function reloaded(server: TestServer, sign: RegExp): Promise<void> {
  const count = async () => (await server.log()).match(new RegExp(sign, 'g'))?.length ?? 0;
  const before = await count();
  server.signal('SIGHUP');
  for (const until = Date.now() + 15_000; Date.now() < until; ) {
    if ((await count()) >= before + server.instances.length) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no ${String(sign)} in the log:\n${(await server.log()).slice(-2000)}`);
}
const DONE = /certificates and plugins read again/;
const FAILED = /reload failed, the former certificates and plugins go on/;

test('a plugin outside of the repository works, is seen by commands, and is swapped by SIGHUP', async (t) => {
  const folder = await strangersFolder(t);
  const entry = { use: join(folder, 'src/index.ts'), config: { word: 'one' } };
  const server = await startServer(t, { accounts: { [USER]: PASSWORD, 'closed@example.test': PASSWORD }, config: { plugins: [entry] } });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  await imap.command('SELECT INBOX');
  const stamps = async (): Promise<readonly string[]> => {
    await imap.command('NOOP');
    const { untagged } = await imap.command('FETCH 1:* BODY.PEEK[HEADER.FIELDS (X-Stranger)]');
    return untagged.flatMap((line) => /^X-Stranger: (.*?)\r?$/m.exec(line)?.[1] ?? []);
  };
  const word = async () => (await (await server.api('GET', '/plugins/stranger/word')).json()) as unknown;

  await t.test('its hooks, route, command and health check', async () => {
    await server.deliver(USER, 'Subject: x\r\n\r\nbody\r\n');
    assert.deepEqual(await stamps(), ['hello one']);
    assert.deepEqual(await word(), { word: 'one' });
    const ran = await pochard(server, ['word', '--loud', 'now']);
    assert.equal(ran.stdout, 'hello one --loud now\n', ran.stderr);
    assert.equal((await pochard(server, ['words'])).code, 1);
    assert.equal((await server.api('GET', '/readyz')).status, 200);
  });

  await t.test('pochard plugin list, explain and auth test', async () => {
    const listed = await pochard(server, ['plugin', 'list']);
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(
      listed.stdout,
      /^stranger\tsdk 1\.\d+\.\d+\tlive\tpermissions: plaintext\thooks: auth\.verify, rcpt\.accept, .*http\.route/,
    );
    const login = await pochard(server, ['explain', 'login']);
    assert.match(login.stdout, /auth\.verify \(decide; a fault means tempfail\)\n {2}stranger \(policy, 5000 ms\)\n {2}core \(verify\)\n/);
    const closed = await pochard(server, ['explain', 'deliver', 'closed@example.test']);
    assert.match(closed.stdout, /rcpt\.accept stranger: said no: closed by a stranger\nrefused: closed by a stranger\n$/);
    const fetched = await pochard(server, ['explain', 'fetch', USER]);
    assert.match(fetched.stdout, /content may be read\n$/);
    assert.equal((await pochard(server, ['explain', 'sleep'])).code, 2);
    const good = await pochard(server, ['auth', 'test', USER], `${PASSWORD}\n`);
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /auth\.verify stranger: not mine\n {2}auth\.verify core: .*accept.*\naccepted as ada@example\.test\n$/);
    const bad = await pochard(server, ['auth', 'test', 'banned@example.test'], 'hunter2\n');
    assert.equal(bad.code, 1);
    assert.match(bad.stdout, /auth\.verify stranger: .*policy/);
    assert.doesNotMatch(bad.stdout + bad.stderr + (await server.log()), /hunter2/);
  });

  await t.test('SIGHUP takes the new configuration and the new text; open sessions go on', async () => {
    await setPlugins(server, [{ ...entry, config: { word: 'two', ill: true } }]);
    await reloaded(server, DONE);
    assert.deepEqual(await word(), { word: 'two' });
    assert.equal((await server.api('GET', '/readyz')).status, 503);
    await writeFile(join(folder, 'src/index.ts'), INDEX.replaceAll('greeting(word)', "['bye', word].join(' ')"));
    await setPlugins(server, [{ ...entry, config: { word: 'three' } }]);
    await reloaded(server, DONE);
    await server.deliver(USER, 'Subject: y\r\n\r\nbody\r\n');
    assert.deepEqual(await stamps(), ['hello one', 'bye three']);
    assert.equal((await server.api('GET', '/readyz')).status, 200);
  });

  await t.test('a mistake in the new configuration changes nothing', async () => {
    await setPlugins(server, [{ ...entry, config: { wrod: 'four' } }]);
    await reloaded(server, FAILED);
    assert.deepEqual(await word(), { word: 'three' });
    assert.match(await server.log(), /plugins\[0\]\.config\.wrod: no such key \(did you mean \\?"word\\?"\?\)/);
  });

  await t.test('taken out, it is gone; the commands work without the server too', async () => {
    await setPlugins(server, []);
    await reloaded(server, DONE);
    assert.equal((await server.api('GET', '/plugins/stranger/word')).status, 404);
    await server.deliver(USER, 'Subject: z\r\n\r\nbody\r\n');
    assert.equal((await stamps()).length, 2);
    assert.match((await imap.command('NOOP')).done, /^OK /);
    assert.equal(await server.stop(), 0);
    assert.equal((await pochard(server, ['word'])).code, 2, 'no plugins: an unknown command');
    await setPlugins(server, [{ ...entry, config: { word: 'idle' } }]);
    assert.equal((await pochard(server, ['word'])).stdout, 'bye idle\n');
    assert.match((await pochard(server, ['plugin', 'list', '--json'])).stdout, /^\{"id":"stranger"/);
    assert.match((await pochard(server, ['auth', 'test', USER], `${PASSWORD}\n`)).stdout, /accepted as/);
  });
});
