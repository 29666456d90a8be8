/**
 * The message of a DATA command, taken off the wire: dots are unstuffed and only CRLF.CRLF ends it (RFC 5321 §4.1.1.4, §2.3.8). A dot
 * beside a bare CR or LF is how mail is smuggled past servers that disagree about line ends, so it is a violation, never a guess.
 * Pure: knows no socket. Linear: each octet is looked at by native searches, JavaScript runs per line.
 */

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const LINE_END = Buffer.from('\r\n');
const NOTHING = Buffer.alloc(0);
const CR_DOT = Buffer.from('\r.');
/** What could still become part of a terminator or of a violation, at the end of a chunk: at most CR LF . CR. */
const MAX_TAIL = 4;

export type DataStep =
  /** Octets of the message, in order; the reader wants more input. */
  | { readonly state: 'more' }
  /** The terminator was read; `rest` follows it. */
  | { readonly state: 'end'; readonly rest: Buffer }
  /** A bare CR or LF beside a dot. What was emitted so far must be dropped. */
  | { readonly state: 'violation' };

export class DataReader {
  // The message begins as if a line end had just been read, so that ".CRLF" ends an empty one; those two octets are not emitted.
  #tail: Buffer = LINE_END;
  #skip = 2;
  readonly #emit: (piece: Buffer) => void;

  constructor(emit: (piece: Buffer) => void) {
    this.#emit = emit;
  }

  push(input: Buffer): DataStep {
    const chunk = this.#withTail(input);
    const crDot = chunk.indexOf(CR_DOT);
    let from = 0;
    /** All before `from`, once a dot was taken out: one piece a chunk, however many lines begin with a dot. */
    let unstuffed: Buffer | undefined;
    let length = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, lf + 1)) {
      if (chunk[lf + 1] !== DOT) continue;
      if (crDot !== -1 && crDot < lf) return { state: 'violation' };
      if (lf === 0 || chunk[lf - 1] !== CR) return { state: 'violation' };
      const after = chunk[lf + 2];
      if (after === undefined) break;
      if (after === LF) return { state: 'violation' };
      if (after === CR) {
        const last = chunk[lf + 3];
        if (last === undefined) break;
        if (last !== LF) return { state: 'violation' };
        this.#pass(joined(unstuffed, length, chunk, from, lf + 1));
        return { state: 'end', rest: chunk.subarray(lf + 4) };
      }
      unstuffed ??= Buffer.allocUnsafeSlow(chunk.length);
      length += chunk.copy(unstuffed, length, from, lf + 1); // the dot that follows was added by the client (RFC 5321 §4.5.2)
      from = lf + 2;
    }
    if (crDot !== -1) return { state: 'violation' };
    const keep = Math.max(from, chunk.length - tailLength(chunk));
    this.#pass(joined(unstuffed, length, chunk, from, keep));
    // A copy: the chunk may be large and the tail outlives it.
    this.#tail = keep === chunk.length ? NOTHING : Buffer.from(chunk.subarray(keep));
    return { state: 'more' };
  }

  #withTail(input: Buffer): Buffer {
    const tail = this.#tail;
    if (tail.length === 0) return input;
    const first = input[0];
    if (first === undefined) return tail;
    this.#tail = NOTHING;
    // The line end before the message matters to a dot only.
    if (this.#skip === tail.length && first !== DOT) {
      this.#skip = 0;
      return input;
    }
    return Buffer.concat([tail, input]);
  }

  #pass(piece: Buffer): void {
    const octets = this.#skip === 0 ? piece : piece.subarray(Math.min(this.#skip, piece.length));
    this.#skip -= piece.length - octets.length;
    if (octets.length > 0) this.#emit(octets);
  }
}

/** The first `length` octets of `target`, if there is one, and those of the chunk behind them. */
function joined(target: Buffer | undefined, length: number, chunk: Buffer, from: number, to: number): Buffer {
  if (target === undefined) return chunk.subarray(from, to);
  return target.subarray(0, length + chunk.copy(target, length, from, to));
}

/** Length of the longest end of the chunk that is a beginning of `[CR] LF . [CR]` or of `CR .`. */
function tailLength(chunk: Buffer): number {
  const end = chunk.length;
  for (let length = Math.min(MAX_TAIL, end); length > 0; length -= 1) {
    const at = end - length;
    let i = at;
    if (chunk[i] === CR) i += 1;
    if (i < end && chunk[i] === LF) i += 1;
    if (i === at) continue;
    if (i < end && chunk[i] === DOT) i += 1;
    if (i < end && chunk[i] === CR) i += 1;
    if (i === end) return length;
  }
  return 0;
}
