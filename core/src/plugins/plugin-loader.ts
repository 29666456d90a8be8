import { type HookName, type Permission, type Plugin, type PluginEntry, sdkVersion, specs, Type } from '@pochard/plugin-sdk';
import type { AnswerChecks } from './answer-checks.ts';
import { type HostClock, inTime } from './clock.ts';
import { ConfigError, checkedConfig, SchemaChecker, suggestion } from './config-check.ts';
import { PluginLoadError } from './errors.ts';
import type { InFlight, Registered } from './generation.ts';
import type { GuardParts } from './guard.ts';
import type { HostServices } from './host-services.ts';
import { type LogSource, redactedLog } from './log.ts';
import type { PendingHooks } from './pending-hooks.ts';
import { PluginScope } from './plugin-context.ts';
import { Registration } from './plugin-hooks.ts';
import { PluginResolver } from './plugin-resolver.ts';
import type { SessionSecrets } from './session-secrets.ts';

const applyLimitMs = 30_000;

/** One entry of `plugins:` in the configuration. */
export interface ConfiguredPlugin extends PluginEntry {
  /** A package, a plugin of this repository, or a path from the configuration file. */
  readonly use: string;
  readonly config?: unknown;
  /** Hooks at which it runs before the core's own steps of the same stage. */
  readonly beforeCore?: readonly HookName[];
}
/** The same with the plugin at hand: for tests. */
export interface GivenPlugin extends Omit<ConfiguredPlugin, 'use'> {
  readonly plugin: Plugin;
}

const names = Type.Array(Type.String({ minLength: 1 }));
/** The schema of an entry; the configuration's own schema includes it. */
export const pluginEntrySchema = Type.Object({
  use: Type.String({ minLength: 1, description: 'a package, a plugin that comes with the server, or ./path.ts from this file' }),
  scope: Type.Optional(
    Type.Object(
      { domains: Type.Optional(names), accounts: Type.Optional(names), listeners: Type.Optional(names) },
      { description: 'whose mail and which listeners; everything when absent' },
    ),
  ),
  shadow: Type.Optional(Type.Boolean({ description: 'run beside the live result, report, change nothing' })),
  sealedAccounts: Type.Optional(Type.Literal('allow', { description: 'let taps with plaintext run for accounts that encrypt their mail' })),
  privateNetworks: Type.Optional(Type.Array(Type.String(), { description: 'private networks in CIDR form that its http may reach' })),
  deadlineMs: Type.Optional(Type.Record(Type.String(), Type.Number({ minimum: 1 }), { description: 'milliseconds by hook name' })),
  beforeCore: Type.Optional(Type.Array(Type.String(), { description: "hooks at which it runs before the core's own steps of a stage" })),
  config: Type.Optional(Type.Unknown({ description: "the plugin's own configuration" })),
});

export interface LoaderParts {
  readonly services: HostServices;
  readonly resolver: PluginResolver;
  readonly clock: HostClock;
  readonly log: LogSource;
  readonly guard: Omit<GuardParts, 'inFlight'>;
  readonly checks: AnswerChecks;
  readonly checker: SchemaChecker;
  readonly sessionSecrets: SessionSecrets;
  readonly pending: PendingHooks;
}
/** One entry, applied. */
export interface LoadedPlugin {
  readonly id: string;
  readonly plugin: Plugin;
  readonly entry: PluginEntry;
  readonly registered: Registered;
  readonly scope: PluginScope;
}

/**
 * Applies the entries in order. When one fails, those before it are closed again.
 * @throws PluginLoadError naming the plugin and, for a mistake in the configuration, its keys
 */
export async function loadPlugins(
  entries: readonly (ConfiguredPlugin | GivenPlugin)[],
  inFlight: InFlight,
  parts: LoaderParts,
): Promise<readonly LoadedPlugin[]> {
  const loaded: LoadedPlugin[] = [];
  const count = new Map<string, number>();
  try {
    for (const [index, entry] of entries.entries()) {
      const title = 'plugin' in entry ? entry.plugin.name : entry.use;
      try {
        const { plugin, config } = await prepared(entry, `plugins[${index}]`, parts);
        const nth = (count.get(plugin.name) ?? 0) + 1;
        count.set(plugin.name, nth);
        loaded.push(await applied(plugin, config, entry, nth === 1 ? plugin.name : `${plugin.name}#${nth}`, inFlight, parts));
      } catch (error) {
        if (error instanceof PluginLoadError) throw error;
        throw new PluginLoadError(title, error instanceof Error ? error.message : String(error), { cause: error });
      }
    }
    return loaded;
  } catch (error) {
    for (const plugin of loaded.reverse()) await plugin.scope.close();
    throw error;
  }
}

