/**
 * The connections of one instance to Redis: one for commands, one that is subscribed to a channel. A message of its own that comes back
 * through Redis every few seconds is the proof that both work; when it fails, both are made anew, with backoff.
 */
import { createRedisClient, type RedisClient } from './redis-client.ts';
import type { RedisTarget } from './redis-url.ts';

export interface RedisLinkOptions {
  readonly target: RedisTarget;
  readonly channel: string;
  /** Of this process alone, without spaces: its own messages are left out. */
  readonly instance: string;
  /** ms between proofs of life; without one for twice as long the link is down. */
  readonly heartbeatMs: number;
  /** ms that a command may take. One that takes longer brings the link down: the others need not find out one by one. */
  readonly commandTimeoutMs: number;
  /** A message of another instance. */
  readonly onMessage: (text: string) => void;
  readonly onUp: () => void;
  /** Once each time: when it was up, and when the first attempt fails. */
  readonly onDown: (error: Error) => void;
  /** Redis answered a command with an error (out of memory, no permission): at most once a minute. */
  readonly onRefused: (error: Error) => void;
}

const BACKOFF_MS = 100;
const BACKOFF_MAX_MS = 5_000;
const REFUSED_MS = 60_000;
/** Errors of a server that is not the one to talk to (any more, or yet). */
const WRONG_SERVER = /^(?:READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|NOREPLICAS|NOAUTH)\b/;
/** Longer messages are nobody's of ours. */
const MAX_MESSAGE = 65_536;

export class RedisLink {
  readonly #options: RedisLinkOptions;
  #clients: { readonly commands: RedisClient; readonly subscriber: RedisClient } | undefined;
  #state: 'new' | 'up' | 'down' | 'closed' = 'new';
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #beat = 0;
  #heardBeat = 0;
  #refusedAt = Number.NEGATIVE_INFINITY;
  #onFirst: (() => void) | undefined;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** Resolves when the first attempt has succeeded or failed; later ones go on behind. */
  async open(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onFirst = resolve;
    this.#connect();
    await promise;
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    clearTimeout(this.#retry);
    this.#disconnect();
    this.#settleFirst();
  }

  /** Lost without a word when the link is down. Resolves with how many others were subscribed (in a cluster: to the same node), 0 when it failed; never rejects. */
  async publish(text: string): Promise<number> {
    return Math.max(0, (await this.#publish(text)) - 1);
  }

  /** Runs a script. @throws Error at once when the link is down, or what Redis says */
  async run(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    const clients = this.#clients;
    if (clients === undefined || this.#state !== 'up') throw new Error('Redis is not connected');
    try {
      return await clients.commands.eval(script, keys.length, ...keys, ...values);
    } catch (error) {
      this.#commandFailed(clients, error);
      throw withoutCommand(error);
    }
  }

  #commandFailed(clients: { readonly commands: RedisClient }, error: unknown): void {
    const isReply = error instanceof Error && error.name === 'ReplyError';
    if (!isReply || WRONG_SERVER.test(error.message)) {
      this.#failed(clients, error);
      return;
    }
    if (performance.now() < this.#refusedAt + REFUSED_MS) return;
    this.#refusedAt = performance.now();
    this.#options.onRefused(withoutCommand(error));
  }

  #connect(): void {
    const { target, channel, commandTimeoutMs } = this.#options;
    const clients = { commands: createRedisClient(target, commandTimeoutMs), subscriber: createRedisClient(target, commandTimeoutMs) };
    this.#clients = clients;
    for (const client of [clients.commands, clients.subscriber]) {
      let last: Error | undefined;
      client.on('error', (error: Error) => {
        last = error;
      });
      client.on('end', () => this.#failed(clients, last ?? new Error('the connection to Redis has ended')));
    }
    clients.subscriber.on('message', (_channel: string, message: string) => {
      if (this.#clients === clients) this.#hear(message);
    });
    Promise.all([clients.commands.connect(), clients.subscriber.connect()])
      .then(() => clients.subscriber.subscribe(channel))
      .then(() => {
        if (this.#clients === clients) this.#startBeating();
      })
      .catch((error: unknown) => this.#failed(clients, error));
  }

  /** Up with the first beat that comes back. */
  #startBeating(): void {
    this.#heardBeat = this.#beat;
    const { heartbeatMs } = this.#options;
    const clients = this.#clients;
    const beat = (): void => {
      if (clients === undefined) return;
      if (this.#beat - this.#heardBeat >= 2) this.#failed(clients, new Error('Redis does not answer'));
      else void this.#publish(`!${++this.#beat}`);
    };
    this.#heartbeat = setInterval(beat, heartbeatMs);
    this.#heartbeat.unref();
    beat();
  }

  async #publish(text: string): Promise<number> {
    const clients = this.#clients;
    if (clients === undefined) return 0;
    try {
      return await clients.commands.publish(this.#options.channel, `${this.#options.instance} ${text}`);
    } catch (error) {
      this.#commandFailed(clients, error);
      return 0;
    }
  }

  #hear(message: string): void {
    const space = message.indexOf(' ');
    if (space <= 0 || message.length > MAX_MESSAGE) return;
    const isOwn = message.startsWith(`${this.#options.instance} `);
    if (message[space + 1] !== '!') {
      if (!isOwn && this.#state === 'up') this.#options.onMessage(message.slice(space + 1));
      return;
    }
    if (!isOwn) return;
    this.#heardBeat = Number(message.slice(space + 2));
    if (this.#state === 'up' || this.#state === 'closed') return;
    this.#state = 'up';
    this.#attempts = 0;
    this.#settleFirst();
    this.#options.onUp();
  }

  #failed(clients: { readonly commands: RedisClient }, cause: unknown): void {
    if (this.#state === 'closed' || this.#clients !== clients) return; // of connections that were given up already
    const error = withoutCommand(cause);
    this.#disconnect();
    const wasDown = this.#state === 'down';
    this.#state = 'down';
    // Instances that lost Redis together should not come back together.
    const delayMs = Math.min(BACKOFF_MS * 2 ** this.#attempts++, BACKOFF_MAX_MS) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => this.#connect(), delayMs);
    this.#retry.unref();
    this.#settleFirst();
    if (!wasDown) this.#options.onDown(error);
  }

  #disconnect(): void {
    const clients = this.#clients;
    this.#clients = undefined;
    clearInterval(this.#heartbeat);
    clients?.commands.disconnect();
    clients?.subscriber.disconnect();
  }

  #settleFirst(): void {
    this.#onFirst?.();
    this.#onFirst = undefined;
  }
}

/**
 * ioredis hangs the command with all its arguments on its errors, AUTH with the password too: whoever logs the error would log them. An error
 * of all nodes of a Cluster has no reason but in that of the last one.
 */
function withoutCommand(cause: unknown): Error {
  if (!(cause instanceof Error)) return new Error(String(cause));
  const last: unknown = Reflect.get(cause, 'lastNodeError');
  const error = new Error(last instanceof Error ? `${cause.message} ${last.message}` : cause.message);
  error.name = cause.name;
  return error;
}
