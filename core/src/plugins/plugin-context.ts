/** What `apply` is given: the host's services, cut down to the plugin's permissions and bound to its name. */
import type {
  Awaitable,
  Log,
  MailboxId,
  MailboxRef,
  MailWriter,
  MessageRef,
  Passwords,
  Permission,
  PluginContext,
  PluginEntry,
  TSchema,
} from '@pochard/plugin-sdk';
import { type HostClock, inTime } from './clock.ts';
import type { SchemaChecker } from './config-check.ts';
import { PermissionMissing } from './errors.ts';
import type { HostMailWriter, HostPasswords, HostServices } from './host-services.ts';
import { createActor } from './identities.ts';
import type { HookMetrics } from './metrics.ts';
import type { Registration } from './plugin-hooks.ts';
import { PluginHttp } from './plugin-http.ts';
import { pluginTable, ScratchTables } from './plugin-table.ts';
import { PluginTasks } from './plugin-tasks.ts';
import { secretOctets } from './secrets.ts';
import type { SessionSecrets } from './session-secrets.ts';
import { contextOfAccountCall, contextOfCall } from './tap-call.ts';

export interface ContextParts {
  readonly id: string;
  readonly plugin: string;
  readonly permissions: ReadonlySet<Permission>;
  readonly entry: PluginEntry;
  readonly services: HostServices;
  readonly registration: Registration;
  readonly clock: HostClock;
  readonly log: Log;
  readonly metrics: HookMetrics;
  readonly checker: SchemaChecker;
  readonly sessionSecrets: SessionSecrets;
}

const closeLimitMs = 30_000; // for each function: a database that hangs must not keep the server from going

/** The context of one plugin entry, and its end. */
export class PluginScope {
  readonly context: PluginContext<Permission>;
  readonly #closers: (() => Awaitable<void>)[] = [];
  readonly #log: Log;
  readonly #clock: HostClock;
  readonly #tables = new Set<string>();
  readonly #places: string[] = [];

  constructor(parts: ContextParts) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.context = this.#make(parts);
  }
  /** The session secrets that this entry has a use for. */
  get secretPlaces(): readonly string[] {
    return this.#places;
  }
  /** Runs the `onClose` functions, last registered first. One that throws does not keep the others. */
  async close(): Promise<void> {
    for (const close of this.#closers.reverse().splice(0)) {
      try {
        await inTime(async () => close(), this.#clock, closeLimitMs, 'has not closed');
      } catch (error) {
        this.#log.error('onClose failed', { error });
      }
    }
  }

  #make(parts: ContextParts): PluginContext<Permission> {
    const { plugin, id, permissions, entry, services, registration, clock, log, metrics, checker, sessionSecrets } = parts;
    const isShadow = entry.shadow === true;
    const actor = createActor({ type: 'plugin', name: plugin });
    const tables = services.tables && isShadow ? new ScratchTables(services.tables) : services.tables;
    const context = {
      hooks: registration.hooks,
      log,
      accounts: {
        get: async (accountId: Parameters<PluginContext<Permission>['accounts']['get']>[0]) =>
          given(services.accounts, 'accounts').get(accountId),
        find: async (name: string) => given(services.accounts, 'accounts').find(name),
      },
      mailboxes: services.mailboxes ?? missing<PluginContext<Permission>['mailboxes']>('mailboxes', ['find', 'list']),
      passwords: passwordsFor(plugin, services.passwords),
      table: <S extends TSchema>(name: string, row: S) => {
        if (!/^[a-z][a-z0-9-]{0,62}$/.test(name)) throw new TypeError('a table name is a-z, 0-9 and dashes');
        if (this.#tables.has(name)) throw new TypeError(`the table ${name} is opened twice`);
        this.#tables.add(name);
        return pluginTable(given(tables, 'table'), `${plugin}/${name}`, row, checker);
      },
      sessionSecret: <T>({ wipe }: { wipe(value: T): void }) => {
        const place = `${id} ${this.#places.length}`;
        this.#places.push(place);
        return sessionSecrets.open<T>(place, wipe, isShadow ? 'shadow' : 'attaches');
      },
      counter: (name: string, help: string) => {
        if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) throw new TypeError('a counter name is a-z, 0-9 and underscores');
        return metrics.counter(plugin, name, help);
      },
      now: () => clock.date(),
      onClose: (close: () => Awaitable<void>) => {
        this.#closers.push(close);
      },
    };
    define(context, permissions, 'plaintext', 'messages', () => ({
      open: async (message: MessageRef, call: Parameters<typeof contextOfAccountCall>[0]) =>
        given(services.messages, 'messages').open(message, contextOfAccountCall(call)),
    }));
    define(context, permissions, 'write', 'mail', () => (isShadow ? scratchMail : mailWriter(plugin, services.mail)));
    define(context, permissions, 'network', 'http', () => {
      const http = new PluginHttp({ privateNetworks: entry.privateNetworks ?? [], transport: services.http });
      this.#closers.push(() => http.close());
      return { send: http.send.bind(http) };
    });
    define(context, permissions, 'schedule', 'tasks', () => {
      const tasks = new PluginTasks({
        plugin,
        actor,
        clock,
        log,
        mode: isShadow ? 'shadow' : 'runs',
        take: async (name, forMs) => services.leases?.take(name, forMs) ?? true,
        account: async (accountId) => given(services.accounts, 'accounts').get(accountId),
      });
      this.#closers.push(() => tasks.close());
      return { every: tasks.every.bind(tasks), start: tasks.start.bind(tasks) };
    });
    return Object.freeze(context) as unknown as PluginContext<Permission>;
  }
}

