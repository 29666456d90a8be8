/** number, nz-number, number64 and mod-sequences (RFC 9051 §9, RFC 7162 §7). */
import type { Cursor, Reader } from './cursor.ts';

const UINT32_MAX = 0xffff_ffff;
/** 2^63-1, the largest number64; JavaScript rounds it, so sixteen digits and more are compared as text. */
const INT63_MAX_DIGITS = '9223372036854775807';

function digits(cursor: Cursor): number {
  const start = cursor.offset;
  const text = cursor.text;
  let offset = start;
  for (let octet = text[offset]; octet !== undefined && octet >= 0x30 && octet <= 0x39; octet = text[offset]) offset += 1;
  if (offset === start) cursor.fail('Number expected');
  cursor.offset = offset;
  return start;
}

/** number: 0 to 2^32-1. */
export const number: Reader<number> = (cursor) => {
  const start = digits(cursor);
  let value = 0;
  for (let offset = start; offset < cursor.offset; offset += 1) {
    value = value * 10 + (cursor.text[offset] ?? 0) - 0x30;
    if (value > UINT32_MAX) cursor.fail('Number too large', start);
  }
  return value;
};

/** nz-number: 1 to 2^32-1. */
export const nzNumber: Reader<number> = (cursor) => {
  const start = cursor.offset;
  const value = number(cursor);
  return value === 0 ? cursor.fail('Number must not be zero', start) : value;
};

/** number64 and mod-sequence-valzer: 0 to 2^63-1. Above 2^53-1 it becomes 2^53-1, which no counter of ours reaches. */
export const number64: Reader<number> = (cursor) => {
  let start = digits(cursor);
  while (cursor.text[start] === 0x30 && start < cursor.offset - 1) start += 1;
  const length = cursor.offset - start;
  if (length > 19) cursor.fail('Number too large', start);
  if (length > 15) {
    const text = cursor.since(start);
    if (length === 19 && text > INT63_MAX_DIGITS) cursor.fail('Number too large', start);
    return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
  }
  let value = 0;
  for (let offset = start; offset < cursor.offset; offset += 1) value = value * 10 + (cursor.text[offset] ?? 0) - 0x30;
  return value;
};

/** mod-sequence-value: as number64, but not zero. */
export const modSequence: Reader<number> = (cursor) => {
  const start = cursor.offset;
  const value = number64(cursor);
  return value === 0 ? cursor.fail('Number must not be zero', start) : value;
};
