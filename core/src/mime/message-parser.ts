import { type Boundary, BoundarySet } from './boundary-set.ts';
import { parseDate } from './date.ts';
import { unfold } from './imap-wire.ts';
import { MAX_HEADER_FIELD_OCTETS, MAX_HEADERS_OCTETS, MAX_MESSAGE_IDS, MAX_MIME_DEPTH, MAX_MIME_PARTS } from './limits.ts';
import { asBuffer, copyOf, countLf, OctetAccumulator } from './octets.ts';
import type { MimePart } from './part.ts';
import { PartBuilder } from './part-builder.ts';
import { envelopeWire, structureWire } from './structure-wire.ts';

/** What an IMAP server keeps of a message. Strings are latin1: one character an octet, 8-bit octets as they came, no NUL. */
export interface ParsedMessage {
  readonly sizeOctets: number;
  /**
   * A copy of the top header block with its blank line, alone in its ArrayBuffer, so that it may be transferred to a thread. Of a longer block the first MAX_HEADERS_OCTETS octets: then `head.length` is less
   * than `parts.bodyStart`, and offsets still count the original octets.
   */
  readonly head: Uint8Array;
  /** ENVELOPE, BODYSTRUCTURE and BODY without extensions: finished IMAP strings (RFC 9051 §7.5.2). */
  readonly envelope: string;
  readonly bodyStructure: string;
  readonly body: string;
  readonly parts: MimePart;
  /** The Date field: milliseconds since the epoch, and the zone it names in minutes east of UTC. Undefined if absent or no date. */
  readonly sentDate: number | undefined;
  readonly sentZoneMinutes: number | undefined;
  /** Message ids without angle brackets. */
  readonly messageId: string | undefined;
  readonly inReplyTo: readonly string[];
  readonly references: readonly string[];
  /** Unfolded, still encoded. */
  readonly subject: string | undefined;
}

type OpenBoundary = Boundary<PartBuilder>;

type State = 'header' | 'body' | 'delimiter';

const LF = 0x0a;
const CR = 0x0d;
const DASH = 0x2d;
const DASHES_AFTER_LF = Buffer.from('\n--');

/** Octets of a line after `--` that can decide whether it is a delimiter: the longest boundary, the closing `--`, and one more line end. */
const DELIMITER_OCTETS = 84;

/** Longest header name that is looked at: content-transfer-encoding. */
const LONGEST_NAME = 25;

const NEED_MORE = -1;

/**
 * Push parser of a message (RFC 5322, RFC 2045, RFC 2046), CRLF or LF line ends. Linear time; holds back at most one header field
 * or delimiter line. The result does not depend on how the message is cut into chunks. Never throws on any input.
 */
export class MessageParser {
  readonly #root = new PartBuilder(undefined, 0);
  #part = this.#root;
  #partCount = 1;
  #state: State = 'header';
  readonly #boundaries = new BoundarySet<PartBuilder>();

  /** Octets that are not consumed yet; empty unless a push ended in the middle of something. */
  readonly #pending = new OctetAccumulator();
  /** Offset in the message of the first octet of the window under scan. */
  #base = 0;
  /** Last octet before the window. */
  #previous = LF;
  /** LFs consumed so far, and their number where the body of each open part begins. */
  #lf = 0;
  readonly #lfAtBody = new Map<PartBuilder, number>();
  /** Length of the line end before the line under scan. */
  #lineEndOctets = 0;

  // header state
  #fieldStart = -1;
  #fieldEnd = 0;
  #line = 0;
  #searchFrom = 0;
  #skippingField = false;
  #inSkippedLine = false;
  #parsedHeaderOctets = 0;

  // body state
  #regionStart = 0;
  #atLineStart = true;

  // delimiter state
  #closing = false;

  readonly #head = new OctetAccumulator();
  #headOctets: Uint8Array | undefined;
  #received = 0;