/** The member, or a getter that names what the plugin did not ask for. */
function define(context: object, permissions: ReadonlySet<Permission>, permission: Permission, member: string, make: () => object): void {
  if (permissions.has(permission)) {
    Object.defineProperty(context, member, { value: Object.freeze(make()), enumerable: true });
    return;
  }
  Object.defineProperty(context, member, {
    get() {
      throw new PermissionMissing(permission, member);
    },
  });
}
function given<T>(service: T | undefined, member: string): T {
  if (service === undefined) throw new TypeError(`this server does not offer '${member}' to plugins yet`);
  return service;
}
function missing<T extends object>(member: string, functions: readonly (keyof T & string)[]): T {
  return Object.fromEntries(functions.map((name) => [name, () => given(undefined, member)])) as T;
}

function passwordsFor(plugin: string, host: HostPasswords | undefined): Passwords {
  return {
    verify: async (secret, storedHash, signal) => given(host, 'passwords').verify(secretOctets(secret), storedHash, signal),
    hash: async (secret, signal) => given(host, 'passwords').hash(secretOctets(secret), signal),
    deriveKey: async (secret, options, signal) =>
      given(host, 'passwords').deriveKey(secretOctets(secret), { ...options, context: `pochard plugin ${plugin}` }, signal),
  };
}

function mailWriter(plugin: string, host: HostMailWriter | undefined): MailWriter {
  return {
    store: async (target, content, { key, flags = [], internalDate, origin }, call) =>
      given(host, 'mail').store(target, content, { key: `${plugin}/${key}`, flags, internalDate, origin }, contextOfCall(call)),
    createMailbox: async (accountId, name, call) => given(host, 'mail').createMailbox(accountId, name, contextOfCall(call)),
    flag: async (messages, { add = [], remove = [] }, call) => given(host, 'mail').flag(messages, { add, remove }, contextOfCall(call)),
    move: async (messages, target, call) => given(host, 'mail').move(messages, target, contextOfCall(call)),
  };
}
/** A shadow plugin's mail goes nowhere; the references it gets are of the shape of real ones, and open to nothing. */
const scratchMail: MailWriter = {
  async store(target, content, { internalDate }) {
    return {
      accountId: target.accountId,
      mailbox: target,
      uid: 0xffff_ffff as MessageRef['uid'],
      emailId: 'shadow' as MessageRef['emailId'],
      sizeOctets: content.sizeOctets,
      internalDate: internalDate ?? new Date(0),
    };
  },
  async createMailbox(accountId, name): Promise<MailboxRef> {
    return { id: 'shadow' as MailboxId, accountId, name, specialUse: [] };
  },
  async flag() {
    // nothing to mark
  },
  async move() {
    // nothing to move
  },
};
