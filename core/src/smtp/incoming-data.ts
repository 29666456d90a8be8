/** The message of a DATA command on its way into the spool: a small one at once, from memory; one that goes on is streamed. */
import type { MessageSource, Spool } from '../mail/services.ts';
import { DataReader, type DataStep } from './data-reader.ts';
import { MessageData } from './message-data.ts';

/** Held outside of the spool's budget: about what the socket held before. */
const HELD_OCTETS = 64 * 1024;
/** A client that sends single octets must not cost a Buffer for each. */
const HELD_PIECES = 64;

export interface IncomingDataOptions {
  /** Longer messages are read to their end, and refused. */
  readonly limitOctets: number;
  readonly signal: AbortSignal;
  /** Reading from the socket, while the spool cannot follow. */
  pause(): void;
  resume(): void;
}

export class IncomingData {
  readonly #spool: Spool;
  readonly #options: IncomingDataOptions;
  readonly #reader: DataReader;
  #held: Buffer[] = [];
  #heldOctets = 0;
  #stream: MessageData | undefined;
  #received: Promise<MessageSource> | undefined;
  #isWanted = true;

  constructor(spool: Spool, options: IncomingDataOptions) {
    this.#spool = spool;
    this.#options = options;
    this.#reader = new DataReader((piece) => this.#take(piece));
  }

  /** Octets from the wire, up to and beyond the end of the message. */
  push(octets: Buffer): DataStep {
    const step = this.#reader.push(octets);
    if (step.state === 'more' && !this.#isWanted) {
      this.#options.pause();
      this.#stream?.whenWanted(() => this.#options.resume());
    }
    return step;
  }

  #take(piece: Buffer): void {
    if (this.#stream !== undefined) {
      this.#isWanted = this.#stream.push(piece);
      return;
    }
    this.#held.push(piece);
    this.#heldOctets += piece.length;
    if (this.#heldOctets > HELD_OCTETS) this.#begin();
    else if (this.#held.length > HELD_PIECES) this.#held = [Buffer.concat(this.#held, this.#heldOctets)];
  }

  #begin(): MessageData {
    const { limitOctets, signal } = this.#options;
    const stream = new MessageData();
    this.#stream = stream;
    for (const piece of this.#held.splice(0)) this.#isWanted = stream.push(piece);
    this.#received = this.#spool.receive(stream, { limitOctets, signal });
    // What the spool refuses is told at the end; until then the rest is read and dropped.
    this.#received.catch(() => stream.resume());
    return stream;
  }

  /** The end was read. @throws MailError too-big, unavailable when the disk is full */
  finish(): MessageSource | Promise<MessageSource> {
    if (this.#stream === undefined && this.#heldOctets <= this.#options.limitOctets) {
      const source = this.#spool.hold(this.#held, this.#heldOctets);
      if (source !== undefined) return source;
    }
    const stream = this.#stream ?? this.#begin();
    stream.finish();
    if (this.#received === undefined) throw new Error('the message is not being received');
    return this.#received;
  }

  /** There is no end to come. */
  gone(error: Error): void {
    this.#held = [];
    this.#stream?.destroy(error);
  }
}
