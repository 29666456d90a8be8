import { type HeaderDate, parseDate } from '../../mime/date.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { MAX_HEADER_FIELD_OCTETS } from '../../mime/limits.ts';
import { asBuffer } from '../../mime/octets.ts';
import { headerText } from '../../mime/search-text.ts';
import { foldHeader } from './header-fold.ts';

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const NOTHING = Buffer.alloc(0);

/** One occurrence of a wanted field. */
interface Occurrence {
  readonly field: number;
  readonly start: number;
  readonly end: number;
  folded: string | undefined;
}

/**
 * The header block of one message after the other, as the keys of one query look at it: only the fields that the query names are decoded,
 * each at most once.
 */
export class HeadView {
  readonly #names: readonly string[];
  /** Whether a field that is wanted begins with this octet. */
  readonly #initials = new Uint8Array(256);
  #octets: Buffer = NOTHING;
  #occurrences: Occurrence[] | undefined;
  #text: string | undefined;

  /** `names`: in lower case, without repeats; their index is the number of the field. */
  constructor(names: readonly string[]) {
    this.#names = names;
    for (const name of names) {
      const initial = name.charCodeAt(0);
      this.#initials[initial] = 1;
      if (initial >= 0x61 && initial <= 0x7a) this.#initials[initial - 0x20] = 1;
    }
  }

  /** The next message's header block. */
  read(head: Uint8Array): void {
    this.#octets = asBuffer(head);
    this.#occurrences = undefined;
    this.#text = undefined;
  }

  /** Whether an occurrence of the field contains it; an empty needle asks whether there is one (RFC 9051 §6.4.4, HEADER). */
  contains(field: number, needle: string): boolean {
    for (const occurrence of this.#found()) {
      if (occurrence.field !== field) continue;
      if (needle === '') return true;
      occurrence.folded ??= foldHeader(decodeHeaderText(this.#raw(occurrence)).trim());
      if (occurrence.folded.includes(needle)) return true;
    }
    return false;
  }

  /** The whole block, decoded. */
  textContains(needle: string): boolean {
    this.#text ??= foldHeader(headerText(this.#octets));
    return this.#text.includes(needle);
  }

  /** Of repeated Date fields the last one counts, as in ENVELOPE. */
  date(field: number): HeaderDate | undefined {
    const last = this.#found().findLast((occurrence) => occurrence.field === field);
    return last === undefined ? undefined : parseDate(this.#raw(last));
  }

  #raw({ start, end }: Occurrence): string {
    return this.#octets.toString('latin1', start, Math.min(end, start + MAX_HEADER_FIELD_OCTETS));
  }

  #found(): readonly Occurrence[] {
    this.#occurrences ??= this.#scan();
    return this.#occurrences;
  }

  #scan(): Occurrence[] {
    const octets = this.#octets;
    const found: Occurrence[] = [];
    for (let at = 0; at < octets.length; ) {
      const first = octets[at] as number;
      if (first === LF || (first === CR && octets[at + 1] === LF)) break;
      let lf = octets.indexOf(LF, at);
      if (this.#initials[first] === 1) {
        for (let field = 0; field < this.#names.length; field++) {
          const start = valueStart(octets, at, this.#names[field] as string);
          if (start < 0) continue;
          while (lf >= 0 && (octets[lf + 1] === SPACE || octets[lf + 1] === TAB)) lf = octets.indexOf(LF, lf + 1);
          found.push({ field, start, end: lf < 0 ? octets.length : lf + 1, folded: undefined });
          break;
        }
      }
      if (lf < 0) break;
      at = lf + 1;
    }
    return found;
  }
}

/** Where the value begins if the line at `at` is a field of this name, else -1. White space before the colon is obsolete, not wrong (RFC 5322 §4.5). */
function valueStart(octets: Buffer, at: number, name: string): number {
  for (let index = 0; index < name.length; index++) {
    const octet = octets[at + index] as number;
    const lower = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (lower !== name.charCodeAt(index)) return -1;
  }
  let end = at + name.length;
  while (octets[end] === SPACE || octets[end] === TAB) end++;
  return octets[end] === COLON ? end + 1 : -1;
}
