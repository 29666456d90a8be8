/** Values and a host for the tests of this folder. */
import type { TestContext } from 'node:test';
import type {
  Account,
  AccountId,
  Call,
  Delivery,
  HookName,
  Message,
  Permission,
  Plugin,
  PluginContext,
  PluginEntry,
} from '@pochard/plugin-sdk';
import { definePlugin } from '@pochard/plugin-sdk';
import { FakeClock } from './fake-clock.ts';
import type { CallContext } from './hook-calls.ts';
import type { HostServices } from './host-services.ts';
import { createActor, createSession } from './identities.ts';
import type { LogSource } from './log.ts';
import type { HookMetrics } from './metrics.ts';
import { PluginHost } from './plugin-host.ts';
import type { GivenPlugin } from './plugin-loader.ts';

export const actor = createActor({ type: 'user', name: 'ada@a.example' });
export const session = createSession({ id: 's1', protocol: 'imap', listener: 'imap', remoteAddress: '192.0.2.1' });

export function account(username: string, options: { readonly sealed?: boolean } = {}): Account {
  const domain = username.slice(username.indexOf('@') + 1);
  return { id: `id-${username}` as AccountId, username, domain, addresses: [username], sealed: options.sealed === true };
}
export const ada = account('ada@a.example');
export const context: CallContext & { readonly account: Account } = { actor, session, account: ada };

/** A message of lines; only what the hooks' tests look at. */
export function message(text: string): Message {
  const octets = Buffer.from(text, 'latin1');
  return {
    sizeOctets: octets.length,
    open: async function* (range) {
      yield octets.subarray(range?.start ?? 0, range?.end ?? octets.length);
    },
    header: {
      raw: octets,
      get: (name) =>
        text
          .split('\r\n')
          .find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
          ?.slice(name.length + 1)
          .trim(),
      all: () => [],
    },
    text: async () => text,
    prepend: (name, value) => message(`${name}: ${value}\r\n${text}`),
    without: (name) =>
      message(
        text
          .split('\r\n')
          .filter((line) => !line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
          .join('\r\n'),
      ),
    mapText: () => message(text),
  };
}
export function delivery(body: Message, recipients: readonly string[] = ['ada@a.example']): Delivery {
  return {
    id: 'd1',
    origin: 'smtp',
    reversePath: 'bob@b.example',
    recipients,
    sizeOctets: body.sizeOctets,
    message: body,
    with: (changed) => ({ ...delivery(changed, recipients) }),
  };
}

/** A plugin of one `apply`, with every permission unless told otherwise. */
export function pluginOf(apply: (context: PluginContext<Permission>) => unknown, name = 'trial'): Plugin {
  return definePlugin({
    name,
    permissions: ['plaintext', 'credentials', 'network', 'schedule', 'write'],
    async apply(given) {
      await apply(given);
    },
  });
}

export interface TestedHost {
  readonly host: PluginHost;
  readonly clock: FakeClock;
  /** `plugin hook outcome`, in order. */
  readonly outcomes: string[];
  readonly divergences: string[];
  readonly logged: { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
}
export async function startHost(
  t: TestContext,
  plugins: readonly (Plugin | readonly [Plugin, PluginEntry & Partial<GivenPlugin>])[],
  services: HostServices = {},
): Promise<TestedHost> {
  const clock = new FakeClock();
  const outcomes: string[] = [];
  const divergences: string[] = [];
  const logged: TestedHost['logged'] = [];
  const metrics: HookMetrics = {
    tap: (plugin: string, hook: HookName) => ({ record: (outcome) => outcomes.push(`${plugin} ${hook} ${outcome}`) }),
    divergence: (plugin, hook) => divergences.push(`${plugin} ${hook}`),
    counter: () => ({ add() {} }),
  };
  const log: LogSource = {
    child: (bound) => {
      const write = (level: string) => (text: string, fields?: Readonly<Record<string, unknown>>) =>
        void logged.push({ level, message: text, fields: { ...bound, ...fields } });
      return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    },
  };
  const host = new PluginHost({ log, clock, metrics, services, configFolder: '.', pending: {} });
  t.after(async () => {
    const closed = host.close();
    // Taps that hang on purpose would hold the end up.
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    clock.advance(60_000);
    await closed;
  });
  await host.reload(plugins.map((entry) => ('apply' in entry ? { plugin: entry } : { ...entry[1], plugin: entry[0] })));
  return { host, clock, outcomes, divergences, logged };
}

/** A promise that never settles, and the call that waits on it. */
export function hang(): Promise<never> {
  return new Promise(() => undefined);
}
/** Ends when the tap's time is over. */
export function untilAborted(call: Call): Promise<never> {
  return new Promise((_resolve, reject) => call.signal.addEventListener('abort', () => reject(call.signal.reason)));
}
