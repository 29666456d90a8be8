/** Base subject (RFC 5256 §2.1): what is left of a subject when the marks of replies, forwards and mailing lists are taken away. */

export interface BaseSubject {
  /** Tabs and runs of spaces are one space, none at either end; letters as they came. */
  readonly text: string;
  /** A `Re:`, `Fwd:`, `(fwd)` or `[fwd: ...]` was removed: a reply or forward (RFC 5256 §3, REFERENCES, step 5). */
  readonly isReply: boolean;
}

const SPACE = 0x20;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const COLON = 0x3a;

const UNEVEN_SPACE = /[\t\r\n]| {2}/;
const FORWARD_TRAILER = '(fwd)';
const FORWARD_HEADER = '[fwd:';

/** `subject`: unfolded, encoded-words decoded. Linear. */
export function baseSubject(subject: string): BaseSubject {
  // Step 1. Line ends can only come from encoded-words here.
  const text = UNEVEN_SPACE.test(subject) ? subject.replaceAll(/[\t\r\n ]+/g, ' ') : subject;
  let start = 0;
  let end = text.length;
  let isReply = false;
  for (;;) {
    for (let trimmed = true; trimmed; ) {
      // Step 2.
      trimmed = false;
      while (end > start && text.charCodeAt(end - 1) === SPACE) end--;
      if (end - start >= FORWARD_TRAILER.length && hasWord(text, end - FORWARD_TRAILER.length, FORWARD_TRAILER)) {
        end -= FORWARD_TRAILER.length;
        isReply = trimmed = true;
      }
    }
    for (;;) {
      // Steps 3 to 5. Blobs that no reply mark follows now have none after some of them are gone: so they are looked at once.
      start = afterSpaces(text, start, end);
      const { next, last } = afterBlobs(text, start, end);
      const leader = afterReplyMark(text, next, end);
      if (leader < 0) {
        start = next < end ? next : last;
        break;
      }
      start = leader;
      isReply = true;
    }
    // Step 6.
    if (end - start <= FORWARD_HEADER.length || text.charCodeAt(end - 1) !== CLOSE || !hasWord(text, start, FORWARD_HEADER)) break;
    start += FORWARD_HEADER.length;
    end -= 1;
    isReply = true;
  }
  return { text: text.slice(start, end), isReply };
}

/** `word` is ASCII in lower case; of `text` only the ASCII letters are compared without case. */
function hasWord(text: string, at: number, word: string): boolean {
  for (let n = 0; n < word.length; n++) {
    const code = text.charCodeAt(at + n);
    if ((code >= 0x41 && code <= 0x5a ? code | 0x20 : code) !== word.charCodeAt(n)) return false;
  }
  return true;
}

function afterSpaces(text: string, from: number, end: number): number {
  let at = from;
  while (at < end && text.charCodeAt(at) === SPACE) at++;
  return at;
}

/** After `[...]` and spaces, or -1: inside there is no bracket. */
function afterBlob(text: string, from: number, end: number): number {
  if (from >= end || text.charCodeAt(from) !== OPEN) return -1;
  for (let at = from + 1; at < end; at++) {
    const code = text.charCodeAt(at);
    if (code === OPEN) return -1;
    if (code === CLOSE) return afterSpaces(text, at + 1, end);
  }
  return -1;
}

/** `last`: where the last of the blobs begins, which stays when it is all that there is (subj-middle). */
function afterBlobs(text: string, from: number, end: number): { readonly next: number; readonly last: number } {
  let last = from;
  let next = from;
  for (let after = afterBlob(text, next, end); after >= 0; after = afterBlob(text, next, end)) {
    last = next;
    next = after;
  }
  return { next, last };
}

/** After subj-refwd: `Re:`, `Fw:`, `Fwd:`, with spaces and one blob before the colon; -1 if there is none. */
function afterReplyMark(text: string, from: number, end: number): number {
  let at: number;
  if (end - from >= 4 && hasWord(text, from, 'fwd')) at = from + 3;
  else if (end - from >= 3 && (hasWord(text, from, 're') || hasWord(text, from, 'fw'))) at = from + 2;
  else return -1;
  at = afterSpaces(text, at, end);
  const blob = afterBlob(text, at, end);
  if (blob >= 0) at = blob;
  return at < end && text.charCodeAt(at) === COLON ? at + 1 : -1;
}