/** Imports each entry's module and checks its configuration, by the schema and by the plugin's own `check`; nothing is applied. */
export async function checkEntries(
  entries: readonly ConfiguredPlugin[],
  folder: string,
): Promise<readonly { readonly index: number; readonly error: unknown }[]> {
  const parts = { resolver: new PluginResolver(folder), checker: new SchemaChecker() };
  const mistakes: { readonly index: number; readonly error: unknown }[] = [];
  for (const [index, entry] of entries.entries()) {
    try {
      await prepared(entry, `plugins[${index}]`, parts);
    } catch (error) {
      mistakes.push({ index, error });
    }
  }
  return mistakes;
}

async function prepared(
  entry: ConfiguredPlugin | GivenPlugin,
  root: string,
  { resolver, checker }: Pick<LoaderParts, 'resolver' | 'checker'>,
): Promise<{ readonly plugin: Plugin; readonly config: unknown }> {
  if (!('plugin' in entry)) checkedConfig(checker, pluginEntrySchema, entry, root);
  for (const member of ['deadlineMs', 'beforeCore'] as const) {
    const value = entry[member];
    for (const name of Array.isArray(value) ? value : Object.keys(value ?? {})) {
      if (!Object.hasOwn(specs, name)) {
        throw new ConfigError([`${root}.${member}.${name}: no such hook${suggestion(String(name), Object.keys(specs))}`]);
      }
    }
  }
  const plugin = 'plugin' in entry ? entry.plugin : pluginIn(await resolver.load(entry.use));
  checkPlugin(plugin);
  const config = checkedConfig(checker, plugin.config ?? Type.Object({}), entry.config, `${root}.config`);
  const mistakes: unknown = await plugin.check?.(config as never);
  if (mistakes !== undefined && !Array.isArray(mistakes)) throw new TypeError('its check returned no list');
  if (mistakes !== undefined && mistakes.length > 0) throw new ConfigError(mistakes.map((mistake) => `${root}.config: ${String(mistake)}`));
  return { plugin, config };
}

function pluginIn(module: Readonly<Record<string, unknown>>): Plugin {
  const { plugin } = module;
  if (typeof plugin !== 'object' || plugin === null) throw new TypeError('its module has no export called `plugin`');
  return plugin as Plugin;
}
const permissions: Readonly<Record<Permission, true>> = { plaintext: true, credentials: true, network: true, schedule: true, write: true };
function checkPlugin(plugin: Plugin): void {
  if (typeof plugin.name !== 'string' || !/^[a-z][a-z0-9]{0,30}(-[a-z0-9]{1,30}){0,5}$/.test(plugin.name) || plugin.name === 'core') {
    throw new TypeError(`its name is not kebab-case: ${String(plugin.name)}`);
  }
  if (typeof plugin.apply !== 'function') throw new TypeError('`plugin` is not made by definePlugin');
  const major = Number(/^(\d{1,5})\.\d/.exec(String(plugin.sdk))?.[1] ?? Number.NaN);
  const own = Number(sdkVersion.split('.')[0]);
  if (major !== own && major !== own - 1)
    throw new TypeError(`it was built with plugin-sdk ${String(plugin.sdk)}, this server has ${sdkVersion}`);
  for (const permission of plugin.permissions) {
    if (!Object.hasOwn(permissions, permission))
      throw new TypeError(`no such permission: ${permission}${suggestion(permission, Object.keys(permissions))}`);
  }
}

async function applied(
  plugin: Plugin,
  config: unknown,
  entry: ConfiguredPlugin | GivenPlugin,
  id: string,
  inFlight: InFlight,
  parts: LoaderParts,
): Promise<LoadedPlugin> {
  const own = new Set(plugin.permissions);
  const { clock, guard, checks, services, checker, sessionSecrets } = parts;
  const log = redactedLog(parts.log.child({ plugin: plugin.name }));
  const registration = new Registration({
    id,
    plugin: plugin.name,
    permissions: own,
    entry,
    beforeCore: new Set(entry.beforeCore ?? []),
    guard: { ...guard, inFlight },
    checks,
    pending: parts.pending,
  });
  const scope = new PluginScope({
    id,
    plugin: plugin.name,
    permissions: own,
    entry,
    services,
    registration,
    clock,
    log,
    metrics: guard.metrics,
    checker,
    sessionSecrets,
  });
  try {
    await inTime(async () => plugin.apply(scope.context as never, config as never), clock, applyLimitMs, 'apply has not returned');
  } catch (error) {
    registration.close();
    await scope.close();
    throw error;
  }
  return { id, plugin, entry, registered: registration.close(), scope };
}
