/**
 * A socket with DEFLATE on both ways (RFC 4978, RFC 1951 without a wrapper): what an output writes to, and what turns octets of the client
 * back into commands. Every write is flushed, so that a reply never waits for the next one.
 */
import type { Socket } from 'node:net';
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from 'node:zlib';
import type { OutputSocket } from '../net/output.ts';

const KIB = 1024;
/** A window of 8 KiB: 64 KiB of memory where zlib would take 256, for a few per cent of size. */
const DEFLATE = { windowBits: 13, memLevel: 6, level: 5, flush: constants.Z_SYNC_FLUSH, chunkSize: 16 * KIB };
/** The client may use the whole window of 32 KiB. A stream that just stops is no error: clients close as they like. */
const INFLATE = { windowBits: 15, chunkSize: 4 * KIB, finishFlush: constants.Z_SYNC_FLUSH };
/** Mail compresses 2 to 20 times, a message of zeros 1000 times. */
const BOMB_RATIO = 100;

export interface CompressedSocketOwner {
  /** @returns false: `pause` was meant; no more until `resume` */
  inflated(octets: Buffer): boolean;
  /** The client has ended its side. */
  inputEnded(): void;
  /** Not DEFLATE, or a bomb. Nothing more is read. */
  inputBroken(error: Error): void;
}

/** The client sent little that is much. */
export class InflateBomb extends Error {
  override readonly name = 'InflateBomb';
}

export class CompressedSocket implements OutputSocket {
  readonly #socket: Socket;
  readonly #owner: CompressedSocketOwner;
  readonly #freeOctets: number;
  readonly #inflate: InflateRaw;
  #deflate: DeflateRaw | undefined;
  /** Callbacks of writes that are deflated and not sent. */
  #unsent: (() => void)[] = [];
  #isEnded = false;
  #isBroken = false;
  #octetsIn = 0;
  #octetsOut = 0;

  /** `freeOctets`: so much one command may inflate to, whatever its ratio. */
  constructor(socket: Socket, owner: CompressedSocketOwner, freeOctets: number) {
    this.#socket = socket;
    this.#owner = owner;
    this.#freeOctets = freeOctets;
    const inflate = createInflateRaw(INFLATE);
    this.#inflate = inflate;
    inflate.on('data', (octets: Buffer) => this.#inflated(octets));
    inflate.on('drain', () => socket.resume());
    inflate.on('end', () => owner.inputEnded());
    inflate.on('error', (error) => this.#broken(error));
    socket.once('close', () => {
      inflate.destroy();
      this.#deflate?.destroy();
      this.#done();
    });
  }

  /* ── From the client ───────────────────────────────────────────────────────────────────────────────────────── */

  received(octets: Buffer): void {
    if (this.#isBroken || this.#inflate.writableEnded || octets.length === 0) return;
    this.#octetsIn += octets.length;
    if (!this.#inflate.write(octets)) this.#socket.pause();
  }

  /** The socket has ended; the owner is told when all is inflated. */
  ended(): void {
    this.#inflate.end();
  }

  resume(): void {
    this.#inflate.resume();
    if (!this.#inflate.writableNeedDrain) this.#socket.resume();
  }

  /** A command begins: what it may inflate to is counted from here. */
  mark(): void {
    this.#octetsIn = 0;
    this.#octetsOut = 0;
  }

  #inflated(octets: Buffer): void {
    if (this.#isBroken) return;
    this.#octetsOut += octets.length;
    if (this.#octetsOut > this.#freeOctets && this.#octetsOut > BOMB_RATIO * this.#octetsIn) {
      this.#broken(new InflateBomb('the client sent little that is much'));
      return;
    }
    if (!this.#owner.inflated(octets)) this.#inflate.pause();
  }

  #broken(error: Error): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#inflate.destroy();
    this.#owner.inputBroken(error);
  }

  /* ── To the client: OutputSocket ───────────────────────────────────────────────────────────────────────────── */

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  get writableEnded(): boolean {
    return this.#isEnded;
  }

  get writableLength(): number {
    return this.#socket.writableLength + (this.#deflate?.writableLength ?? 0);
  }

  write(chunk: string | Uint8Array, encodingOrDone: BufferEncoding | (() => void), done?: () => void): boolean {
    const deflate = (this.#deflate ??= this.#newDeflate());
    const octets = typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk;
    const sent = typeof encodingOrDone === 'function' ? encodingOrDone : done;
    return deflate.write(octets, () => {
      if (sent !== undefined) this.#unsent.push(sent);
      if (this.#socket.writableLength === 0) this.#done();
    });
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const deflate = this.#deflate;
    if (deflate === undefined) this.#socket.end();
    else deflate.end(() => undefined).once('end', () => this.#socket.end());
  }

  destroy(error?: Error): void {
    this.#socket.destroy(error);
  }

  once(event: 'close', listener: () => void): void {
    this.#socket.once(event, listener);
  }

  off(event: 'close', listener: () => void): void {
    this.#socket.off(event, listener);
  }

  /**
   * The session is quiet: gives back the compressor's memory. Its output ends on an octet and no block was the last, so that the next
   * compressor goes on where it stopped, with an empty window.
   */
  rest(): void {
    const deflate = this.#deflate;
    if (deflate === undefined || this.#isEnded || deflate.writableLength > 0 || deflate.readableLength > 0) return;
    this.#deflate = undefined;
    deflate.destroy();
  }

  #newDeflate(): DeflateRaw {
    const deflate = createDeflateRaw(DEFLATE);
    deflate.on('data', (octets: Buffer) => {
      this.#socket.write(octets, () => this.#done());
    });
    deflate.on('error', (error) => this.#socket.destroy(error));
    return deflate;
  }

  #done(): void {
    if (this.#unsent.length === 0) return;
    const unsent = this.#unsent;
    this.#unsent = [];
    for (const sent of unsent) sent();
  }
}
