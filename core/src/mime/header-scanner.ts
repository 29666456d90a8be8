/** Outcome of a scanning step: the field goes on, the field has ended, or the syntax is broken at `position`. */
export const MORE = 1;
export const ENDED = 0;
export const BROKEN = -1;
export type Outcome = typeof MORE | typeof ENDED | typeof BROKEN;

const ATEXT = 1;
const TOKEN = 2;

/** atext of RFC 5322 §3.2.3 and token of RFC 2045 §5.1 by octet; octets above 127 count as both, since mail contains them. */
const CLASSES: Uint8Array = (() => {
  const classes = new Uint8Array(256);
  for (let code = 0x80; code < 0x100; code++) classes[code] = ATEXT | TOKEN;
  for (let code = 0x21; code < 0x7f; code++) {
    const character = String.fromCharCode(code);
    if (!'()<>[]:;@\\,."'.includes(character)) classes[code] = ATEXT;
    if (!'()<>@,;:\\"/[]?='.includes(character)) classes[code] = (classes[code] ?? 0) | TOKEN;
  }
  return classes;
})();

export function isAtext(code: number): boolean {
  return ((CLASSES[code] ?? 0) & ATEXT) !== 0;
}

function isToken(code: number): boolean {
  return ((CLASSES[code] ?? 0) & TOKEN) !== 0;
}

/**
 * Tolerant scanner of structured header fields (RFC 5322 §3.2, RFC 2045 §5.1) over a latin1 string, one character an octet.
 * Tokens are left in `text`; every method consumes what it looked at, so scanning is linear whatever comes.
 */
export class HeaderScanner {
  readonly value: string;
  position = 0;
  /** What the last token, phrase or string method read. */
  text = '';
  /** Content of the last comment that was skipped, for the `user@host (Name)` form. */
  lastComment = '';

  constructor(value: string) {
    this.value = value;
  }

  /** Code at the position, or -1 at the end. */
  peek(): number {
    return this.position < this.value.length ? this.value.charCodeAt(this.position) : -1;
  }

  /** Skips CFWS (RFC 5322 §3.2.2). */
  skipSpace(): Outcome {
    const { value } = this;
    while (this.position < value.length) {
      const code = value.charCodeAt(this.position);
      if (code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a) this.position++;
      else if (code !== 0x28) return MORE;
      else if (!this.#skipComment()) return BROKEN;
    }
    return ENDED;
  }

  #skipComment(): boolean {
    const { value } = this;
    let level = 1;
    let start = ++this.position;
    let content = '';
    for (; this.position < value.length; this.position++) {
      const code = value.charCodeAt(this.position);
      if (code === 0x28) level++;
      else if (code === 0x29) {
        if (--level > 0) continue;
        this.lastComment = content + value.slice(start, this.position);
        this.position++;
        return true;
      } else if (code === 0x5c) {
        content += value.slice(start, this.position);
        start = ++this.position;
      }
    }
    this.position = value.length;
    return false;
  }

  /** Reads a run of atext and dots, then CFWS. May read nothing. */
  atomOrDots(): Outcome {
    const { value } = this;
    const start = this.position;
    let at = start;
    for (; at < value.length; at++) {
      const code = value.charCodeAt(at);
      if (!isAtext(code) && code !== 0x2e) break;
    }
    this.position = at;
    this.text += value.slice(start, at);
    return this.skipSpace();
  }

  /** Reads one atom, then CFWS. */
  atom(): Outcome {
    const start = this.position;
    const end = this.#atomEnd(start);
    this.text = '';
    if (end === start) return BROKEN;
    this.position = end;
    this.text = this.value.slice(start, end);
    return this.skipSpace();
  }

  /** Reads a dot-atom; RFC 822 allows CFWS around the dots. Appends to `text`. */
  dotAtom(): Outcome {
    const { value } = this;
    if (!isAtext(this.peek())) return BROKEN;
    for (;;) {
      const start = this.position;
      let end = this.#atomEnd(start);
      // Dots between atoms without space around them need no look at each.
      while (value.charCodeAt(end) === 0x2e && isAtext(value.charCodeAt(end + 1))) end = this.#atomEnd(end + 1);
      this.position = end;
      this.text += value.slice(start, end);
      let outcome = this.skipSpace();
      if (outcome !== MORE) return outcome;
      if (this.peek() !== 0x2e) return MORE;
      this.position++;
      this.text += '.';
      outcome = this.skipSpace();
      if (outcome !== MORE) return outcome;
    }
  }

  #atomEnd(from: number): number {
    const { value } = this;
    let at = from;
    while (at < value.length && isAtext(value.charCodeAt(at))) at++;
    return at;
  }

  /** Reads a MIME token, dots included, then CFWS. May read nothing. */
  token(): Outcome {
    const { value } = this;
    const start = this.position;
    let at = start;
    while (at < value.length && isToken(value.charCodeAt(at))) at++;
    this.position = at;
    this.text = value.slice(start, at);
    return at === value.length ? ENDED : this.skipSpace();
  }

  /** Reads a quoted-string; line ends of folds are dropped. Appends to `text`. BROKEN (at the end) if the quote is not closed. */
  quotedString(): Outcome {
    const { value } = this;
    let start = ++this.position;
    for (; this.position < value.length; this.position++) {
      const code = value.charCodeAt(this.position);
      if (code === 0x22) {
        this.text += value.slice(start, this.position);
        this.position++;
        return this.skipSpace();
      }
      if (code === 0x0a) {
        const end = this.position > start && value.charCodeAt(this.position - 1) === 0x0d ? this.position - 1 : this.position;
        this.text += value.slice(start, end);
        start = this.position + 1;
      } else if (code === 0x5c) {
        this.text += value.slice(start, this.position);
        start = ++this.position;
      }
    }
    this.position = value.length;
    return BROKEN;
  }

  /** Reads a phrase (RFC 5322 §3.2.5, obsolete dots allowed); words are joined by one space. */
  phrase(): Outcome {
    this.text = '';
    const first = this.peek();
    if (first < 0) return ENDED;
    if (first === 0x2e) return BROKEN;
    for (;;) {
      const outcome = this.peek() === 0x22 ? this.quotedString() : this.atomOrDots();
      if (outcome !== MORE) return outcome;
      const next = this.peek();
      if (!isAtext(next) && next !== 0x22 && next !== 0x2e) return MORE;
      this.text += ' ';
    }
  }

  /** Reads the domain after an `@` at the position. */
  domain(): Outcome {
    this.position++;
    if (this.skipSpace() !== MORE) return BROKEN;
    return this.peek() === 0x5b ? this.#domainLiteral() : this.dotAtom();
  }

  #domainLiteral(): Outcome {
    const { value } = this;
    const start = this.position;
    for (; this.position < value.length; this.position++) {
      const code = value.charCodeAt(this.position);
      if (code === 0x5c) this.position++;
      else if (code === 0x5d) {
        this.position++;
        this.text += value.slice(start, this.position);
        return this.skipSpace();
      }
    }
    this.position = value.length;
    return BROKEN;
  }
}
