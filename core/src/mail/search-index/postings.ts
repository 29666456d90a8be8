/** Documents of a segment in which a term stands: ascending ordinals, as deltas or, where that is shorter, as a bitmap. */
import type { OctetWriter } from '../journal/octets.ts';

const DELTAS = 0;
const BITMAP = 1;

/** One bit a document. */
export type DocSet = Uint32Array;

export function emptySet(docs: number): DocSet {
  return new Uint32Array((docs + 31) >>> 5);
}
export function addDoc(set: DocSet, doc: number): void {
  const at = doc >>> 5;
  set[at] = (set[at] as number) | (1 << (doc & 31));
}
export function hasDoc(set: DocSet, doc: number): boolean {
  return ((set[doc >>> 5] as number) & (1 << (doc & 31))) !== 0;
}
export function intersectInto(set: DocSet, other: DocSet): void {
  for (let at = 0; at < set.length; at++) set[at] = (set[at] as number) & (other[at] as number);
}
export function uniteInto(set: DocSet, other: DocSet): void {
  for (let at = 0; at < set.length; at++) set[at] = (set[at] as number) | (other[at] as number);
}
export function isEmptySet(set: DocSet): boolean {
  for (let at = 0; at < set.length; at++) if (set[at] !== 0) return false;
  return true;
}

function varintOctets(value: number): number {
  let octets = 1;
  for (let rest = value; rest >= 0x80; rest >>>= 7) octets++;
  return octets;
}

/** Writes them; returns how many octets they took. `ordinals`: ascending, below `docs`, without repeats. */
export function writePostings(out: OctetWriter, ordinals: ArrayLike<number>, docs: number): number {
  const bitmapOctets = (docs + 7) >>> 3;
  const before = out.length;
  let octets = 0;
  let last = -1;
  for (let at = 0; at < ordinals.length && octets < bitmapOctets; at++) {
    const ordinal = ordinals[at] as number;
    octets += varintOctets(ordinal - last - 1);
    last = ordinal;
  }
  if (octets < bitmapOctets) {
    out.octet(DELTAS);
    last = -1;
    for (let at = 0; at < ordinals.length; at++) {
      const ordinal = ordinals[at] as number;
      out.varint(ordinal - last - 1);
      last = ordinal;
    }
  } else {
    const bitmap = new Uint8Array(bitmapOctets);
    for (let at = 0; at < ordinals.length; at++) {
      const ordinal = ordinals[at] as number;
      bitmap[ordinal >>> 3] = (bitmap[ordinal >>> 3] as number) | (1 << (ordinal & 7));
    }
    out.octet(BITMAP);
    out.octets(bitmap);
  }
  return out.length - before;
}

/** Calls `visit` for each ordinal below `docs`; what is damaged beyond that is not believed. */
export function eachPosting(octets: Uint8Array, docs: number, visit: (ordinal: number) => void): void {
  const { length } = octets;
  if (octets[0] === BITMAP) {
    for (let at = 1; at < length; at++) {
      const bits = octets[at] as number;
      if (bits === 0) continue;
      for (let bit = 0; bit < 8; bit++) {
        const ordinal = (at - 1) * 8 + bit;
        if ((bits & (1 << bit)) !== 0 && ordinal < docs) visit(ordinal);
      }
    }
    return;
  }
  let ordinal = -1;
  for (let at = 1; at < length; ) {
    let delta = 0;
    for (let shift = 0; at < length; shift += 7) {
      const octet = octets[at++] as number;
      delta |= (octet & 0x7f) << shift;
      if (octet < 0x80) break;
    }
    ordinal += delta + 1;
    if (ordinal < 0 || ordinal >= docs) return;
    visit(ordinal);
  }
}

/** The same into a set, which is the loop that common words spend their time in. */
export function unitePostings(set: DocSet, octets: Uint8Array, docs: number): void {
  if (octets[0] === BITMAP) {
    const view = new Uint8Array(set.buffer, set.byteOffset, set.byteLength);
    const end = Math.min(octets.length - 1, view.length);
    for (let at = 0; at < end; at++) view[at] = (view[at] as number) | (octets[at + 1] as number);
    return;
  }
  eachPosting(octets, docs, (ordinal) => addDoc(set, ordinal));
}
