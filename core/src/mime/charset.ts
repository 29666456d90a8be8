import { isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import iconv from 'iconv-lite';
import { asBuffer } from './octets.ts';

/** Decodes the octets of one text in pieces; a character may be cut by a piece. */
export interface CharsetDecoder {
  write(octets: Uint8Array): string;
  end(): string;
}

/**
 * Decoder of a charset by its MIME name: what the platform knows (WHATWG names), then iconv-lite, then windows-1252 for unknown names.
 * Never throws; what cannot be decoded becomes U+FFFD. `us-ascii` and no name at all mean "guess", see `guessDecoder`.
 */
export function charsetDecoder(charset: string | undefined): CharsetDecoder {
  const name = normaliseCharset(charset);
  if (name === '' || name === 'us-ascii' || name === 'ascii') return guessDecoder();
  const platform = platformDecoder(name);
  if (platform !== undefined) return platform;
  if (iconv.encodingExists(name)) {
    const stream = iconv.getDecoder(name);
    return { write: (octets) => stream.write(asBuffer(octets)), end: () => stream.end() ?? '' };
  }
  return guessDecoder();
}

/** Decodes a whole text. */
export function decodeCharset(octets: Uint8Array, charset: string | undefined): string {
  const name = normaliseCharset(charset);
  if (name === 'utf-8' || name === 'utf8') return asBuffer(octets).toString('utf8', 0, octets.length);
  if (name === '' || name === 'us-ascii' || name === 'ascii') return decodeGuessed(octets);
  const decoder = charsetDecoder(name);
  return decoder.write(octets) + decoder.end();
}

/** Undeclared octets: UTF-8 if they are valid UTF-8, else windows-1252. */
export function decodeGuessed(octets: Uint8Array): string {
  const buffer = asBuffer(octets);
  return isUtf8(buffer) ? buffer.toString('utf8', 0, buffer.length) : new TextDecoder('windows-1252').decode(buffer);
}

/** Lower case without quotes, white space or RFC 2231 language; bounded, since it goes into lookups. */
function normaliseCharset(charset: string | undefined): string {
  if (charset === undefined) return '';
  const name = charset
    .slice(0, 64)
    .replaceAll(/["'\s]/g, '')
    .toLowerCase();
  const star = name.indexOf('*');
  return star < 0 ? name : name.slice(0, star);
}

function platformDecoder(name: string): CharsetDecoder | undefined {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(name);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // a name that the platform does not know
    throw error;
  }
  return { write: (octets) => decoder.decode(octets, { stream: true }), end: () => decoder.decode() };
}

/** Chunks are judged one by one from the first that is not UTF-8 on; a character cut at the end of a chunk is carried over. */
function guessDecoder(): CharsetDecoder {
  let rest: Buffer = Buffer.alloc(0);
  let single: TextDecoder | undefined;
  const decode = (octets: Buffer): string => {
    if (single === undefined && !isUtf8(octets)) single = new TextDecoder('windows-1252');
    return single === undefined ? octets.toString('utf8', 0, octets.length) : single.decode(octets);
  };
  return {
    write(octets) {
      const all = rest.length === 0 ? asBuffer(octets) : Buffer.concat([rest, octets]);
      const end = single === undefined ? all.length - incompleteUtf8(all) : all.length;
      rest = Buffer.from(all.subarray(end));
      return decode(all.subarray(0, end));
    },
    end() {
      const text = decode(rest);
      rest = Buffer.alloc(0);
      return text;
    },
  };
}

/** Octets at the end that may be the start of a longer UTF-8 character: 0 to 3. */
function incompleteUtf8(octets: Buffer): number {
  for (let back = 1; back <= 3 && back <= octets.length; back++) {
    const octet = octets[octets.length - back] ?? 0;
    if (octet < 0x80) return 0;
    if (octet >= 0xc0) return (octet >= 0xf0 ? 4 : octet >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}
