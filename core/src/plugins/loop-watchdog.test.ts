import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

test('a tap that blocks the event loop is named while it blocks', () => {
  // In a process of its own: its stderr is where the name goes, and only its loop is blocked.
  const script = `
    import { definePlugin } from '@pochard/plugin-sdk';
    import { silentLog } from './log.ts';
    import { LoopWatchdog } from './loop-watchdog.ts';
    import { PluginHost } from './plugin-host.ts';
    const watchdog = new LoopWatchdog({ beatMs: 5, lookMs: 5, blockedMs: 50 });
    const host = new PluginHost({ log: silentLog, configFolder: '.', watchdog });
    const plugin = definePlugin({ name: 'slow', apply({ hooks }) { hooks.rcpt.accept.gate(() => console.log(watchdog.waitUntilReported(10_000))); } });
    await host.reload([{ plugin }]);
    await new Promise((resolve) => setTimeout(resolve, 200)); // the watcher starts
    await host.gate('rcpt.accept', { address: '', reversePath: '' }, {});
    await host.close();
  `;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', script.replaceAll("'./", `'${import.meta.dirname}/`)],
    {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  assert.equal(stdout.trim(), 'ok', stderr);
  const line = JSON.parse(stderr.split('\n').find((text) => text.startsWith('{')) ?? '{}') as Readonly<Record<string, unknown>>;
  assert.deepEqual([line['plugin'], line['hook'], line['msg']], ['slow', 'rcpt.accept', 'plugin blocks the event loop']);
});
