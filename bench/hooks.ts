/**
 * What the guard costs: `node bench/hooks.ts`. Prints nanoseconds per call, median of seven runs.
 * Budget: an idle hook list cannot be seen (a few ns), one guarded tap at most 1.5 µs.
 */
import { definePlugin } from '@pochard/plugin-sdk';
import { AsyncSeriesHook } from 'tapable';
import type { CallContext } from '../core/src/plugins/hook-calls.ts';
import { createActor } from '../core/src/plugins/identities.ts';
import { silentLog } from '../core/src/plugins/log.ts';
import { PluginHost } from '../core/src/plugins/plugin-host.ts';

const calls = 200_000;
const runs = 7;
const actor = createActor({ type: 'system', name: 'bench' });
const account = {
  id: 'a',
  username: 'ada@a.example',
  domain: 'a.example',
  addresses: [],
  sealed: false,
} as unknown as Required<CallContext>['account'];
const context = { actor, account } as CallContext & { readonly account: NonNullable<typeof account> };
const request = { mailbox: { id: 'm', accountId: 'a', name: 'INBOX', specialUse: [] } as never, uids: [], wants: 'metadata' as const };

async function hostWith(tap: 'none' | 'sync' | 'async' | 'signal'): Promise<PluginHost> {
  const host = new PluginHost({ log: silentLog, configFolder: '.' });
  const plugin = definePlugin({
    name: 'bench',
    apply({ hooks }) {
      if (tap === 'sync') hooks.fetch.authorize.gate(() => undefined);
      if (tap === 'async') hooks.fetch.authorize.gate(async () => undefined);
      if (tap === 'signal') hooks.fetch.authorize.gate(async (_request, { signal }) => signal.throwIfAborted());
    },
  });
  await host.reload([{ plugin }]);
  return host;
}
async function measure(name: string, run: () => Promise<void>): Promise<void> {
  await run();
  const times: number[] = [];
  for (let turn = 0; turn < runs; turn += 1) {
    const started = performance.now();
    await run();
    times.push(((performance.now() - started) * 1e6) / calls);
  }
  times.sort((one, other) => one - other);
  console.log(`${name.padEnd(46)} ${(times[runs >> 1] ?? 0).toFixed(0).padStart(6)} ns`);
}

const bare = new AsyncSeriesHook<[unknown, unknown]>(['request', 'call']);
bare.tapPromise('bench', async () => undefined);
await measure('tapable alone, one async tap', async () => {
  for (let turn = 0; turn < calls; turn += 1) await bare.promise(request, context);
});
const idle = await hostWith('none');
await measure('idle: has()', async () => {
  for (let turn = 0; turn < calls; turn += 1) if (idle.has('fetch.authorize')) throw new Error('not idle');
});
await measure('idle: gate(), not awaited when it is undefined', async () => {
  for (let turn = 0; turn < calls; turn += 1) {
    const gate = idle.gate('fetch.authorize', request, context);
    if (gate !== undefined) await gate;
  }
});
for (const [tap, name] of [
  ['sync', 'one guarded tap that returns at once'],
  ['async', 'one guarded async tap, awaited'],
  ['signal', 'one guarded async tap that looks at its signal'],
] as const) {
  const host = await hostWith(tap);
  await measure(name, async () => {
    for (let turn = 0; turn < calls; turn += 1) {
      const gate = host.gate('fetch.authorize', request, context);
      if (gate !== undefined) await gate;
    }
  });
  await host.close();
}
await idle.close();
