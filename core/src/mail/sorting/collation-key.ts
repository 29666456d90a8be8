import { hash } from 'node:crypto';
import { fold } from '../../mime/fold.ts';

/** UTF-16 units of a text that decide its place; texts that differ later are still told apart, by a hash. Bounds the memory of a sort. */
const MAX_UNITS = 256;

const NON_ASCII = /[\u0080-\uffff]/;
const NOT_IN_ORDER = /[\ud800-\uffff]/;

/**
 * A string that is equal for texts that i;unicode-casemap (RFC 5051) takes for equal, and whose order under `<` is that of the collation:
 * capital letters (so `_` sorts after them), code points.
 */
export function collationKey(text: string): string {
  const folded = NON_ASCII.test(text) ? capitals(fold(text)) : text.toUpperCase();
  const key = folded.length <= MAX_UNITS ? folded : `${folded.slice(0, MAX_UNITS)}${hash('sha256', folded, 'base64')}`;
  return NOT_IN_ORDER.test(key) ? inCodePointOrder(key) : key;
}

/** RFC 5051 maps letter to letter: a sharp s, the only one that becomes two and is left of NFKD, stays. */
function capitals(folded: string): string {
  if (!folded.includes('\u00df')) return folded.toUpperCase();
  return folded
    .split('\u00df')
    .map((part) => part.toUpperCase())
    .join('\u00df');
}

/** UTF-16 has surrogates below U+E000 to U+FFFF, which they stand above: the two change places. */
function inCodePointOrder(text: string): string {
  let out = '';
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    out += code < 0xd800 ? text[at] : String.fromCharCode(code < 0xe000 ? code + 0x2000 : code - 0x800);
  }
  return out;
}
