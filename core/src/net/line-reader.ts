/**
 * Cuts a client's octets into commands: lines that may be interrupted by literals (RFC 9051 §4.3, RFC 7888, RFC 3516). Knows
 * nothing of what the commands mean. Holds nothing between commands but a few words, so an idle connection is nearly free.
 *
 * A line ends with LF; one CR before it is dropped. Bare LF is tolerated, as Dovecot and Cyrus do (a client is alone on its
 * connection, so nothing can be smuggled); a CR elsewhere and NUL stay in the text, for the grammar to refuse.
 */
import type { Writable } from 'node:stream';

export interface ReaderLimits {
  /** One line without its end, in octets. */
  readonly lineOctets: number;
  /** What follows an overlong line: its refusal is final, or the line is skipped and the connection goes on. */
  readonly overlongLine: 'close' | 'skip';
  /** One literal kept in memory, in octets. A streamed literal is measured by whoever takes the stream. */
  readonly literalOctets: number;
  /** Literals of one command, of either kind. */
  readonly literals: number;
  /** Text and literals of one command that are in memory, in octets. */
  readonly commandOctets: number;
  /** Largest non-synchronising literal, in octets: 4096 is LITERAL-, Infinity is LITERAL+ (RFC 7888). */
  readonly nonSyncOctets: number;
  /** Octets of one refused command that are read and thrown away before the refusal is final instead. */
  readonly drainOctets: number;
}

const KiB = 1024;

/** A stranger gets room for a login and no more. */
export const LIMITS_BEFORE_LOGIN: ReaderLimits = Object.freeze({
  lineOctets: 8 * KiB,
  overlongLine: 'close',
  literalOctets: 4 * KiB,
  literals: 16, // LOGIN and ID need two or a few
  commandOctets: 64 * KiB,
  nonSyncOctets: 4 * KiB,
  drainOctets: 64 * KiB,
});

/** Long UID sets fill a line of 64 KiB; a search of many names fills literals. A message takes the stream. */
export const LIMITS_AFTER_LOGIN: ReaderLimits = Object.freeze({
  lineOctets: 64 * KiB,
  overlongLine: 'skip',
  literalOctets: 64 * KiB,
  literals: 256,
  commandOctets: 1024 * KiB,
  nonSyncOctets: 4 * KiB,
  drainOctets: 64 * 1024 * KiB, // a client that ignores LITERAL- sends a whole message
});

export interface Literal {
  /** Offset in the command's text of its `{` or `~{`. */
  readonly at: number;
  /** Offset in the command's text just after the line end that follows `}`. */
  readonly next: number;
  readonly sizeOctets: number;
  /** `~{n}`: may hold NUL (literal8, RFC 3516). */
  readonly binary: boolean;
  /** `{n}`: the client waits for a continuation request. False for `{n+}`. */
  readonly synchronising: boolean;
  /** Undefined while it is announced only, and if it was streamed. */
  readonly octets: Buffer | undefined;
  /** Where its octets went, if it was streamed. */
  readonly stream: Writable | undefined;
}

/**
 * A complete command. `text` is its lines joined, each literal being left as `{n}` and line end; the last line end is dropped.
 * It may be a view of a larger network buffer: do not keep it longer than the command runs.
 */
export interface ClientCommand {
  readonly text: Buffer;
  readonly literals: readonly Literal[];
}

/** A command up to and including the announcement of a literal, the last of `literals`. */
export interface AnnouncedLiteral extends ClientCommand {
  readonly literal: Literal;
}

/** `refuse` carries anything that the owner wants to find again in `Refusal.because`. */
export type LiteralDecision = 'memory' | { readonly stream: Writable } | { readonly refuse: unknown };

