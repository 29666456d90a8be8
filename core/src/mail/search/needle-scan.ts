import { fold } from '../../mime/fold.ts';

/** UTF-16 units of decoded text that are folded and searched at a time. */
const WINDOW_UNITS = 16 * 1024;
/** How far a cut looks back for a character that does not combine with the one before it. */
const CUT_LOOKS_BACK = 256;
const MARK = /^\p{M}$/u;

/**
 * Looks for several needles in text of any length that comes in pieces of any size. A match across pieces is found: the end of what
 * was searched, one unit shorter than the longest needle, is searched again with what follows. Linear in the text for each needle.
 */
export class NeedleScan {
  readonly #needles: readonly string[];
  readonly #found: boolean[];
  readonly #windowUnits: number;
  readonly #overlap: number;
  #left: number;
  /** Not folded yet. */
  #raw = '';
  /** Folded and searched, but a needle may begin in it. */
  #tail = '';

  /** `needles`: folded, none empty. */
  constructor(needles: readonly string[]) {
    this.#needles = needles;
    this.#found = needles.map(() => false);
    this.#left = needles.length;
    const longest = needles.reduce((units, needle) => Math.max(units, needle.length), 1);
    this.#overlap = longest - 1;
    // A window at least as long as the overlap that it carries keeps the whole linear, whatever the needle's length.
    this.#windowUnits = Math.max(WINDOW_UNITS, longest);
  }

  isFound(needle: number): boolean {
    return this.#found[needle] === true;
  }

  /** Decoded text, not folded. Returns whether a needle was found that had not been before. */
  push(text: string): boolean {
    this.#raw += text;
    if (this.#raw.length < this.#windowUnits) return false;
    const cut = safeCut(this.#raw);
    const piece = this.#raw.slice(0, cut);
    this.#raw = this.#raw.slice(cut);
    return this.#search(piece);
  }

  /** After the last piece. */
  finish(): boolean {
    const piece = this.#raw;
    this.#raw = '';
    return this.#search(piece);
  }

  #search(piece: string): boolean {
    if (this.#left === 0) return false;
    const window = this.#tail + fold(piece);
    const before = this.#left;
    for (let needle = 0; needle < this.#needles.length; needle++) {
      if (this.#found[needle] === true || !window.includes(this.#needles[needle] as string)) continue;
      this.#found[needle] = true;
      this.#left--;
    }
    this.#tail = this.#overlap === 0 ? '' : window.slice(-this.#overlap);
    return this.#left < before;
  }
}

/** Where text can be cut so that its folded parts are the parts of the folded text: not inside a character, not before a combining mark. */
function safeCut(text: string): number {
  const lowest = Math.max(1, text.length - CUT_LOOKS_BACK);
  for (let at = text.length - 1; at >= lowest; at--) {
    const code = text.charCodeAt(at);
    if (code < 0x300) return at;
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    if (!isSurrogate && !MARK.test(text.charAt(at))) return at;
  }
  // Hundreds of marks on one letter: a match across this place may be missed if their order is not the canonical one.
  return text.length;
}
