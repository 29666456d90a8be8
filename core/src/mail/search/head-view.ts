import { type HeaderDate, parseDate } from '../../mime/date.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { MAX_HEADER_FIELD_OCTETS } from '../../mime/limits.ts';
import { asBuffer } from '../../mime/octets.ts';
import { headerText } from '../../mime/search-text.ts';
import { ThreadRoots } from '../sorting/thread-ids.ts';
import { foldHeader } from './header-fold.ts';
import { shownAddresses } from './shown-addresses.ts';

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const NOTHING = Buffer.alloc(0);

/** Between the values of a repeated field; no assigned character. */
const SEPARATOR = '\uffff';

/** The occurrences of one field. */
interface Found {
  readonly starts: number[];
  readonly ends: number[];
  /** All values, folded. */
  folded: string | undefined;
  /** What the values hold as addresses beyond that. */
  shown: string | undefined;
}

/** After the name of a field that is looked at as ENVELOPE shows it, too: no field has it in its name. */
export const AS_ADDRESSES = ':';

/**
 * The header block of one message after the other, as the keys of one query look at it: only the fields that the query names are decoded,
 * each at most once.
 */
export class HeadView {
  readonly #fields = new Map<string, number>();
  /** By field: the one under whose number its occurrences are kept. */
  readonly #kept: number[] = [];
  readonly #isAddresses: boolean[] = [];
  /** Whether a field that is wanted begins with this octet. */
  readonly #initials = new Uint8Array(256);
  readonly #longestName: number;
  #octets: Buffer = NOTHING;
  /** By field. */
  #found: (Found | undefined)[] | undefined;
  #text: string | undefined;
  #roots: ThreadRoots | undefined;
  #thread: string | undefined;

  /** `names`: printable ASCII in lower case, without repeats, perhaps with `AS_ADDRESSES`; their index is the number of the field. */
  constructor(names: readonly string[]) {
    let longest = 0;
    for (const [field, wanted] of names.entries()) {
      const isAddresses = wanted.endsWith(AS_ADDRESSES);
      const name = isAddresses ? wanted.slice(0, -1) : wanted;
      const kept = this.#fields.get(name) ?? field;
      this.#fields.set(name, kept);
      this.#kept.push(kept);
      this.#isAddresses.push(isAddresses);
      longest = Math.max(longest, name.length);
      const initial = name.charCodeAt(0);
      this.#initials[initial] = 1;
      if (initial >= 0x61 && initial <= 0x7a) this.#initials[initial - 0x20] = 1;
    }
    this.#longestName = longest;
  }

  /** The next message's header block. */
  read(head: Uint8Array): void {
    this.#octets = asBuffer(head);
    this.#found = undefined;
    this.#text = undefined;
    this.#thread = undefined;
  }

  /** Whether an occurrence of the field contains it; an empty needle asks whether there is one (RFC 9051 §6.4.4, HEADER). */
  contains(field: number, needle: string): boolean {
    const found = this.#occurrences(field);
    if (found === undefined) return false;
    if (needle === '') return true;
    found.folded ??= this.#values(found).join(SEPARATOR);
    if (!found.folded.includes(needle)) return this.#isAddresses[field] === true && this.#shownContains(found, needle);
    return !needle.includes(SEPARATOR) || this.#values(found).some((value) => value.includes(needle));
  }

  #shownContains(found: Found, needle: string): boolean {
    if (found.shown === undefined) {
      const values = this.#values(found);
      found.shown = values.map((value, index) => shownAddresses(this.#raw(found, index), value) ?? '').join(SEPARATOR);
    }
    return found.shown.includes(needle) && !needle.includes(SEPARATOR);
  }

  /** The whole block, decoded. */
  textContains(needle: string): boolean {
    this.#text ??= foldHeader(headerText(this.#octets));
    return this.#text.includes(needle);
  }

  /** As `ThreadRoots.digest`. */
  thread(): string {
    this.#roots ??= new ThreadRoots();
    this.#thread ??= this.#roots.digest(this.#octets);
    return this.#thread;
  }

  /** Of repeated Date fields the last one counts, as in ENVELOPE. */
  date(field: number): HeaderDate | undefined {
    const found = this.#occurrences(field);
    return found === undefined ? undefined : parseDate(this.#raw(found, found.starts.length - 1));
  }

  #values(found: Found): string[] {
    return found.starts.map((_, index) => foldHeader(decodeHeaderText(this.#raw(found, index)).trim()));
  }

  #raw({ starts, ends }: Found, index: number): string {
    const start = starts[index] as number;
    return this.#octets.toString('latin1', start, Math.min(ends[index] as number, start + MAX_HEADER_FIELD_OCTETS));
  }

  #occurrences(field: number): Found | undefined {
    this.#found ??= this.#scan();
    return this.#found[this.#kept[field] ?? field];
  }

  #scan(): (Found | undefined)[] {
    const octets = this.#octets;
    const all: (Found | undefined)[] = [];
    for (let at = 0; at < octets.length; ) {
      const first = octets[at] as number;
      if (first === LF || (first === CR && octets[at + 1] === LF)) break;
      let lf = octets.indexOf(LF, at);
      if (this.#initials[first] === 1) {
        const nameEnd = this.#nameEnd(at);
        const field = nameEnd === at ? undefined : this.#fields.get(octets.toString('latin1', at, nameEnd).toLowerCase());
        const start = field === undefined ? -1 : valueStart(octets, nameEnd);
        if (field !== undefined && start >= 0) {
          while (lf >= 0 && (octets[lf + 1] === SPACE || octets[lf + 1] === TAB)) lf = octets.indexOf(LF, lf + 1);
          const found = all[field] ?? { starts: [], ends: [], folded: undefined, shown: undefined };
          all[field] = found;
          found.starts.push(start);
          found.ends.push(lf < 0 ? octets.length : lf + 1);
        }
      }
      if (lf < 0) break;
      at = lf + 1;
    }
    return all;
  }

  /** Of a name that may be one of ours; `at` when it is too long. */
  #nameEnd(at: number): number {
    const octets = this.#octets;
    const limit = at + this.#longestName;
    for (let end = at; end <= limit; end++) {
      const octet = octets[end];
      if (octet === undefined || octet <= SPACE || octet === COLON) return end;
    }
    return at;
  }
}

/** After the colon, or -1 if there is none. White space before it is obsolete, not wrong (RFC 5322 §4.5). */
function valueStart(octets: Buffer, nameEnd: number): number {
  let at = nameEnd;
  while (octets[at] === SPACE || octets[at] === TAB) at++;
  return octets[at] === COLON ? at + 1 : -1;
}
