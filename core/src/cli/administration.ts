/**
 * What the commands do their work with. One process owns a data folder: when a server runs there, commands go through its HTTP API, else
 * they open the store themselves. They need not know which.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { Explainable } from '../mail/explainable.ts';
import type { PluginInfo } from '../mail/plugin-administration.ts';
import type {
  AccountRecord,
  AppPassword,
  MadeAppPassword,
  NewAccount,
  NewAppPassword,
  QueuedSubmission,
  SubmissionQueue,
} from '../mail/services.ts';
import type { AclAdministration, AclEntry } from '../mail/sharing/acl-administration.ts';

export interface NewMessage {
  readonly mailbox: string;
  readonly flags: readonly string[];
  /** Seconds since 1970. */
  readonly internalDate: number | undefined;
  readonly octets: Uint8Array;
}
export type BulkOutcome = { readonly username: string; readonly error?: Error };
/** What commands ask about plugins: `PluginAdministration`, here or in the running server. */
export interface PluginInspection {
  list(): Promise<readonly PluginInfo[]>;
  explain(what: Explainable, name: string | undefined): Promise<readonly string[]>;
  testLogin(username: string, password: Uint8Array): Promise<{ readonly accepted: boolean; readonly lines: readonly string[] }>;
  /** A command that a plugin has declared. @throws Error when none has */
  run(name: string, args: readonly string[], print: (line: string) => void): Promise<void>;
}
export interface AppPasswordAdministration {
  create(id: AccountRecord['id'], wanted: NewAppPassword): Promise<MadeAppPassword>;
  list(id: AccountRecord['id']): Promise<readonly AppPassword[]>;
  revoke(id: AccountRecord['id'], appPasswordId: string): Promise<void>;
}
export interface Administration {
  /** Of mailboxes by name. */
  readonly acl: Pick<AclAdministration, 'list' | 'set'>;
  readonly plugins: PluginInspection;
  readonly appPasswords: AppPasswordAdministration;
  readonly queue: SubmissionQueue;
  create(account: NewAccount): Promise<AccountRecord>;
  /** One failed account does not stop the others. */
  createMany(accounts: AsyncIterable<NewAccount>): AsyncIterable<BulkOutcome>;
  list(after: string | undefined, limit: number): Promise<readonly AccountRecord[]>;
  /** @throws Error naming what is missing */
  find(usernameOrAddress: string): Promise<AccountRecord>;
  setPassword(id: AccountRecord['id'], password: Uint8Array): Promise<void>;
  delete(id: AccountRecord['id']): Promise<void>;
  addAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord>;
  removeAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord>;
  setAlias(address: string, to: readonly string[] | undefined): Promise<void>;
  /** Creates the mailbox when it is missing. */
  append(id: AccountRecord['id'], message: NewMessage): Promise<void>;
  close(): Promise<void>;
}

/** What a running server leaves in its data folder (mode 0600). */
export interface RunFile {
  readonly pid: number;
  readonly version: string;
  readonly listeners: readonly {
    readonly protocol: string;
    readonly name: string;
    readonly address: string;
    readonly port: number;
    readonly tls: 'none' | 'starttls' | 'implicit';
  }[];
}
export const RUN_FILE = 'run.json';
export const TOKEN_FILE = 'api-token';