/** A command that is not delivered. What belonged to it has been read, so that the next one can follow, unless `fatal`. */
export interface Refusal {
  readonly reason: 'line-too-long' | 'literal-too-large' | 'too-many-literals' | 'command-too-large' | 'refused-by-owner';
  readonly because: unknown;
  /** The first octets of the command, at most 1 KiB: enough to find its tag. */
  readonly text: Buffer;
  /** The place of the next command cannot be known or is too far away: answer and close. */
  readonly fatal: boolean;
}

/**
 * Implemented by the connection: methods, so that no closure is kept per session. They must not throw. All may call back into
 * the reader.
 */
export interface LineReaderOwner {
  /** Nothing more is delivered until `next()` (or `readLine()`, for one line). */
  command(command: ClientCommand): void;
  /** A line asked for by `readLine()`, without its end. Nothing more is delivered until `readLine()` or `next()`. */
  line(line: Buffer): void;
  /** May answer later; reading waits. A rejection counts as `{ refuse: error }`. */
  literal(announced: AnnouncedLiteral): LiteralDecision | Promise<LiteralDecision>;
  /** A synchronising literal was accepted: send a continuation request now. */
  continueLiteral(): void;
  /** Nothing more is delivered until `next()`. May also come in place of `line()`, for an overlong one. */
  refused(refusal: Refusal): void;
  /** After `push` returned false: what was pushed is used up, resume the socket. */
  readable(): void;
}

const LF = 0x0a;
const CR = 0x0d;
const EMPTY = Buffer.alloc(0);
const NO_LITERALS: readonly Literal[] = Object.freeze([]);
/** `~{`, 20 digits, `+}`, CR and a little: a longer announcement is none. */
const MARKER_OCTETS = 32;
const HEAD_OCTETS = 1024;

type Phase = 'text' | 'raw' | 'deciding' | 'memory' | 'stream' | 'drain' | 'skip' | 'closed';

interface Marker {
  readonly at: number;
  readonly sizeOctets: number;
  readonly binary: boolean;
  readonly synchronising: boolean;
}

/** Reads `{n}`, `{n+}`, `~{n}` or `~{n+}` that ends at `end`. A size beyond 2^53-1 is Infinity. */
function markerBefore(bytes: Buffer, start: number, end: number): Marker | undefined {
  let at = end - 1;
  if (at <= start || bytes[at] !== 0x7d) return undefined;
  at -= 1;
  const synchronising = bytes[at] !== 0x2b;
  if (!synchronising) at -= 1;
  const lastDigit = at;
  let sizeOctets = 0;
  let weight = 1;
  for (let digit: number; at > start && lastDigit - at < 20; at -= 1, weight *= 10) {
    digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    sizeOctets += digit * weight;
  }
  if (at === lastDigit || at < start || bytes[at] !== 0x7b) return undefined;
  if (sizeOctets > Number.MAX_SAFE_INTEGER) sizeOctets = Number.POSITIVE_INFINITY;
  const binary = at > start && bytes[at - 1] === 0x7e;
  return { at: binary ? at - 1 : at, sizeOctets, binary, synchronising };
}

export class LineReader {
  readonly #owner: LineReaderOwner;
  #limits: ReaderLimits;
  #phase: Phase = 'text';
  #busy = false;
  #running = false;
  #owesReadable = false;

  // What was pushed and is not read yet.
  #chunk: Buffer | undefined;
  #position = 0;
  #later: Buffer[] | undefined;

  // The command so far. `#text` is ours and has room to grow.
  #text: Buffer = EMPTY;
  #textLength = 0;
  #lineStart = 0;
  #literals: Literal[] | undefined;
  #octetsInMemory = 0;

  // The literal, or the refused rest, that is being read.
  #pending: Literal | undefined;
  #remaining = 0;
  #body: Buffer = EMPTY;
  #bodyLength = 0;
  #stream: Writable | undefined;
  #streamFull = false;
  #refusal: Refusal | undefined;
  #drained = 0;
  #tail: Buffer = EMPTY;

