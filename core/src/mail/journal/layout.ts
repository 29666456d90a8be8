/**
 * A message in packed state: 32 octets, eight little-endian 32-bit words. Chunk n of a mailbox holds the live UIDs with (uid-1)>>9 = n,
 * ascending; the same octets lie in memory and in the store.
 */
export const WORDS = 8;
/** UIDs that share a chunk. */
export const CHUNK_UIDS = 512;

export const FLAGS = 0;
export const SIZE = 1;
/** INTERNALDATE, seconds since 1970. */
export const DATE = 2;
/** SAVEDATE, seconds since 1970. */
export const SAVED = 3;
export const MODSEQ_LOW = 4;
export const CONTENT_LOW = 5;
/** Bits 32-47 of MODSEQ (low half) and of the content id (high half). */
export const HIGH = 6;
/** Low half: (uid-1) & 511. High half: kept zero. */
export const UID_OFFSET = 7;

const TWO_32 = 0x1_0000_0000;

export function chunkOf(uid: number): number {
  return (uid - 1) >>> 9;
}
export function uidAtRow(words: Uint32Array, at: number, chunk: number): number {
  return chunk * CHUNK_UIDS + (words[at + UID_OFFSET] as number) + 1;
}
export function modSeqAtRow(words: Uint32Array, at: number): number {
  return ((words[at + HIGH] as number) & 0xffff) * TWO_32 + (words[at + MODSEQ_LOW] as number);
}
export function contentAtRow(words: Uint32Array, at: number): number {
  return ((words[at + HIGH] as number) >>> 16) * TWO_32 + (words[at + CONTENT_LOW] as number);
}
