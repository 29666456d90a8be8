import type { Account, AccountCall, AccountId, Actor, Awaitable, Call, Log, Session, Tasks } from '@pochard/plugin-sdk';
import type { HostClock } from './clock.ts';
import { TapCall } from './tap-call.ts';

const minPeriodMs = 1_000;
const maxRunning = 1_000; // per plugin

export interface TaskParts {
  readonly plugin: string;
  readonly actor: Actor;
  readonly clock: HostClock;
  readonly log: Log;
  readonly mode: 'runs' | 'shadow';
  /** True on the one instance that runs the task this time. */
  take(name: string, forMs: number): Promise<boolean>;
  account(id: AccountId): Promise<Account | undefined>;
}

/** A plugin's own hours. A task never overlaps itself; what it throws is logged and the next turn comes as planned. */
export class PluginTasks implements Tasks {
  readonly #options: TaskParts;
  readonly #periodic = new Map<string, () => void>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #closing = new AbortController();

  constructor(options: TaskParts) {
    this.#options = options;
  }
  every(task: { readonly name: string; readonly periodMs: number; run(call: Call): Awaitable<void> }): void {
    if (this.#periodic.has(task.name)) throw new TypeError(`the task ${task.name} is there already`);
    if (!(task.periodMs >= minPeriodMs)) throw new RangeError(`the task ${task.name}: periodMs is ${minPeriodMs} at least`);
    if (this.#options.mode === 'shadow' || this.#closing.signal.aborted) return;
    const { plugin, clock, take } = this.#options;
    const key = `every ${task.name}`;
    const stop = clock.every(task.periodMs, () => {
      if (this.#running.has(key)) return;
      this.#run(key, async () => {
        if (await take(`${plugin}/${task.name}`, task.periodMs)) await task.run(this.#call(undefined));
      });
    });
    this.#periodic.set(task.name, stop);
  }
  start(task: { readonly name: string; readonly accountId: AccountId; run(call: AccountCall): Awaitable<void> }): void {
    const key = `start ${task.name} ${task.accountId}`;
    if (this.#options.mode === 'shadow' || this.#running.has(key)) return;
    if (this.#closing.signal.aborted) throw new TypeError('the plugin is closing');
    if (this.#running.size >= maxRunning) throw new RangeError(`${maxRunning} tasks are running already`);
    this.#run(key, async () => {
      const account = await this.#options.account(task.accountId);
      if (account === undefined) return; // deleted since
      await task.run(this.#call(account) as unknown as AccountCall);
    });
  }
  /** Stops the clocks, aborts the signals, and waits for what runs. */
  async close(): Promise<void> {
    for (const stop of this.#periodic.values()) stop();
    this.#closing.abort(new DOMException('the plugin is closing', 'AbortError'));
    await Promise.all(this.#running.values());
  }

  #run(key: string, work: () => Promise<void>): void {
    const done = work().then(
      () => undefined,
      (error: unknown) => {
        if (!this.#closing.signal.aborted) this.#options.log.error('task failed', { task: key, error });
      },
    );
    this.#running.set(
      key,
      done.then(() => {
        this.#running.delete(key);
      }),
    );
  }
  #call(account: Account | undefined): TapCall {
    const { actor, log } = this.#options;
    const context = { actor, account, signal: undefined, session: undefined };
    return new TapCall({ context, deadline: this.#closing.signal, log: (_session: Session | undefined) => log, extra: () => undefined });
  }
}
