import { fold } from '../../mime/fold.ts';

const UNEVEN_SPACE = /\t| {2}/;

/**
 * The form in which header text is compared, for fields and what is looked for in them alike (an index of headers must use it too): folded,
 * and each run of white space one space, since where a field was folded is no part of its value (RFC 5322 §2.2.3).
 */
export function foldHeader(text: string): string {
  const folded = fold(text);
  return UNEVEN_SPACE.test(folded) ? folded.replaceAll(/[\t ]+/g, ' ') : folded;
}
