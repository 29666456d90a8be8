/** The plugins that come with the server load in it: no tap at a hook that nobody calls, no clash of names. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Plugin } from '@pochard/plugin-sdk';
import { startHost } from '@pochard/plugin-sdk/testing';

const folder = fileURLToPath(new URL('../../../plugins/', import.meta.url));
/** What the schemas ask for. Nothing listens there: a plugin has to load all the same. */
const configs: Readonly<Record<string, unknown>> = {
  'auth-mysql': { connection: { host: '127.0.0.1', port: 9, user: 'nobody', database: 'none' }, preset: 'postfixadmin' },
  'refuse-recipient': { addresses: ['nobody@example.test'] },
};

test('every plugin of this repository loads, and a login goes on when what it calls is down', async () => {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /^[^/]+(\/[^/]+)?\/src\/index\.ts$/.test(name));
  assert(names.length >= 4, names.join());
  for (const name of names) {
    const { plugin } = (await import(join(folder, name))) as { readonly plugin: Plugin };
    await using host = await startHost({ plugins: [[plugin, configs[plugin.name] ?? {}]], accounts: { 'ada@example.test': 'secret' } });
    const ada = await host.login('ada@example.test', 'secret');
    await ada.logout();
  }
});
