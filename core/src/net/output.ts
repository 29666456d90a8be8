import type { TimerOwner, TimerWheel, WheelTimer } from './timer-wheel.ts';

/** A partial fetch of 64 KiB and what stands around it leave in one write. */
const BUFFER_OCTETS = 96 * 1024;
/** Text is kept as a rope up to here: joining strings is cheaper than copying each into a buffer. */
const TEXT_LIMIT = 16 * 1024;
/** From here on a Buffer goes to the socket as it is; below, copying it costs less than another write. */
const COPY_LIMIT = 16 * 1024;
const POOL_BUFFERS = 32;

/** Text that has a character which latin1 cannot say; sent, it would become some other octet, perhaps a line feed. */
const beyondLatin1 = /[^\0-\xff]/;

/** The client reads nothing, or the connection has gone; the session must end. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** What an output needs of a socket, so that something may stand between (compression). */
export interface OutputSocket {
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  /** Octets that wait. */
  readonly writableLength: number;
  /** `done` when the octets have left, or never will. */
  write(text: string, encoding: 'latin1', done: () => void): unknown;
  write(octets: Uint8Array, done: () => void): unknown;
  end(): unknown;
  destroy(error?: Error): unknown;
  once(event: 'close', listener: () => void): unknown;
  off(event: 'close', listener: () => void): unknown;
}

export interface OutputShared {
  readonly wheel: TimerWheel;
  /** ms without an octet leaving while output waits; then the socket is destroyed. */
  readonly blockedWriteTimeMs: number;
  /** Octets that may wait; a write beyond them destroys the socket, since a session awaits `drained` long before. */
  readonly queuedOutputOctets: number;
}

/** What all connections of a server share. */
export class OutputPool {
  readonly shared: OutputShared;
  readonly #buffers: Buffer[] = [];

  constructor(shared: OutputShared) {
    this.shared = shared;
  }

  take(): Buffer {
    return this.#buffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_OCTETS);
  }

  give(buffer: Buffer): void {
    if (this.#buffers.length < POOL_BUFFERS) this.#buffers.push(buffer);
  }
}

/**
 * What a session writes, collected into few large writes. Idle, it holds neither a buffer nor a timer nor a listener.
 * Writes after the socket has closed are dropped; `drained` then throws `OutputClosed`.
 */
export class SocketOutput implements TimerOwner {
  readonly #pool: OutputPool;
  #socket: OutputSocket;
  #text = '';
  #buffer: Buffer | undefined;
  #used = 0;
  #corks = 0;
  /** Kept once a write had to wait, so that a busy connection does not make one for each write. */
  #timer: WheelTimer | undefined;
  #progress: PromiseWithResolvers<void> | undefined;

  constructor(socket: OutputSocket, pool: OutputPool) {
    this.#socket = socket;
    this.#pool = pool;
  }

  /** After STARTTLS or COMPRESS: from now on to `socket`. Everything written before must have been flushed. */
  moveTo(socket: OutputSocket): void {
    this.flush();
    this.#socket = socket;
    this.#stopWatching();
  }

