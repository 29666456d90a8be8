/** UID sets of response codes (RFC 4315 §4, RFC 7162). */
import type { Relocated } from '../mail/journal/account-mail.ts';
import { numberSet, runsOf } from './grammar/write.ts';

/** In the order given, which APPENDUID keeps. */
export function uidsText(uids: ArrayLike<number>): string {
  return numberSet(runsOf(uids));
}

/** `COPYUID uidvalidity from to`; both sets rise together. */
export function copyUidCode({ uidValidity, from, to }: Relocated): string {
  return `COPYUID ${uidValidity} ${numberSet(from)} ${numberSet(to)}`;
}