  /** Reads the next octets. The chunk is not kept and may be reused. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    const octets = asBuffer(chunk);
    const inHead = this.#headOctets === undefined;
    if (this.#pending.length === 0) {
      const consumed = this.#scan(octets, false);
      if (consumed < octets.length) this.#pending.append(octets.subarray(consumed));
    } else {
      this.#pending.append(octets);
      this.#pending.drop(this.#scan(this.#pending.view(), false));
    }
    if (inHead) this.#collectHead(octets);
    this.#received += octets.length;
  }

  /** Ends the message. Call once. */
  finish(): ParsedMessage {
    this.#scan(this.#pending.view(), true);
    this.#closeUpTo(undefined, this.#received, this.#lf);
    const root = this.#root;
    const { envelope } = root;
    const date = envelope?.date === undefined ? undefined : parseDate(envelope.date);
    return {
      sizeOctets: this.#received,
      head: this.#headOctets ?? copyOf(this.#head.view()),
      envelope: envelopeWire(envelope),
      bodyStructure: structureWire(root, 'extended'),
      body: structureWire(root, 'basic'),
      parts: root.finish(),
      sentDate: date?.ms,
      sentZoneMinutes: date?.zoneMinutes,
      messageId: messageIds(envelope?.messageId)[0],
      inReplyTo: messageIds(envelope?.inReplyTo),
      references: messageIds(envelope?.references),
      subject: envelope?.subject === undefined ? undefined : unfold(envelope.subject),
    };
  }

