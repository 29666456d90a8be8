import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { definePlugin, type Plugin, Refusal, Type } from '@pochard/plugin-sdk';
import { PermissionMissing, PluginLoadError } from './errors.ts';
import { silentLog } from './log.ts';
import { PluginHost } from './plugin-host.ts';
import { type ConfiguredPlugin, checkEntries } from './plugin-loader.ts';
import { actor, context, delivery, hang, message, pluginOf, startHost } from './test-values.ts';

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'plugins-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}
async function load(configFolder: string, ...entries: readonly ConfiguredPlugin[]): Promise<PluginHost> {
  const host = new PluginHost({ log: silentLog, configFolder });
  await host.reload(entries);
  return host;
}
const quiet = definePlugin({
  name: 'quiet-hours',
  config: Type.Object({
    windowMs: Type.Number({ default: 600, maximum: 1000 }),
    url: Type.String({ format: 'uri' }),
    nested: Type.Optional(Type.Object({ from: Type.String(), 'a/b': Type.Optional(Type.Number()) })),
  }),
  apply: () => undefined,
});

test('mistakes in a configuration name the key, and the key that was meant', async (t) => {
  const { host } = await startHost(t, []);
  for (const [config, expected] of [
    [{ windowMS: 5, url: 'http://x/' }, 'plugins[0].config.windowMS: no such key (did you mean "windowMs"?)'],
    [{ url: 'http://x/', nested: { from: 'x', form: 'y' } }, 'plugins[0].config.nested.form: no such key (did you mean "from"?)'],
    [{ url: 'http://x/', zebra: 1 }, 'plugins[0].config.zebra: no such key'],
    [{ url: 'http://x/', windowMs: 5000 }, 'plugins[0].config.windowMs: must be <= 1000'],
    [{ url: 'http://x/', nested: { from: 'x', 'a/b': 'y' } }, 'plugins[0].config.nested.a/b: must be number'],
    [undefined, 'plugins[0].config.url: is missing'],
    [{ url: 'no url' }, 'plugins[0].config.url: must match format "uri"'],
    [[], 'plugins[0].config: must be object'],
  ] as const) {
    await assert.rejects(host.reload([{ plugin: quiet, config }]), (error) => {
      assert(error instanceof PluginLoadError);
      assert.equal(error.message, `plugin quiet-hours: ${expected}`);
      return true;
    });
  }
});

test('mistakes in an entry are found before the plugin is', async (t) => {
  const path = await folder(t);
  for (const [entry, expected] of [
    [{ use: 'x', scope: { domans: ['a'] } }, 'plugins[0].scope.domans: no such key (did you mean "domains"?)'],
    [{ use: 'x', deadlineMs: { 'auth.verfy': 5 } }, 'plugins[0].deadlineMs.auth.verfy: no such hook (did you mean "auth.verify"?)'],
    [{ use: 'x', deadlineMs: { 'auth.verify': -5 } }, 'plugins[0].deadlineMs.auth.verify: must be >= 1'],
    [{ use: 'x', beforeCore: ['rcpt.resolved'] }, 'plugins[0].beforeCore.rcpt.resolved: no such hook (did you mean "rcpt.resolve"?)'],
    [{ use: 'x', sealedAccounts: 'yes' }, 'plugins[0].sealedAccounts: must be "allow"'],
  ] as const) {
    await assert.rejects(load(path, entry as unknown as ConfiguredPlugin), (error) => {
      assert(error instanceof PluginLoadError);
      assert.equal(error.message, `plugin x: ${expected}`);
      return true;
    });
  }
});

test('defaults are filled in, and the configuration that was given stays as it is', async (t) => {
  const given = { url: 'http://x/' };
  let got: unknown;
  const { host } = await startHost(t, []);
  await host.reload([{ plugin: { ...quiet, apply: (_context: never, config: never) => void (got = config) }, config: given }]);
  assert.deepEqual(got, { url: 'http://x/', windowMs: 600 });
  assert.deepEqual(given, { url: 'http://x/' });
});

