/** ASCII without capital letters needs no work at all. */
const NEEDS_FOLDING = /[A-Z\u0080-\uffff]/;
const NON_ASCII = /[\u0080-\uffff]/;

/**
 * The form in which text is compared by SEARCH, for the index, the verification and the query alike: compatibility-decomposed (NFKD), then
 * lower case, in the spirit of i;unicode-casemap (RFC 5051), which decomposes too; so `cafe` is found in `Café`. Folding the parts of a
 * text gives the parts of the folded text unless a cut separates a letter from its combining marks.
 */
export function fold(text: string): string {
  if (!NEEDS_FOLDING.test(text)) return text;
  if (!NON_ASCII.test(text)) return text.toLowerCase();
  // toLowerCase looks at neighbours only for the final sigma, which must not differ from the others in a substring search.
  return text.normalize('NFKD').toLowerCase().replaceAll('\u03c2', '\u03c3');
}
