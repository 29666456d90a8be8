/** Ids of documents: text whose order is the order of what it stands for, and whose beginning is the account. */
import type { AccountId, BlobId, ContentId, MailboxId, Seq } from '../store.ts';

/** The half-open range of ids that start with `prefix`, which ends in '/' (the octet after it is '0'). */
export interface KeyRange {
  readonly $gte: string;
  readonly $lt: string;
}
export function under(prefix: `${string}/`): KeyRange {
  return { $gte: prefix, $lt: `${prefix.slice(0, -1)}0` };
}
export function accountRange(account: AccountId): KeyRange {
  return under(`${account}/`);
}
export function accountOf(key: string): AccountId {
  return key.slice(0, key.indexOf('/')) as AccountId;
}

const SEQ_DIGITS = 14;
export function slotKey(account: AccountId, seq: Seq): string {
  return `${account}/${seq.toString(16).padStart(SEQ_DIGITS, '0')}`;
}
export function seqOf(key: string): Seq {
  return Number.parseInt(key.slice(key.indexOf('/') + 1), 16);
}

export function contentKey(account: AccountId, id: ContentId | number): string {
  return `${account}/${id.toString(16).padStart(12, '0')}`;
}
export function contentOf(key: string): ContentId {
  return Number.parseInt(key.slice(key.indexOf('/') + 1), 16) as ContentId;
}
export function pieceKey(of: string, n: number): string {
  return `${of}/${n.toString(16).padStart(6, '0')}`;
}

export function boxKey(account: AccountId, box: MailboxId): string {
  return `${account}/${box.toString(16).padStart(12, '0')}`;
}
export function chunkKey(account: AccountId, box: MailboxId, n: number): string {
  return pieceKey(boxKey(account, box), n);
}
export function chunkOf(key: string): number {
  return Number.parseInt(key.slice(key.lastIndexOf('/') + 1), 16);
}

export function edgeKey(blob: BlobId, content: string): string {
  return `${blob}/${content}`;
}

/**
 * Any Unicode text, lone surrogates and NUL too, as printable ASCII in the order of its code units: BSON text is UTF-8, which has another
 * order and no lone surrogates. What is not printable becomes a character below or above all others and four hex digits.
 */
export function encodeText(text: string): string {
  if (/^[!-}]*$/.test(text)) return text;
  let encoded = '';
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x21 && unit <= 0x7d) encoded += text[at];
    else encoded += (unit < 0x21 ? ' ' : '~') + unit.toString(16).padStart(4, '0');
  }
  return encoded;
}
export function decodeText(encoded: string): string {
  if (!/[ ~]/.test(encoded)) return encoded;
  return encoded.replace(/[ ~]([0-9a-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)));
}
/** Above all that {@link encodeText} gives. */
export const AFTER_TEXT = '\x7f';