test('what is no plugin of ours is refused by name', async (t) => {
  const { host } = await startHost(t, []);
  const good = pluginOf(() => undefined);
  for (const [plugin, expected] of [
    [{ ...good, sdk: '3.0.0' }, /built with plugin-sdk 3.0.0/],
    [{ ...good, sdk: 'new' }, /built with plugin-sdk new/],
    [{ ...good, name: 'Not Kebab' }, /not kebab-case/],
    [{ ...good, name: 'core' }, /not kebab-case/],
    [{ ...good, permissions: ['plain'] }, /no such permission: plain \(did you mean/],
  ] as const) {
    await assert.rejects(host.reload([{ plugin: plugin as unknown as Plugin }]), expected);
  }
});

test('apply has 30 s, and taps only while it runs', async (t) => {
  const { host, clock } = await startHost(t, []);
  const loading = host.reload([{ plugin: pluginOf(hang) }]);
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  clock.advance(30_000);
  await assert.rejects(loading, /apply has not returned within 30 s/);

  let tapLate: () => void = () => undefined;
  await host.reload([{ plugin: pluginOf(({ hooks }) => (tapLate = () => hooks.rcpt.accept.gate(() => undefined))) }]);
  assert.throws(tapLate, /taps are made while apply runs/);
});

test('taps that are not functions, unknown stages and incomplete declarations do not load', async (t) => {
  const { host } = await startHost(t, []);
  for (const apply of [
    ({ hooks }) => hooks.rcpt.accept.gate('x' as never),
    ({ hooks }) => hooks.auth.verify.decide(() => undefined, { stage: 'sign' as never }),
    ({ hooks }) => hooks.store.codec.declare({ name: 'x', stage: 'compress' } as never),
    ({ hooks }) => hooks.store.codec.declare({ name: 'X y', stage: 'compress' } as never),
    ({ hooks }) =>
      hooks.http.route.declare({ method: 'GET', path: '../x', scope: 'a', summary: '', replies: {}, handle: () => undefined as never }),
    ({ hooks }) => hooks.imap.command.declare({ name: 'X\r\n', states: ['selected'], args: {} as never, handle: () => undefined }),
    ({ hooks }) => {
      hooks.journal.follow(['message.stored'], () => undefined);
      hooks.journal.follow(['message.stored'], () => undefined);
    },
  ] satisfies Parameters<typeof pluginOf>[0][]) {
    await assert.rejects(host.reload([{ plugin: pluginOf(apply) }]), PluginLoadError);
  }
});

test('what a plugin did not ask for throws, naming the permission', async (t) => {
  const bare = (apply: (context: never) => unknown) =>
    definePlugin({ name: 'bare', apply: async (given) => void (await apply(given as never)) });
  const { host } = await startHost(t, []);
  for (const [member, permission] of [
    ['messages', 'plaintext'],
    ['mail', 'write'],
    ['http', 'network'],
    ['tasks', 'schedule'],
  ] as const) {
    await assert.rejects(host.reload([{ plugin: bare((given: Readonly<Record<string, unknown>>) => given[member]) }]), (error) => {
      assert(error instanceof PluginLoadError && error.cause instanceof PermissionMissing);
      return error.cause.permission === permission;
    });
  }
  await assert.rejects(
    host.reload([
      { plugin: bare(({ hooks }: { readonly hooks: { readonly delivery: { readonly received: unknown } } }) => hooks.delivery.received) },
    ]),
    /hooks.delivery.received needs the permission 'plaintext'/,
  );
});

test('without plaintext messages are not in the arguments, without credentials no octets in the secrets', async (t) => {
  const seen: string[] = [];
  const bare = definePlugin({
    name: 'bare',
    apply({ hooks }) {
      hooks.delivery.scan.collect((mail) => {
        seen.push(Object.keys(mail).sort().join());
        assert.throws(() => mail.message, PermissionMissing);
        return [];
      });
      hooks.delivery.route.transform((routing, call) => {
        assert.throws(() => call.delivery.message, PermissionMissing);
        return routing;
      });
      hooks.account.creating.gate(({ secret }) => {
        assert(secret !== undefined && !('bytes' in secret));
        seen.push(String(secret));
      });
    },
  });
  const { host } = await startHost(t, [bare]);
  const mail = delivery(message('Subject: x'));
  await host.collect('delivery.scan', mail, { actor });
  await host.transform('delivery.route', { mailbox: 'INBOX', flags: [] }, { ...context, delivery: mail, verdicts: [] });
  const { createSecret } = await import('./secrets.ts');
  const { createCommit } = await import('./identities.ts');
  const secret = createSecret(Buffer.from('pw'));
  await host.gate('account.creating', { seed: { username: 'ada@a.example' }, secret, commit: createCommit({}) }, context);
  assert.deepEqual(seen, ['id,origin,recipients,reversePath,sizeOctets', '[secret]']);
});

test('a service that the server does not have says so when it is used', async (t) => {
  const said: unknown[] = [];
  await startHost(t, [
    pluginOf(async ({ accounts, passwords, table, mailboxes }) => {
      for (const use of [
        () => accounts.find('x'),
        () => passwords.hash({} as never, AbortSignal.timeout(1)),
        () => mailboxes.list('x' as never),
        () => table('rows', Type.Object({})),
      ]) {
        try {
          await use();
        } catch (error) {
          said.push(error instanceof Error && error.message);
        }
      }
    }),
  ]);
  assert.deepEqual(
    said,
    ['accounts', 'passwords', 'mailboxes', 'table'].map((member) => `this server does not offer '${member}' to plugins yet`),
  );
});

const source = (text: string) => `
import { definePlugin, Refusal } from '@pochard/plugin-sdk';
export const plugin = definePlugin({
  name: 'outside',
  apply({ hooks }: Parameters<Parameters<typeof definePlugin>[0]['apply']>[0]): void {
    hooks.rcpt.accept.gate(() => { throw new Refusal('policy', '${text}'); });
  },
});
`;
const recipient = { address: 'ada@a.example', reversePath: '', declaredOctets: undefined };

test('a single file outside the tree is a plugin, with our copy of the SDK; a reload reads it again when it was edited', async (t) => {
  const path = await folder(t);
  await writeFile(join(path, 'outside.ts'), source('first'));
  const host = await load(path, { use: './outside.ts' });
  await assert.rejects(
    async () => host.gate('rcpt.accept', recipient, context),
    (error) => error instanceof Refusal && error.message === 'first',
  );
  await writeFile(join(path, 'outside.ts'), source('second'));
  await utimes(join(path, 'outside.ts'), new Date(), new Date(Date.now() + 5000));
  await host.reload([{ use: join(path, 'outside.ts') }]);
  await assert.rejects(async () => host.gate('rcpt.accept', recipient, context), /second/);
  await host.close();
});

test('a package is found from the folder of the configuration', async (t) => {
  const path = await folder(t);
  const home = join(path, 'node_modules', 'pochard-outside');
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), JSON.stringify({ name: 'pochard-outside', type: 'module', exports: './index.js' }));
  await writeFile(join(home, 'index.js'), source('packaged').replace(/: Parameters.*\): void/, ')'));
  const host = await load(path, { use: 'pochard-outside' });
  await assert.rejects(async () => host.gate('rcpt.accept', recipient, context), /packaged/);
  await host.close();
  await assert.rejects(load(path, { use: 'pochard-nowhere' }), /plugin pochard-nowhere: there is no such package in /);
  await assert.rejects(load(path, { use: 'stamp-header' }), /did you mean "examples\/stamp-header"\?/);
});

test('a module without a plugin is refused', async (t) => {
  const path = await folder(t);
  await writeFile(join(path, 'empty.ts'), 'export const plug = 1;');
  await assert.rejects(load(path, { use: './empty.ts' }), /no export called `plugin`/);
});

test('what the check of a plugin says stops the load and is told by config check, before anything is applied', async (t) => {
  const path = await folder(t);
  await writeFile(
    join(path, 'checks.ts'),
    `import { definePlugin, Type } from '@pochard/plugin-sdk';
export const plugin = definePlugin({
  name: 'checks',
  config: Type.Object({ from: Type.Number(), to: Type.Number({ default: 5 }) }),
  check: ({ from, to }) => (from < to ? [] : ['from: must be below to']),
  apply() { throw new Error('applied'); },
});`,
  );
  const entry = { use: './checks.ts', config: { from: 9 } };
  await assert.rejects(load(path, entry), /plugin \.\/checks\.ts: plugins\[0\]\.config: from: must be below to$/);
  assert.deepEqual(
    (await checkEntries([entry, { ...entry, config: { from: 1 } }], path)).map(({ index, error }) => [index, String(error)]),
    [[0, 'ConfigError: plugins[0].config: from: must be below to']],
  );
});