  get isClosed(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** Octets that wait here and in the socket. */
  get queuedOctets(): number {
    return this.#socket.writableLength + this.#used + this.#text.length;
  }

  /** Over the high-water mark (a quarter of the limit): the next thing to do is `await drained()`. */
  get isFull(): boolean {
    return this.#socket.writableLength > this.#pool.shared.queuedOutputOctets / 4;
  }

  /**
   * Adds latin1 text or octets. Octets of `COPY_LIMIT` or more are not copied and must not change until they are sent.
   * @throws RangeError if text has a character above U+00FF
   */
  write(chunk: string | Uint8Array): void {
    if (this.isClosed) {
      this.#drop();
      return;
    }
    if (typeof chunk === 'string') {
      this.#text += chunk;
      if (this.#text.length > TEXT_LIMIT) this.#spill();
    } else this.#writeOctets(chunk);
    if (this.#corks === 0) this.flush();
  }

  /** Adds octets that may change when it has returned. */
  copy(chunk: Uint8Array): void {
    this.#copyOctets(chunk);
    if (this.#corks === 0) this.flush();
  }

  /** Collects until the matching `uncork`; buffers that are full go out all the same. */
  cork(): void {
    this.#corks += 1;
  }

  uncork(): void {
    this.#corks = Math.max(0, this.#corks - 1);
    if (this.#corks === 0) this.flush();
  }

  /** Hands everything to the socket now, corked or not. */
  flush(): void {
    if (this.isClosed) {
      this.#drop();
      return;
    }
    if (this.#buffer === undefined) {
      if (this.#text === '') return;
      const text = this.#takeText();
      this.#send(text, undefined);
      return;
    }
    this.#spill();
    this.#sendBuffer();
  }

  /**
   * Settles when the socket has little left to send. Call when `isFull`, or after a large write.
   * @throws OutputClosed if the connection ends first
   */
  async drained(): Promise<void> {
    // First what the socket has: with what waits here it might be more than may wait.
    if (!this.isFull) this.flush();
    await this.#little();
    this.flush();
    await this.#little();
    if (this.isClosed) throw new OutputClosed('the connection was closed while output waited');
  }

  async #little(): Promise<void> {
    while (!this.isClosed && this.#socket.writableLength > this.#lowWater) await this.#nextProgress();
  }

  /**
   * Sends a body of any size with bounded memory, in order with what was written before and is written after. Chunks are copied.
   * @throws OutputClosed as `drained`; whatever `source` throws
   */
  async writeAll(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    for await (const chunk of source) {
      // Slices, so that a slow but living client is seen to make progress.
      for (let start = 0; start < chunk.length; start += BUFFER_OCTETS) {
        this.#copyOctets(chunk.subarray(start, start + BUFFER_OCTETS));
        if (this.#corks === 0) this.flush();
        if (this.isFull) await this.drained();
      }
      if (this.isClosed) throw new OutputClosed('the connection was closed during a body');
    }
  }

  /** Sends what waits, then closes our side. */
  end(): void {
    this.flush();
    this.#socket.end();
  }

  onTimeout(): void {
    if (this.#socket.writableLength > 0 && !this.#socket.destroyed) this.#socket.destroy(new OutputClosed('the client reads nothing'));
  }

  get #lowWater(): number {
    return this.#pool.shared.queuedOutputOctets / 16;
  }

  #writeOctets(chunk: Uint8Array): void {
    if (chunk.length >= COPY_LIMIT) {
      this.flush();
      this.#send(chunk, undefined);
      return;
    }
    this.#copyOctets(chunk);
  }

  #copyOctets(chunk: Uint8Array): void {
    if (this.isClosed) {
      this.#drop();
      return;
    }
    this.#spill();
    for (let at = 0; at < chunk.length; ) {
      const buffer = (this.#buffer ??= this.#pool.take());
      const count = Math.min(chunk.length - at, BUFFER_OCTETS - this.#used);
      buffer.set(count === chunk.length ? chunk : chunk.subarray(at, at + count), this.#used);
      this.#used += count;
      at += count;
      if (this.#used === BUFFER_OCTETS) this.#sendBuffer();
    }
  }

  /** Text into the buffer, behind what is in it. */
  #spill(): void {
    let text = this.#takeText();
    while (text !== '') {
      const buffer = (this.#buffer ??= this.#pool.take());
      const written = buffer.write(text, this.#used, 'latin1');
      this.#used += written;
      text = text.slice(written);
      if (this.#used === BUFFER_OCTETS) this.#sendBuffer();
    }
  }

  #takeText(): string {
    const text = this.#text;
    this.#text = '';
    if (beyondLatin1.test(text)) {
      this.#socket.destroy();
      throw new RangeError('text beyond latin1 would be sent as other octets');
    }
    return text;
  }

  #sendBuffer(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    const octets = buffer.subarray(0, this.#used);
    this.#buffer = undefined;
    this.#used = 0;
    this.#send(octets, buffer);
  }

  /** One write to the socket; a pool buffer goes back when the socket is done with it. */
  #send(chunk: string | Uint8Array, pooled: Buffer | undefined): void {
    const socket = this.#socket;
    if (socket.writableLength > this.#pool.shared.queuedOutputOctets) {
      socket.destroy(new OutputClosed('too much output waits for the client'));
      return;
    }
    const done = (): void => {
      if (pooled !== undefined) this.#pool.give(pooled);
      this.#onSent();
    };
    if (typeof chunk === 'string') socket.write(chunk, 'latin1', done);
    else socket.write(chunk, done);
    // Most writes to a plain socket are finished here and cost no timer.
    if (socket.writableLength === 0 || socket.destroyed || this.#timer?.isRunning === true) return;
    const { wheel, blockedWriteTimeMs } = this.#pool.shared;
    if (this.#timer === undefined) this.#timer = wheel.start(this, blockedWriteTimeMs);
    else wheel.restart(this.#timer);
  }

  #onSent(): void {
    const { writableLength } = this.#socket;
    if (this.#timer !== undefined) {
      if (writableLength === 0) this.#stopWatching();
      else this.#pool.shared.wheel.restart(this.#timer);
    }
    if (writableLength <= this.#lowWater) this.#progress?.resolve();
  }

  /** Settles when little is left to send, or the socket has closed. */
  async #nextProgress(): Promise<void> {
    this.#progress ??= Promise.withResolvers<void>();
    const progress = this.#progress;
    const socket = this.#socket;
    socket.once('close', progress.resolve);
    await progress.promise;
    socket.off('close', progress.resolve);
    if (this.#progress === progress) this.#progress = undefined;
  }

  #stopWatching(): void {
    if (this.#timer !== undefined) this.#pool.shared.wheel.stop(this.#timer);
  }

  #drop(): void {
    this.#text = '';
    if (this.#buffer !== undefined) this.#pool.give(this.#buffer);
    this.#buffer = undefined;
    this.#used = 0;
    this.#stopWatching();
  }
}
