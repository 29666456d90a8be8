import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { test } from 'node:test';
import { definePlugin, type HookName, type JournalEventType, type Permission, type PluginContext, specs } from '@pochard/plugin-sdk';
import { PluginLoadError } from './errors.ts';
import { silentLog } from './log.ts';
import { pendingEvents, pendingHooks } from './pending-hooks.ts';
import { PluginHost } from './plugin-host.ts';
import { pluginOf } from './test-values.ts';

const core = join(import.meta.dirname, '..');

/** The services' source in one piece: who calls hooks, not who guards them. */
async function sourceOfServices(): Promise<string> {
  const files = (await readdir(core, { recursive: true })).filter(
    (name) => name.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(name) && !/^(plugins|plugin-testing)$/.test(name.split(sep)[0] ?? ''),
  );
  return (await Promise.all(files.map((name) => readFile(join(core, name), 'utf8')))).join('\n');
}

test('a hook is called by some service, or refused at load: never promised and forgotten', async () => {
  const source = await sourceOfServices();
  const isCalled = (name: HookName): boolean => {
    if (name === 'journal') return /\.followers\(\)/.test(source);
    if (name === 'session.ended') return /\.endSession\(/.test(source);
    return new RegExp(`\\.(decide|transform|gate|collect|observe|declared)\\(\\s*'${name.replace('.', '\\.')}'`).test(source);
  };
  const names = Object.keys(specs) as HookName[];
  assert.deepEqual(
    names.filter((name) => !isCalled(name)),
    names.filter((name) => pendingHooks[name] !== undefined),
  );
});

/** Taps `name` with whatever its verb takes. */
function tapping(name: HookName) {
  return pluginOf((context: PluginContext<Permission>) => {
    const [area = '', member] = name.split('.');
    const place: unknown = Reflect.get(context.hooks, area);
    const hook = (member === undefined ? place : Reflect.get(place as object, member)) as Record<string, (fn: unknown) => void>;
    hook[specs[name].kind]?.(() => undefined);
  });
}

for (const [name, reason] of Object.entries(pendingHooks)) {
  test(`${name} is refused at load, in words that name it`, async () => {
    const host = new PluginHost({ log: silentLog, configFolder: '.' });
    await assert.rejects(host.reload([{ plugin: tapping(name as HookName) }]), (error) => {
      assert(error instanceof PluginLoadError);
      assert.equal(error.message, `plugin trial: the hook ${name} is declared but not called yet: ${reason}`);
      return true;
    });
  });
}

test('a tap that says it can be missed is left out, and the plugin loads', async () => {
  const host = new PluginHost({ log: silentLog, configFolder: '.' });
  const plugin = pluginOf(({ hooks }) => {
    hooks.notify.event.transform((event) => event, { whenMissing: 'skip' });
    hooks.rcpt.accept.gate(() => undefined, { whenMissing: 'skip' });
  });
  await host.reload([{ plugin }]);
  assert.deepEqual(host.explain('notify.event'), []);
  assert.equal(host.explain('rcpt.accept').length, 1);
  await host.close();
});

test('an event that the journal does not hold is refused as well', async () => {
  const host = new PluginHost({ log: silentLog, configFolder: '.' });
  for (const type of pendingEvents) {
    const plugin = definePlugin({
      name: 'trial',
      apply({ hooks }) {
        hooks.journal.follow(['message.stored', type] as readonly JournalEventType[], () => undefined);
      },
    });
    await assert.rejects(host.reload([{ plugin }]), new RegExp(`journal does not tell ${type.replace('.', '\\.')} yet`));
  }
});
