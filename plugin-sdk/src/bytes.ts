/** Octets as they travel: streams, and content that can be opened again. */

export type Stream = AsyncIterable<Uint8Array>; // a Readable, a web stream, or an async generator

export interface ByteRange {
  readonly start: number;
  readonly end: number; // exclusive
}

/** Octets that can be opened again and again. Nothing is read before the first chunk is pulled. */
export interface Bytes {
  readonly sizeOctets: number;
  open(range?: ByteRange): Stream;
}