/** `undefined`: no server runs on this data folder. */
export async function runningServer(data: string): Promise<RunFile | undefined> {
  let text: string;
  try {
    text = await readFile(join(data, RUN_FILE), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const run = JSON.parse(text) as RunFile;
  try {
    process.kill(run.pid, 0);
    return run;
  } catch {
    return undefined; // it ended without saying so
  }
}

/** @throws Error when the running server has no HTTP listener that can be used from here */
export async function remoteAdministration(config: Config, run: RunFile): Promise<Administration> {
  const listener = run.listeners.find(({ protocol, tls }) => protocol === 'http' && tls === 'none');
  if (listener === undefined) {
    throw new Error(
      `a server (process ${run.pid}) has this data folder open and offers no plain HTTP listener: stop it, or add one on 127.0.0.1`,
    );
  }
  const token = config.http.apiToken?.reveal() ?? (await readFile(join(config.data, TOKEN_FILE), 'utf8')).trim();
  const host = listener.address === '::' || listener.address === '0.0.0.0' ? '127.0.0.1' : listener.address;
  return new RemoteAdministration(`http://${host.includes(':') ? `[${host}]` : host}:${listener.port}`, token, join(config.data, RUN_FILE));
}

/** Requests of a bulk command in flight at once. */
const PARALLEL = 8;

class RemoteAdministration implements Administration {
  readonly #base: string;
  readonly #token: string;
  readonly #runFile: string;
  constructor(base: string, token: string, runFile: string) {
    this.#base = base;
    this.#token = token;
    this.#runFile = runFile;
  }

  async create({ password, ...account }: NewAccount): Promise<AccountRecord> {
    const body = password === undefined ? account : { ...account, password: Buffer.from(password).toString('utf8') };
    return recordOf(await this.#json('POST', '/v1/accounts', body));
  }
  async *createMany(accounts: AsyncIterable<NewAccount>): AsyncGenerator<BulkOutcome> {
    const running: Promise<BulkOutcome>[] = [];
    for await (const account of accounts) {
      running.push(
        this.create(account).then(
          ({ username }) => ({ username }),
          (error: Error) => ({ username: account.username, error }),
        ),
      );
      const first = running.length >= PARALLEL ? running.shift() : undefined;
      if (first !== undefined) yield await first;
    }
    for (const outcome of running) yield await outcome;
  }
  async list(after: string | undefined, limit: number): Promise<readonly AccountRecord[]> {
    const query = new URLSearchParams({ limit: String(limit), ...(after === undefined ? {} : { after }) });
    const { accounts } = (await this.#json('GET', `/v1/accounts?${query}`)) as { accounts: unknown[] };
    return accounts.map(recordOf);
  }
  async find(usernameOrAddress: string): Promise<AccountRecord> {
    try {
      return recordOf(await this.#json('GET', `/v1/accounts/${encodeURIComponent(usernameOrAddress)}`));
    } catch (error) {
      throw new Error(`${usernameOrAddress}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  async setPassword(id: AccountRecord['id'], password: Uint8Array): Promise<void> {
    await this.#json('PUT', `/v1/accounts/${id}/password`, { password: Buffer.from(password).toString('utf8') });
  }
  async delete(id: AccountRecord['id']): Promise<void> {
    await this.#json('DELETE', `/v1/accounts/${id}`);
  }
  async addAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord> {
    return recordOf(await this.#json('POST', `/v1/accounts/${id}/addresses`, { address }));
  }
  async removeAddress(id: AccountRecord['id'], address: string): Promise<AccountRecord> {
    return recordOf(await this.#json('DELETE', `/v1/accounts/${id}/addresses/${encodeURIComponent(address)}`));
  }
  async setAlias(address: string, to: readonly string[] | undefined): Promise<void> {
    const path = `/v1/aliases/${encodeURIComponent(address)}`;
    if (to === undefined) await this.#json('DELETE', path);
    else await this.#json('PUT', path, { to });
  }
  async append(id: AccountRecord['id'], { mailbox, flags, internalDate, octets }: NewMessage): Promise<void> {
    const query = new URLSearchParams({ mailbox, ...(internalDate === undefined ? {} : { internalDate: String(internalDate) }) });
    for (const flag of flags) query.append('flag', flag);
    await this.#send('POST', `/v1/accounts/${id}/messages?${query}`, octets, 'message/rfc822');
  }
  readonly acl: Administration['acl'] = {
    list: async (id, mailbox) => {
      const reply = await this.#json('GET', `/v1/accounts/${id}/acl?${new URLSearchParams({ mailbox })}`);
      return (reply as { readonly entries: readonly AclEntry[] }).entries;
    },
    set: async (id, mailbox, { identifier, rights }) => {
      const path = `/v1/accounts/${id}/acl/${encodeURIComponent(identifier)}?${new URLSearchParams({ mailbox })}`;
      await this.#json('PUT', path, { rights });
    },
  };
  readonly appPasswords: AppPasswordAdministration = {
    create: async (id, { expiresAt, ...rest }) => {
      const body = expiresAt === undefined ? rest : { ...rest, expiresAt: new Date(expiresAt).toISOString() };
      const made = (await this.#json('POST', `/v1/accounts/${id}/app-passwords`, body)) as AppPasswordAnswer & {
        readonly password: string;
      };
      return { ...appPasswordOf(made), password: made.password };
    },
    list: async (id) => {
      const { appPasswords } = (await this.#json('GET', `/v1/accounts/${id}/app-passwords`)) as {
        readonly appPasswords: readonly AppPasswordAnswer[];
      };
      return appPasswords.map(appPasswordOf);
    },
    revoke: async (id, appPasswordId) => {
      await this.#json('DELETE', `/v1/accounts/${id}/app-passwords/${encodeURIComponent(appPasswordId)}`);
    },
  };
  readonly plugins: PluginInspection = {
    list: async () => ((await this.#json('GET', '/v1/plugins')) as { readonly plugins: readonly PluginInfo[] }).plugins,
    explain: async (what, name) => {
      const query = name === undefined ? '' : `?${new URLSearchParams({ name })}`;
      return ((await this.#json('GET', `/v1/plugins/explain/${what}${query}`)) as { readonly lines: readonly string[] }).lines;
    },
    testLogin: async (username, password) => {
      const body = { username, password: Buffer.from(password).toString('utf8') };
      return (await this.#json('POST', '/v1/plugins/login-test', body)) as {
        readonly accepted: boolean;
        readonly lines: readonly string[];
      };
    },
    run: async (name, args, print) => {
      const path = `/v1/plugins/commands/${encodeURIComponent(name)}`;
      for (const line of ((await this.#json('POST', path, { args })) as { readonly lines: readonly string[] }).lines) print(line);
    },
  };
  readonly queue: SubmissionQueue = {
    list: async ({ after, limit }) => {
      const query = new URLSearchParams({ limit: String(limit), ...(after === undefined ? {} : { after }) });
      const { messages } = (await this.#json('GET', `/v1/queue?${query}`)) as { readonly messages: readonly QueuedView[] };
      return messages.map(({ submittedAt, dueAt, ...rest }) => ({
        ...rest,
        submittedAt: Date.parse(submittedAt),
        dueAt: Date.parse(dueAt),
      }));
    },
    retry: (id) => this.#found('POST', `/v1/queue/${encodeURIComponent(id)}/retry`),
    delete: (id) => this.#found('DELETE', `/v1/queue/${encodeURIComponent(id)}`),
  };
  async close(): Promise<void> {}

  /** @returns false for 404 */
  async #found(method: string, path: string): Promise<boolean> {
    try {
      await this.#json(method, path);
      return true;
    } catch (error) {
      if (error instanceof ServerRefusal && error.status === 404) return false;
      throw error;
    }
  }
  async #json(method: string, path: string, body?: unknown): Promise<unknown> {
    return this.#send(method, path, body === undefined ? undefined : JSON.stringify(body), 'application/json');
  }
  async #send(method: string, path: string, body: string | Uint8Array | undefined, type: string): Promise<unknown> {
    const headers = { authorization: `Bearer ${this.#token}`, ...(body === undefined ? {} : { 'content-type': type }) };
    const reply = await fetch(`${this.#base}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : new Blob([Uint8Array.from(body)]) }),
    }).catch((error: unknown) => {
      throw new Error(`the server does not answer at ${this.#base}; when none runs, remove ${this.#runFile}`, { cause: error });
    });
    const text = await reply.text();
    const value: unknown = text === '' ? undefined : JSON.parse(text);
    if (reply.ok) return value;
    const { title } = (value ?? {}) as { title?: string };
    throw new ServerRefusal(title ?? `the server answered ${reply.status}`, reply.status);
  }
}

type AppPasswordAnswer = Omit<AppPassword, 'createdAt' | 'expiresAt'> & { readonly createdAt: string; readonly expiresAt?: string };
function appPasswordOf({ id, label, scope, networks, createdAt, expiresAt }: AppPasswordAnswer): AppPassword {
  const end = expiresAt === undefined ? undefined : Date.parse(expiresAt);
  return { id, label, scope, networks, createdAt: Date.parse(createdAt), expiresAt: end };
}

type QueuedView = Omit<QueuedSubmission, 'submittedAt' | 'dueAt'> & { readonly submittedAt: string; readonly dueAt: string };

class ServerRefusal extends Error {
  readonly status: number;
  constructor(text: string, status: number) {
    super(text);
    this.status = status;
  }
}

function recordOf(view: unknown): AccountRecord {
  const { createdAt, ...rest } = view as Omit<AccountRecord, 'createdAt'> & { readonly createdAt: string };
  return { ...rest, createdAt: Date.parse(createdAt) };
}
