/**
 * The message of a DATA command on its way from the parser to its one reader. It stands where the library keeps a PassThrough and answers
 * to what the library asks of one; most messages come in one or two pieces, for which a stream's machinery costs more than the parse.
 */
import { EventEmitter } from 'node:events';

/** Octets that wait for the reader before the socket is paused. */
const HIGH_WATER_OCTETS = 128 * 1024;
/** More pieces than these that wait are read as one: a reader that waits for each piece of an octet would hold the loop. */
const MANY_PIECES = 16;

/** Emits `end` when all was read or dropped, `close` once it is of no more use. */
export class MessageData extends EventEmitter implements AsyncIterable<Buffer> {
  /** Octets received so far. */
  byteLength = 0;
  sizeExceeded = false;
  /** The whole message was received. */
  writableEnded = false;
  /** There is, or may come, something that was neither read nor dropped. */
  readable = true;
  readableEnded = false;
  /** `null`: nobody reads; the library then drains a message that a handler refused. */
  readableFlowing: boolean | null = null;
  destroyed = false;
  #pieces: Buffer[] = [];
  #heldOctets = 0;
  #isDropped = false;
  #failure: Error | undefined;
  #onPiece: (() => void) | undefined;
  #onWanted: (() => void) | undefined;

  /** A piece of the message. `false`: wait for {@link whenWanted} before the next. */
  push(piece: Buffer): boolean {
    if (this.#isDropped || this.destroyed) return true;
    this.#pieces.push(piece);
    this.#heldOctets += piece.length;
    this.#tellReader();
    return this.#heldOctets < HIGH_WATER_OCTETS;
  }

  /** Calls `resume` when the reader wants more, or does not want any. */
  whenWanted(resume: () => void): void {
    if (this.destroyed || this.#isDropped || this.#heldOctets < HIGH_WATER_OCTETS) resume();
    else this.#onWanted = resume;
  }

  /** No piece follows. */
  finish(): void {
    this.writableEnded = true;
    if (this.#isDropped) this.#end();
    this.#tellReader();
  }

  /** What was not read is dropped, what comes is too. */
  resume(): this {
    this.readableFlowing = true;
    this.#isDropped = true;
    this.#pieces = [];
    this.#heldOctets = 0;
    this.#tellWriter();
    if (this.writableEnded) setImmediate(() => this.#end());
    return this;
  }

  /** The reader's loop throws `error`. */
  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.readable = false;
    this.#failure = error ?? Object.assign(new Error('The connection ended before the message did'), { code: 'ECONNECTION' });
    this.#pieces = [];
    this.#heldOctets = 0;
    this.#tellWriter();
    this.#tellReader();
    this.emit('close');
    return this;
  }

  /** Read once. A reader that stops early leaves the rest on the wire: {@link resume} takes it off. @throws the error of {@link destroy} */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    this.readableFlowing = false;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const piece = this.#takePiece();
      if (piece !== undefined) {
        this.#heldOctets -= piece.length;
        if (this.#heldOctets < HIGH_WATER_OCTETS) this.#tellWriter();
        yield piece;
      } else if (this.writableEnded) {
        this.#end();
        return;
      } else {
        await new Promise<void>((resolve) => (this.#onPiece = resolve));
      }
    }
  }

  #takePiece(): Buffer | undefined {
    if (this.#pieces.length <= MANY_PIECES) return this.#pieces.shift();
    return Buffer.concat(this.#pieces.splice(0), this.#heldOctets);
  }
  #end(): void {
    if (this.readableEnded || this.destroyed) return;
    this.readable = false;
    this.readableEnded = true;
    this.emit('end');
    this.emit('close');
  }
  #tellReader(): void {
    const tell = this.#onPiece;
    this.#onPiece = undefined;
    tell?.();
  }
  #tellWriter(): void {
    const tell = this.#onWanted;
    this.#onWanted = undefined;
    tell?.();
  }
}
