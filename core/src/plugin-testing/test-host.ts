/** `startHost` of `@pochard/plugin-sdk/testing`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bytes, type HookName, type MessageRef, type Protocol, specs } from '@pochard/plugin-sdk';
import type {
  Answer,
  Fault,
  SentMail,
  SentRequest,
  StartHost,
  TestHost,
  TestHostOptions,
  TestPlugin,
  TestSession,
  WaitingEvent,
} from '@pochard/plugin-sdk/testing';
import { decodeEntry } from '../mail/journal/entry-codec.ts';
import { Passwords } from '../passwords/passwords.ts';
import { FakeClock } from '../plugins/fake-clock.ts';
import type { LogSource } from '../plugins/log.ts';
import type { HttpTransport } from '../plugins/plugin-http.ts';
import type { GivenPlugin } from '../plugins/plugin-loader.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import type { AccountId } from '../store/store.ts';
import { CallLog } from './call-log.ts';
import { FaultInjector } from './fault-injector.ts';
import { HostSession } from './host-session.ts';
import { REMOTE_ADDRESS, ServerLife } from './server-life.ts';

const QUIET_TURNS = 12; // turns of the event loop without a call or an event: nothing is under way that does not wait for time
const STILL_REAL_MS = 500; // what has not moved for so long waits for the clock, not for a thread (password work takes real time)
const NEVER = new AbortController().signal;

export const startHost: StartHost = (options) => MemoryTestHost.start(options);

export class MemoryTestHost implements TestHost {
  readonly logged: string[] = [];
  readonly sent: SentMail[] = [];
  readonly clock = new FakeClock();
  readonly faults = new FaultInjector((ms) => this.clock.block(ms));
  readonly store: MemoryStore;
  readonly #passwords = new Passwords({
    argon2: { memoryKib: 7_168, passes: 1, parallelism: 1 },
    threads: 1,
    queue: 64,
    allowWeakSchemes: true,
  });
  readonly #folder: string;
  readonly #calls = new CallLog();
  readonly #unanswered: string[] = [];
  #answer: ((request: SentRequest) => Answer) | undefined;
  #plugins: readonly TestPlugin[];
  #life: ServerLife | undefined;
  #logins = 0;

  private constructor(folder: string, plugins: readonly TestPlugin[]) {
    this.#folder = folder;
    this.#plugins = plugins;
    this.store = new MemoryStore({ now: () => this.clock.date().getTime() });
  }

  static async start({ plugins, accounts = {} }: TestHostOptions): Promise<MemoryTestHost> {
    const host = new MemoryTestHost(await mkdtemp(join(tmpdir(), 'pochard-plugin-')), plugins);
    try {
      await host.#begin();
      for (const [username, password] of Object.entries(accounts)) {
        await host.life.services.accounts.create({ username, password: Buffer.from(password) });
      }
    } catch (error) {
      await host.#release();
      throw error;
    }
    return host;
  }

  get life(): ServerLife {
    if (this.#life === undefined) throw new TypeError('the host is closed');
    return this.#life;
  }

  async login(username: string, password: string, protocol: Protocol = 'imap'): Promise<TestSession> {
    const { services, loggedIn } = this.life;
    if (protocol !== 'imap') {
      this.#logins += 1;
      const session = { id: `${protocol}-${this.#logins}`, protocol, listener: protocol, remoteAddress: REMOTE_ADDRESS };
      const secret = Buffer.from(password);
      return new HostSession({
        host: this,
        client: undefined,
        session: await services.accounts.login({ username, secret, mechanism: protocol === 'http' ? 'HTTP' : 'PLAIN', session }, NEVER),
      });
    }
    const { id, client } = await this.life.connect();
    const user = Buffer.from(username);
    const secret = Buffer.from(password);
    const replies = await client.run(`login LOGIN {${user.length}+}\r\n${username} {${secret.length}+}\r\n${password}`);
    const session = loggedIn.get(id);
    const last = replies.at(-1) ?? 'the connection was closed';
    if (!last.startsWith('login OK') || session === undefined) {
      client.destroy();
      throw new Error(last.replace(/^login /, ''));
    }
    return new HostSession({ host: this, client, session });
  }

  async deliver(mail: {
    readonly from: string;
    readonly to: string | readonly string[];
    readonly raw: string | Bytes;
  }): Promise<readonly MessageRef[]> {
    const { delivery, spool, parts } = this.life.services;
    const session = { id: 'test', listener: 'lmtp', remoteAddress: REMOTE_ADDRESS };
    const recipients = [];
    for (const address of typeof mail.to === 'string' ? [mail.to] : mail.to) {
      recipients.push(await delivery.resolve(address, { reversePath: mail.from, declaredOctets: undefined }, session));
    }
    const accounts = new Set(recipients.flatMap(({ targets }) => targets.map(({ account }) => account.id as string as AccountId)));
    const before = new Map<AccountId, number>();
    for (const account of accounts) before.set(account, (await parts.mails.get(account)).head);
    const octets = typeof mail.raw === 'string' ? once(Buffer.from(mail.raw)) : mail.raw.open();
    const source = await spool.receive(octets, { limitOctets: parts.settings.messageOctets, signal: NEVER });
    try {
      const outcomes = await delivery.deliver(
        { source, reversePath: mail.from, recipients, origin: 'lmtp', helo: 'client.test' },
        session,
        NEVER,
      );
      for (const outcome of outcomes) if (!outcome.stored) throw outcome.error;
    } finally {
      await source.dispose();
    }
    const refs: MessageRef[] = [];
    for (const [account, seq] of before) refs.push(...(await this.storedAfter(account, seq)));
    return refs;
  }
  /** The messages that entries above `seq` have stored. */
  async storedAfter(account: AccountId, seq: number): Promise<readonly MessageRef[]> {
    const { parts, events } = this.life.services;
    const mail = await parts.mails.get(account);
    const refs: MessageRef[] = [];
    for await (const entry of mail.changes(seq)) {
      for (const event of await events.of(mail, '', entry)) if (event.type === 'message.stored') refs.push(event.message);
    }
    return refs;
  }

  fault(plugin: string, hook: HookName, how: Fault, times = 1): void {
    const isTapped = this.life.hooks.explain(hook).some((tap) => tap.plugin === plugin);
    if (!isTapped) throw new TypeError(`${plugin} has no tap at ${hook}`);
    this.faults.plan(plugin, hook, how, times);
  }
  onHttp(answer: (request: SentRequest) => Answer): void {
    this.#answer = answer;
  }
  calls(hook: HookName): ReturnType<TestHost['calls']> {
    return this.#calls.of(hook);
  }
  explain(hook: HookName): readonly string[] {
    return this.life.hooks
      .explain(hook)
      .map(({ stage, plugin, label, shadow }) => `${stage} ${plugin}${label === undefined ? '' : ` ${label}`}${shadow ? ' (shadow)' : ''}`);
  }
  /** Hooks at which the plugin has a tap or a declared thing. */
  tappedBy(plugin: string): readonly HookName[] {
    const { hooks } = this.life;
    return (Object.keys(specs) as HookName[]).filter((hook) => hooks.explain(hook).some((tap) => tap.plugin === plugin));
  }

  async settle(): Promise<{ readonly waiting: readonly WaitingEvent[] }> {
    const { services, hooks } = this.life;
    services.followers.poke();
    let quiet = 0;
    let movedAt = performance.now();
    for (let before = -1, left = -1; quiet < QUIET_TURNS && performance.now() - movedAt < STILL_REAL_MS; ) {
      await (performance.now() - movedAt < 5 ? new Promise(setImmediate) : quietMs(2));
      let behind = services.submissionQueue.gauges.messages;
      for (const { id } of hooks.followers()) behind += (await this.store.feed.next(id, 1)).length;
      if (this.#calls.count !== before || behind !== left) movedAt = performance.now();
      quiet = behind === 0 && this.#calls.count === before ? quiet + 1 : 0;
      before = this.#calls.count;
      left = behind;
    }
    this.#complain();
    const waiting: WaitingEvent[] = [];
    for (const follower of hooks.followers()) {
      const { id, plugin, types } = follower;
      const rows = await this.store.feed.next(id, 100);
      for (const { account, entry } of rows) {
        waiting.push(...(await this.#eventsOf(account, decodeEntry(entry), types)).map((event) => ({ plugin, event, why: 'under way' })));
      }
      for (const { account, seq, error } of await this.store.feed.parked(id)) {
        const why = error.split(' ').slice(2).join(' ');
        const mail = await services.parts.mails.get(account);
        let events: readonly WaitingEvent['event'][] = [];
        for await (const entry of mail.changes(seq - 1)) {
          events = await this.#eventsOf(account, entry, types);
          break;
        }
        waiting.push(...(events.length === 0 ? [undefined] : events).map((event) => ({ plugin, event, why })));
      }
    }
    return { waiting };
  }
  async #eventsOf(account: AccountId, entry: ReturnType<typeof decodeEntry>, types: ReadonlySet<string>) {
    const { services } = this.life;
    const record = await services.parts.directory.get(account);
    const events = await services.events.of(await services.parts.mails.get(account), record?.username ?? '', entry);
    return events.filter(({ type }) => types.has(type));
  }

  async advance(ms: number): Promise<void> {
    const stepMs = Math.max(1_000, ms / 200);
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
    }
  }
  async whileWaiting<T>(work: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let isOver = false;
    const over = work.then(
      () => {
        isOver = true;
      },
      () => {
        isOver = true; // the caller gets the error below
      },
    );
    const until = this.clock.now() + limitMs;
    for (;;) {
      // Work that needs no time ends in real time; only what is left waits for the clock.
      await Promise.race([over, quietMs(5)]);
      if (isOver) return work;
      if (this.clock.now() >= until) throw new Error(`nothing came of it within ${limitMs / 1000} s`);
      await this.advance(1_000);
    }
  }

  async *atRest(): AsyncGenerator<Uint8Array> {
    yield* this.store.octets();
    for (const line of this.logged) yield Buffer.from(line);
  }

  async restart(how: 'drain' | 'kill'): Promise<void> {
    const life = this.life;
    if (how === 'kill') life.kill();
    else await this.whileWaiting(life.drain());
    await this.#begin();
  }
  async reload(plugins: readonly TestPlugin[]): Promise<void> {
    await this.life.hooks.reload(this.#given(plugins));
    this.#plugins = plugins;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#release();
    this.#complain();
  }
  async #release(): Promise<void> {
    const life = this.#life;
    this.#life = undefined;
    try {
      this.faults.clear();
      if (life !== undefined) await this.whileWaiting(life.drain());
    } finally {
      await this.#passwords.close();
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  async #begin(): Promise<void> {
    this.#life = await ServerLife.start({
      store: this.store,
      clock: this.clock,
      passwords: this.#passwords,
      folder: this.#folder,
      metrics: this.#calls,
      http: this.#http,
      log: this.#log,
      sent: this.sent,
    });
    await this.#life.begin(this.#given(this.#plugins));
  }
  #given(plugins: readonly TestPlugin[]): readonly GivenPlugin[] {
    return plugins.map(([plugin, config, entry]) => ({ ...entry, plugin: this.faults.wrap(plugin), config }));
  }

  readonly #log: LogSource = {
    child: (bound) => {
      const write =
        (level: string) =>
        (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
          this.logged.push(`${level} ${message} ${fieldsText({ ...bound, ...fields })}`);
        };
      const quiet = () => undefined;
      return { debug: quiet, info: write('info'), warn: write('warn'), error: write('error') };
    },
  };
  readonly #http: HttpTransport = async ({ method, url, headers = {}, body }, signal) => {
    signal.throwIfAborted();
    const pieces: Uint8Array[] = [];
    if (typeof body === 'string') pieces.push(Buffer.from(body));
    else if (body !== undefined) for await (const piece of body.open()) pieces.push(piece);
    if (this.#answer === undefined) {
      this.#unanswered.push(`${method} ${url}`);
      throw new TypeError('the test answers no requests: see onHttp');
    }
    const answer = this.#answer({ method, url, headers: new Headers(headers), body: Buffer.concat(pieces).toString('utf8') });
    if (answer === 'unreachable') throw new TypeError('the network is unreachable');
    const text = answer.body ?? '';
    return {
      status: answer.status,
      headers: new Headers(answer.headers ?? {}),
      body: once(Buffer.from(text)),
      text: async () => text,
      json: async () => JSON.parse(text) as unknown,
    };
  };
  #complain(): void {
    const unanswered = this.#unanswered.splice(0);
    if (unanswered.length > 0) throw new Error(`requests that nothing answered: ${unanswered.join(', ')}`);
  }
}

function quietMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
async function* once(octets: Uint8Array): AsyncGenerator<Uint8Array> {
  yield octets;
}
/** As a log would show them: errors with their causes. */
function fieldsText(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value instanceof Error ? errorText(value) : JSON.stringify(value)}`)
    .join(' ');
}
function errorText(error: Error): string {
  const cause = error.cause instanceof Error ? ` (${errorText(error.cause)})` : '';
  return `${error.name}: ${error.message}${cause}`;
}