  constructor(owner: LineReaderOwner, limits: ReaderLimits = LIMITS_BEFORE_LOGIN) {
    this.#owner = owner;
    this.#limits = limits;
  }

  /** Takes effect with the next octet: call it when the login has succeeded. */
  set limits(limits: ReaderLimits) {
    this.#limits = limits;
  }

  /** False between commands: nothing of one has come yet. */
  get midCommand(): boolean {
    return this.#busy || this.#textLength > 0 || this.#phase !== 'text' || this.#literals !== undefined;
  }

  /** @returns false if octets had to be queued: stop reading the socket until `readable()` */
  push(chunk: Buffer): boolean {
    if (this.#phase === 'closed' || chunk.length === 0) return true;
    if (this.#chunk === undefined) {
      this.#chunk = chunk;
      this.#position = 0;
    } else {
      this.#later ??= [];
      this.#later.push(chunk);
    }
    if (!this.#running) this.#run();
    if (this.#chunk === undefined) return true;
    this.#owesReadable = true;
    return false;
  }

  /** The command (or refusal) last delivered is done: go on with the next. Also ends a `readLine()` that was not answered yet. */
  next(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'raw') {
      // A part of the line may be here already: it becomes the start of a command.
      this.#phase = 'text';
    }
    this.#busy = false;
    this.#run();
  }

  /** While a command runs: delivers one line as it is to `line()`, for SASL responses and DONE. */
  readLine(): void {
    if (this.#phase === 'closed') return;
    if (!this.#busy || this.#phase !== 'text') throw new Error('readLine() is for a command that runs');
    this.#phase = 'raw';
    this.#run();
  }

  /** Octets wait that were not looked at yet: they are read when the command that runs is done. */
  get hasUnread(): boolean {
    return this.#chunk !== undefined;
  }

  /** Forgets the command so far and hands back what was pushed and not read: to be dropped at STARTTLS, or inflated. */
  takeBuffered(): Buffer {
    const parts = this.#chunk === undefined ? [] : [this.#chunk.subarray(this.#position), ...(this.#later ?? [])];
    if (this.#textLength > 0) parts.unshift(this.#text.subarray(0, this.#textLength));
    this.#dropInput();
    this.#forgetCommand();
    if (this.#phase !== 'closed') this.#phase = 'text';
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  /** The connection is gone. A literal that is being streamed is destroyed with `error`. Safe to call twice. */
  close(error: Error = new Error('Connection closed within a literal')): void {
    const stream = this.#stream;
    this.#dropInput();
    this.#forgetCommand();
    this.#phase = 'closed';
    if (stream !== undefined && !stream.destroyed) stream.destroy(error);
  }

  #dropInput(): void {
    this.#chunk = undefined;
    this.#later = undefined;
    this.#position = 0;
  }

  #forgetCommand(): void {
    this.#text = EMPTY;
    this.#textLength = 0;
    this.#lineStart = 0;
    this.#literals = undefined;
    this.#octetsInMemory = 0;
    this.#pending = undefined;
    this.#remaining = 0;
    this.#body = EMPTY;
    this.#bodyLength = 0;
    this.#stream = undefined;
    this.#streamFull = false;
    this.#refusal = undefined;
    this.#drained = 0;
    this.#tail = EMPTY;
  }

  /** Owners call back into `next` and `readLine` from inside a delivery: those only change state, and this loop goes on. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let chunk = this.#chunk; chunk !== undefined && this.#mayRead(); chunk = this.#chunk) {
        this.#step(chunk);
        if (this.#chunk === chunk && this.#position >= chunk.length) {
          this.#chunk = this.#later?.shift();
          this.#position = 0;
          if (this.#later?.length === 0) this.#later = undefined;
        }
      }
    } finally {
      this.#running = false;
    }
    if (this.#owesReadable && this.#chunk === undefined && this.#phase !== 'closed') {
      this.#owesReadable = false;
      this.#owner.readable();
    }
  }

  #mayRead(): boolean {
    if (this.#phase === 'deciding' || this.#phase === 'closed' || this.#streamFull) return false;
    return !this.#busy || this.#phase !== 'text';
  }

  #step(chunk: Buffer): void {
    switch (this.#phase) {
      case 'text':
      case 'raw':
        this.#readText(chunk);
        return;
      case 'memory':
        this.#readBody(chunk);
        return;
      case 'stream':
        this.#readStream(chunk);
        return;
      case 'drain':
        this.#drain(chunk);
        return;
      case 'skip':
        this.#skipLine(chunk);
        return;
      case 'deciding':
      case 'closed':
        return;
    }
  }

  /* ── Lines ──────────────────────────────────────────────────────────────────────────────────────────────────── */

  #readText(chunk: Buffer): void {
    const start = this.#position;
    const lineFeed = chunk.indexOf(LF, start);
    const end = lineFeed < 0 ? chunk.length : lineFeed + 1;
    const before = this.#textLength - this.#lineStart;
    // Two octets for the line end, counted before anything is copied.
    if (before + end - start > this.#limits.lineOctets + 2) {
      if (this.#textLength === 0) this.#append(chunk, start, Math.min(end, start + HEAD_OCTETS));
      this.#startRefusal('line-too-long', undefined, this.#limits.overlongLine === 'close', 'skip');
      return;
    }
    if (this.#phase === 'text' && this.#octetsInMemory + end - start > this.#limits.commandOctets) {
      this.#startRefusal('command-too-large', undefined, false, 'skip');
      return;
    }
    this.#position = end;
    if (lineFeed < 0) {
      this.#append(chunk, start, end);
      return;
    }
    let stop = lineFeed;
    if (this.#textLength === 0) {
      if (stop > start && chunk[stop - 1] === CR) stop -= 1;
      if (this.#phase === 'raw') {
        this.#deliverLine(chunk.subarray(start, stop));
        return;
      }
      if (markerBefore(chunk, start, stop) === undefined) {
        this.#deliverCommand(chunk.subarray(start, stop));
        return;
      }
    }
    this.#append(chunk, start, end);
    stop = this.#textLength - 1;
    if (stop > this.#lineStart && this.#text[stop - 1] === CR) stop -= 1;
    if (this.#phase === 'raw') {
      this.#deliverLine(this.#text.subarray(0, stop));
      return;
    }
    const marker = markerBefore(this.#text, this.#lineStart, stop);
    if (marker === undefined) this.#deliverCommand(this.#text.subarray(0, stop));
    else this.#announce(marker);
  }

  /** Grows by doubling, so that a client that sends single octets costs linear time. */
  #append(chunk: Buffer, start: number, end: number): void {
    const length = this.#textLength + end - start;
    if (length > this.#text.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#text.length, 128));
      this.#text.copy(grown, 0, 0, this.#textLength);
      this.#text = grown;
    }
    chunk.copy(this.#text, this.#textLength, start, end);
    this.#textLength = length;
    this.#octetsInMemory += end - start;
  }

  #deliverLine(line: Buffer): void {
    this.#forgetCommand();
    this.#phase = 'text';
    this.#owner.line(line);
  }

  #deliverCommand(text: Buffer): void {
    const literals = this.#literals ?? NO_LITERALS;
    this.#forgetCommand();
    this.#phase = 'text';
    this.#busy = true;
    this.#owner.command({ text, literals });
  }

  /* ── Literals ───────────────────────────────────────────────────────────────────────────────────────────────── */

  #announce(marker: Marker): void {
    const literal: Literal = { ...marker, next: this.#textLength, octets: undefined, stream: undefined };
    this.#pending = literal;
    this.#lineStart = this.#textLength;
    const literals = [...(this.#literals ?? NO_LITERALS), literal];
    if (literals.length > this.#limits.literals) {
      this.#refuseLiteral('too-many-literals', undefined);
      return;
    }
    if (!literal.synchronising && literal.sizeOctets > this.#limits.nonSyncOctets) {
      this.#refuseLiteral('literal-too-large', undefined);
      return;
    }
    this.#phase = 'deciding';
    let decision: LiteralDecision | Promise<LiteralDecision>;
    try {
      decision = this.#owner.literal({ text: this.#text.subarray(0, this.#textLength), literals, literal });
    } catch (error) {
      decision = { refuse: error };
    }
    if (!(decision instanceof Promise)) {
      this.#decided(literal, decision);
      return;
    }
    decision.then(
      (late) => {
        this.#decided(literal, late);
        this.#run();
      },
      (error: unknown) => {
        this.#decided(literal, { refuse: error });
        this.#run();
      },
    );
  }

  #decided(literal: Literal, decision: LiteralDecision): void {
    if (this.#pending !== literal || this.#phase !== 'deciding') {
      // Closed or reset while the owner thought: a stream that was opened for it must not wait for ever.
      if (typeof decision === 'object' && 'stream' in decision) decision.stream.destroy(new Error('Connection closed before a literal'));
      return;
    }
    this.#remaining = literal.sizeOctets;
    if (decision === 'memory') {
      if (literal.sizeOctets > this.#limits.literalOctets) {
        this.#refuseLiteral('literal-too-large', undefined);
        return;
      }
      if (this.#octetsInMemory + literal.sizeOctets > this.#limits.commandOctets) {
        this.#refuseLiteral('command-too-large', undefined);
        return;
      }
      this.#octetsInMemory += literal.sizeOctets;
      this.#phase = 'memory';
    } else if ('stream' in decision) {
      this.#phase = 'stream';
      this.#stream = decision.stream;
      // A taker that fails must not stall the connection: the rest of the literal is read into nothing.
      decision.stream.once('close', () => this.#streamReady(decision.stream));
    } else {
      this.#refuseLiteral('refused-by-owner', decision.refuse);
      return;
    }
    if (literal.synchronising) this.#owner.continueLiteral();
    // The owner may have closed us from inside continueLiteral().
    if (this.#pending === literal && this.#remaining === 0) this.#literalDone();
  }

  #readBody(chunk: Buffer): void {
    const start = this.#position;
    const end = Math.min(chunk.length, start + this.#remaining);
    this.#position = end;
    this.#remaining -= end - start;
    if (this.#bodyLength === 0 && this.#remaining === 0) {
      this.#body = chunk.subarray(start, end);
      this.#bodyLength = this.#body.length;
    } else {
      const length = this.#bodyLength + end - start;
      if (length > this.#body.length) {
        const whole = length + this.#remaining;
        const grown = Buffer.allocUnsafeSlow(Math.min(whole, Math.max(2 * length, 1024)));
        this.#body.copy(grown, 0, 0, this.#bodyLength);
        this.#body = grown;
      }
      chunk.copy(this.#body, this.#bodyLength, start, end);
      this.#bodyLength = length;
    }
    if (this.#remaining === 0) this.#literalDone();
  }

  #readStream(chunk: Buffer): void {
    const start = this.#position;
    const end = Math.min(chunk.length, start + this.#remaining);
    this.#position = end;
    this.#remaining -= end - start;
    const stream = this.#stream;
    if (stream !== undefined && !stream.destroyed && !stream.writableEnded) {
      if (!stream.write(chunk.subarray(start, end)) && this.#remaining > 0) {
        this.#streamFull = true;
        stream.once('drain', () => this.#streamReady(stream));
      }
    }
    if (this.#remaining === 0) this.#literalDone();
  }

  #streamReady(stream: Writable): void {
    if (this.#stream !== stream || !this.#streamFull) return;
    this.#streamFull = false;
    this.#run();
  }

  #literalDone(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    const stream = this.#stream;
    const octets = stream === undefined ? this.#body.subarray(0, this.#bodyLength) : undefined;
    this.#literals ??= [];
    this.#literals.push({ ...pending, octets, stream });
    this.#pending = undefined;
    this.#body = EMPTY;
    this.#bodyLength = 0;
    this.#stream = undefined;
    this.#streamFull = false;
    this.#phase = 'text';
    if (stream !== undefined && !stream.destroyed && !stream.writableEnded) stream.end();
  }

  /* ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────── */

  /** After a synchronising literal the client waits and sends nothing, so its next octet starts a command. */
  #refuseLiteral(reason: Refusal['reason'], because: unknown): void {
    const literal = this.#pending;
    if (literal === undefined) return;
    if (literal.synchronising) {
      this.#startRefusal(reason, because, false, 'end');
      return;
    }
    this.#remaining = literal.sizeOctets;
    this.#startRefusal(reason, because, literal.sizeOctets > this.#limits.drainOctets, 'drain');
  }

  #startRefusal(reason: Refusal['reason'], because: unknown, fatal: boolean, rest: 'drain' | 'skip' | 'end'): void {
    const text = Buffer.from(this.#text.subarray(0, Math.min(this.#textLength, HEAD_OCTETS)));
    const refusal: Refusal = { reason, because, text, fatal };
    const remaining = this.#remaining;
    // An announcement may straddle what was kept and what will be skipped.
    const tail =
      rest === 'skip' ? Buffer.from(this.#text.subarray(Math.max(0, this.#textLength - MARKER_OCTETS), this.#textLength)) : EMPTY;
    this.#forgetCommand();
    this.#refusal = refusal;
    this.#tail = tail;
    if (fatal || rest === 'end') {
      this.#deliverRefusal(refusal);
      return;
    }
    this.#remaining = remaining;
    this.#phase = rest === 'drain' && remaining > 0 ? 'drain' : 'skip';
  }

  #deliverRefusal(refusal: Refusal): void {
    this.#forgetCommand();
    this.#busy = true;
    if (refusal.fatal) this.close();
    else this.#phase = 'text';
    this.#owner.refused(refusal);
  }

  #drain(chunk: Buffer): void {
    const count = Math.min(chunk.length - this.#position, this.#remaining);
    this.#position += count;
    this.#remaining -= count;
    this.#drained += count;
    if (this.#remaining === 0) this.#phase = 'skip';
  }

  /** To the end of the line, and on through any non-synchronising literals of the same command. */
  #skipLine(chunk: Buffer): void {
    const start = this.#position;
    const lineFeed = chunk.indexOf(LF, start);
    const end = lineFeed < 0 ? chunk.length : lineFeed + 1;
    this.#position = end;
    this.#drained += end - start;
    const tail = Buffer.concat([this.#tail, chunk.subarray(Math.max(start, end - MARKER_OCTETS), end)]);
    this.#tail = Buffer.from(tail.subarray(Math.max(0, tail.length - MARKER_OCTETS)));
    const refusal = this.#refusal;
    if (refusal === undefined) return;
    if (this.#drained > this.#limits.drainOctets) {
      this.#deliverRefusal({ ...refusal, fatal: true });
      return;
    }
    if (lineFeed < 0) return;
    let stop = this.#tail.length - 1;
    if (stop > 0 && this.#tail[stop - 1] === CR) stop -= 1;
    const marker = markerBefore(this.#tail, 0, stop);
    this.#tail = EMPTY;
    if (marker === undefined || marker.synchronising) {
      this.#deliverRefusal(refusal);
      return;
    }
    if (this.#drained + marker.sizeOctets > this.#limits.drainOctets) {
      this.#deliverRefusal({ ...refusal, fatal: true });
      return;
    }
    this.#remaining = marker.sizeOctets;
    this.#phase = marker.sizeOctets > 0 ? 'drain' : 'skip';
  }
}