  #collectHead(octets: Buffer): void {
    const complete = this.#part !== this.#root || this.#state !== 'header';
    const end = complete ? this.#root.bodyStart : this.#received + octets.length;
    const take = Math.min(end, MAX_HEADERS_OCTETS) - this.#received;
    if (complete && this.#received === 0) {
      this.#headOctets = copyOf(octets.subarray(0, take));
      return;
    }
    if (take > 0) this.#head.append(octets.subarray(0, take));
    if (complete) this.#headOctets = copyOf(this.#head.view());
  }

  /** Consumes what can be decided and answers how much that was. */
  #scan(octets: Buffer, ended: boolean): number {
    let at = 0;
    for (;;) {
      const before = this.#state;
      const part = this.#part;
      if (before === 'header') at = this.#scanHeader(octets, at, ended);
      else if (before === 'body') at = this.#scanBody(octets, at, ended);
      else at = this.#scanDelimiter(octets, at);
      if (this.#state === before && this.#part === part) break;
    }
    if (at > 0) this.#previous = octets[at - 1] ?? LF;
    this.#base += at;
    return at;
  }

  // Header blocks

  #scanHeader(octets: Buffer, from: number, ended: boolean): number {
    if (this.#inSkippedLine) return this.#skipLine(octets, from, ended);
    // `#line`, `#fieldStart` and `#searchFrom` count from the start of the window, and a fresh header block starts at `from`.
    let line = Math.max(this.#line, from);
    for (;;) {
      const first = octets[line];
      if (first === undefined) {
        if (!ended) return this.#holdHeader(octets, line, line);
        this.#endField(octets);
        return this.#endHeader(line, this.#base + line, this.#lf);
      }
      const continues = (first === 0x20 || first === 0x09) && (this.#fieldStart >= 0 || this.#skippingField);
      if (!continues && this.#searchFrom <= line) {
        if (first === CR && octets[line + 1] === undefined && !ended) return this.#holdHeader(octets, line, line);
        if (first === DASH && this.#boundaries.size > 0) {
          const boundary = this.#matchBoundary(octets, line, ended);
          if (boundary === NEED_MORE) return this.#holdHeader(octets, line, line);
          if (boundary !== undefined) {
            this.#endField(octets);
            return this.#cutHeader(line, boundary);
          }
        }
        this.#endField(octets);
        this.#skippingField = false;
        if (first === LF || (first === CR && octets[line + 1] === LF)) {
          this.#lineEndOctets = first === LF ? 1 : 2;
          const end = line + this.#lineEndOctets;
          return this.#endHeader(end, this.#base + end, ++this.#lf);
        }
        this.#fieldStart = line;
      }
      const lf = octets.indexOf(LF, Math.max(line, this.#searchFrom));
      if (lf < 0) {
        if (ended) {
          this.#fieldEnd = octets.length;
          this.#endField(octets);
          return this.#endHeader(octets.length, this.#base + octets.length, this.#lf);
        }
        return this.#holdHeader(octets, line, octets.length);
      }
      this.#lf++;
      this.#lineEndOctets = (lf > 0 ? octets[lf - 1] : this.#previous) === CR ? 2 : 1;
      this.#fieldEnd = Math.max(line, lf + 1 - this.#lineEndOctets);
      line = lf + 1;
      this.#searchFrom = line;
    }
  }

  /** Keeps the field under scan for the next push; of a field that is too long the part that counts is parsed and the rest passes by. */
  #holdHeader(octets: Buffer, line: number, searched: number): number {
    const start = this.#fieldStart;
    if (start < 0) {
      // In a field that is being skipped nothing needs to be kept, except a line whose first octet is still unknown.
      const keep = this.#skippingField && searched > line ? searched : line;
      this.#inSkippedLine = keep > line;
      this.#line = 0;
      this.#searchFrom = searched - keep;
      return keep;
    }
    if (searched - start > MAX_HEADER_FIELD_OCTETS + 2) {
      this.#fieldEnd = searched;
      this.#endField(octets);
      this.#skippingField = true;
      this.#inSkippedLine = searched > line;
      this.#line = 0;
      this.#searchFrom = 0;
      return this.#inSkippedLine ? searched : line;
    }
    this.#fieldStart = 0;
    this.#fieldEnd -= start;
    this.#line = line - start;
    this.#searchFrom = searched - start;
    return start;
  }

  /** Passes over the rest of a line of a field that is too long. */
  #skipLine(octets: Buffer, from: number, ended: boolean): number {
    const lf = octets.indexOf(LF, from);
    if (lf < 0) {
      if (!ended) return octets.length;
      this.#inSkippedLine = false;
      return this.#endHeader(octets.length, this.#base + octets.length, this.#lf);
    }
    this.#inSkippedLine = false;
    this.#lf++;
    this.#lineEndOctets = (lf > 0 ? octets[lf - 1] : this.#previous) === CR ? 2 : 1;
    this.#line = lf + 1;
    this.#searchFrom = lf + 1;
    return this.#scanHeader(octets, lf + 1, ended);
  }

  #endField(octets: Buffer): void {
    const start = this.#fieldStart;
    this.#fieldStart = -1;
    if (start < 0) return;
    const end = Math.min(this.#fieldEnd, start + MAX_HEADER_FIELD_OCTETS);
    if (this.#parsedHeaderOctets >= MAX_HEADERS_OCTETS) return;
    this.#parsedHeaderOctets += end - start;
    if (!isKnownInitial(octets[start] ?? 0)) return;
    const limit = Math.min(end, start + LONGEST_NAME + 8);
    let colon = start;
    while (colon < limit && octets[colon] !== 0x3a) colon++;
    if (colon === limit) return;
    let nameEnd = colon;
    while (nameEnd > start && isSpace(octets[nameEnd - 1])) nameEnd--;
    let valueStart = colon + 1;
    while (valueStart < end && isSpace(octets[valueStart])) valueStart++;
    this.#part.field(octets.toString('latin1', start, nameEnd).toLowerCase(), octets.toString('latin1', valueStart, end));
  }

  /** The header block ended at `bodyStart`, an offset in the message, with `lf` line ends before it. */
  #endHeader(at: number, bodyStart: number, lf: number): number {
    const part = this.#part;
    this.#resetHeader();
    part.endOfHeader(part.depth >= MAX_MIME_DEPTH || this.#partCount >= MAX_MIME_PARTS);
    part.bodyStart = bodyStart;
    this.#lfAtBody.set(part, lf);
    if (part.kind === 'message') {
      this.#openPart(part, bodyStart);
      return at;
    }
    const boundary = part.boundary();
    if (boundary !== undefined) this.#boundaries.push(part, boundary);
    this.#state = 'body';
    this.#regionStart = bodyStart;
    this.#atLineStart = true;
    return at;
  }

  /** A delimiter stands where a header line was expected: the line end before it is the delimiter's, not the header's. */
  #cutHeader(line: number, boundary: OpenBoundary): number {
    const part = this.#part;
    this.#resetHeader();
    const offset = this.#base + line;
    const isEmpty = offset === part.headerStart;
    const end = isEmpty ? offset : offset - this.#lineEndOctets;
    const lf = isEmpty ? this.#lf : this.#lf - 1;
    for (let open: PartBuilder = part; ; open = this.#openPart(open, end)) {
      open.endOfHeader(open.depth >= MAX_MIME_DEPTH || this.#partCount >= MAX_MIME_PARTS);
      open.bodyStart = end;
      this.#lfAtBody.set(open, lf);
      if (open.kind !== 'message') break;
    }
    return this.#passDelimiter(line, boundary, end, lf);
  }

  #resetHeader(): void {
    this.#fieldStart = -1;
    this.#line = 0;
    this.#searchFrom = 0;
    this.#skippingField = false;
  }

  #openPart(parent: PartBuilder, headerStart: number): PartBuilder {
    this.#part = new PartBuilder(parent, headerStart);
    this.#partCount++;
    this.#state = 'header';
    return this.#part;
  }

  // Bodies

  #scanBody(octets: Buffer, from: number, ended: boolean): number {
    if (this.#boundaries.size === 0 || this.#partCount >= MAX_MIME_PARTS) {
      if (this.#part.countsLines) this.#lf += countLf(octets, from, octets.length);
      return octets.length;
    }
    let at = from;
    let atLineStart = this.#atLineStart;
    for (;;) {
      if (atLineStart) {
        const boundary = this.#matchBoundary(octets, at, ended);
        if (boundary === NEED_MORE) {
          this.#atLineStart = true;
          return at;
        }
        if (boundary !== undefined) return this.#endBody(at, boundary);
      }
      const lf = octets.indexOf(DASHES_AFTER_LF, at);
      if (lf < 0) return this.#endOfBodyWindow(octets, at, ended);
      if (this.#part.countsLines) this.#lf += countLf(octets, at, lf + 1);
      this.#lineEndOctets = this.#lineEndAt(octets, lf);
      at = lf + 1;
      atLineStart = true;
    }
  }

  /** The line end before a delimiter is the delimiter's. If the body is empty that is the blank line after the header. */
  #endBody(line: number, boundary: OpenBoundary): number {
    const part = this.#part;
    const offset = this.#base + line;
    if (offset !== this.#regionStart) return this.#passDelimiter(line, boundary, offset - this.#lineEndOctets, this.#lf - 1);
    // The first line of a preamble or epilogue: the line end before it stays with the delimiter line that it ends, as Dovecot counts too.
    if (boundary.part === part || offset !== part.bodyStart) return this.#passDelimiter(line, boundary, offset, this.#lf);
    part.bodyStart = offset - this.#lineEndOctets;
    this.#lfAtBody.set(part, this.#lf - 1);
    return this.#passDelimiter(line, boundary, part.bodyStart, this.#lf - 1);
  }

  /** No delimiter in the rest of the window, but its end may be the start of one. */
  #endOfBodyWindow(octets: Buffer, from: number, ended: boolean): number {
    let end = octets.length;
    this.#atLineStart = false;
    if (!ended && end > from) {
      if (end - from > 1 && octets[end - 1] === DASH && octets[end - 2] === LF) end--;
      if (octets[end - 1] === LF) {
        this.#atLineStart = true;
        this.#lineEndOctets = this.#lineEndAt(octets, end - 1);
      }
    }
    if (this.#part.countsLines) this.#lf += countLf(octets, from, end);
    return end;
  }

  #lineEndAt(octets: Buffer, lf: number): number {
    return this.#base + lf > this.#regionStart && (lf > 0 ? octets[lf - 1] : this.#previous) === CR ? 2 : 1;
  }

  /** Which delimiter begins at `line`, and whether it closes (RFC 2046 §5.1.1). Undefined: none; NEED_MORE: cannot tell yet. */
  #matchBoundary(octets: Buffer, line: number, ended: boolean): OpenBoundary | undefined | typeof NEED_MORE {
    const available = octets.length - line;
    if (available < 2) return ended || (available === 1 && octets[line] !== DASH) ? undefined : NEED_MORE;
    if (octets[line] !== DASH || octets[line + 1] !== DASH || this.#partCount >= MAX_MIME_PARTS) return undefined;
    const start = line + 2;
    const limit = Math.min(octets.length, start + DELIMITER_OCTETS);
    let end = start;
    while (end < limit && octets[end] !== LF) end++;
    if (end === octets.length && !ended && available < DELIMITER_OCTETS + 2) return NEED_MORE;
    if (end > start && octets[end - 1] === CR && end < limit) end--;
    const best = this.#boundaries.match(octets, start, end);
    if (best === undefined) return undefined;
    const after = start + best.text.length;
    this.#closing = octets[after] === DASH && octets[after + 1] === DASH;
    return best;
  }

  /** Ends the parts above the multipart whose delimiter is at `line`; their bodies end at offset `end`. */
  #passDelimiter(line: number, boundary: OpenBoundary, end: number, lf: number): number {
    this.#closeUpTo(boundary.part, end, lf);
    this.#boundaries.truncate(boundary.level + (this.#closing ? 0 : 1));
    this.#state = 'delimiter';
    return line + 2 + boundary.text.length + (this.#closing ? 2 : 0);
  }

  #closeUpTo(ancestor: PartBuilder | undefined, end: number, lf: number): void {
    let part: PartBuilder | undefined = this.#part;
    for (; part !== undefined && part !== ancestor; part = part.parent) {
      part.bodyEnd = end;
      part.lines = part.countsLines ? lf - (this.#lfAtBody.get(part) ?? lf) : 0;
      this.#lfAtBody.delete(part);
    }
    if (part !== undefined) this.#part = part;
  }

  #scanDelimiter(octets: Buffer, from: number): number {
    const lf = octets.indexOf(LF, from);
    if (lf < 0) return octets.length;
    this.#lf++;
    const at = lf + 1;
    if (this.#closing) {
      this.#state = 'body';
      this.#regionStart = this.#base + at;
      this.#atLineStart = true;
    } else this.#openPart(this.#part, this.#base + at);
    return at;
  }
}

function isSpace(code: number | undefined): boolean {
  return code === 0x20 || code === 0x09;
}

/** First letters of the fields that matter (b c d f i m r s t), either case: most Received and X- fields end here or at their name. */
function isKnownInitial(code: number): boolean {
  return code < 0x80 && KNOWN_INITIALS[code] === 1;
}

const KNOWN_INITIALS: Uint8Array = (() => {
  const initials = new Uint8Array(128);
  for (const letter of 'bcdfimrstBCDFIMRST') initials[letter.charCodeAt(0)] = 1;
  return initials;
})();

/** The `<...>` of a field (RFC 5322 §3.6.4), white space in them removed. */
function messageIds(value: string | undefined): string[] {
  const ids: string[] = [];
  if (value === undefined) return ids;
  for (let open = value.indexOf('<'); open >= 0 && ids.length < MAX_MESSAGE_IDS; ) {
    const close = value.indexOf('>', open);
    if (close < 0) break;
    // A later "<" starts afresh: an id holds none.
    const start = value.lastIndexOf('<', close);
    const id = value.slice(start + 1, close).replaceAll(/[\s\0]+/g, '');
    if (id !== '') ids.push(id);
    open = value.indexOf('<', close);
  }
  return ids;
}
