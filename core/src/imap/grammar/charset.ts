/** CHARSET of SEARCH, SORT and THREAD (RFC 9051 §6.4.4): from octets to Unicode. */
import { isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';

/** @returns undefined if the octets are not text in the charset */
export type CharsetDecoder = (octets: Buffer) => string | undefined;

/** Those that Node decodes, by their preferred MIME names (IANA); the order is that of the BADCHARSET list. */
const TABLE_CHARSETS = [
  ...Array.from({ length: 16 }, (_, index) => `ISO-8859-${index + 1}`).filter((name) => name !== 'ISO-8859-1' && name !== 'ISO-8859-12'),
  ...Array.from({ length: 9 }, (_, index) => `WINDOWS-125${index}`),
  'WINDOWS-874',
  'KOI8-R',
  'KOI8-U',
  'IBM866',
  'MACINTOSH',
  'GBK',
  'GB18030',
  'BIG5',
  'EUC-JP',
  'ISO-2022-JP',
  'SHIFT_JIS',
  'EUC-KR',
] as const;

/** Other names that clients use. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['ASCII', 'US-ASCII'],
  ['ANSI_X3.4-1968', 'US-ASCII'],
  ['UTF8', 'UTF-8'],
  ['LATIN1', 'ISO-8859-1'],
  ['ISO_8859-1', 'ISO-8859-1'],
  ['GB2312', 'GBK'],
  ['CP1250', 'WINDOWS-1250'],
  ['CP1251', 'WINDOWS-1251'],
  ['CP1252', 'WINDOWS-1252'],
  ['SJIS', 'SHIFT_JIS'],
  ['KS_C_5601-1987', 'EUC-KR'],
]);

/** 8-bit text under US-ASCII, or under no charset, is UTF-8 or nothing: some clients forget to say so. */
export const decodeUtf8: CharsetDecoder = (octets) => (isUtf8(octets) ? octets.toString('utf8') : undefined);

function tableDecoder(name: string): CharsetDecoder {
  let decoder: TextDecoder | undefined;
  return (octets) => {
    if (!name.startsWith('ISO-2022') && isAscii(octets)) return octets.toString('latin1');
    decoder ??= new TextDecoder(name.toLowerCase(), { fatal: true });
    try {
      return decoder.decode(octets);
    } catch {
      return undefined; // a TypeError is how a fatal decoder says no
    }
  };
}

const decoders: ReadonlyMap<string, CharsetDecoder> = new Map<string, CharsetDecoder>([
  ['US-ASCII', decodeUtf8],
  ['UTF-8', decodeUtf8],
  // TextDecoder takes this name for Windows-1252.
  ['ISO-8859-1', (octets) => octets.toString('latin1')],
  ...TABLE_CHARSETS.map((name) => [name, tableDecoder(name)] as const),
]);

/** For `NO [BADCHARSET (...)]`. */
export const CHARSETS: readonly string[] = Object.freeze([...decoders.keys()]);

/** @returns undefined if we do not decode it */
export function charsetNamed(name: string): { readonly name: string; readonly decode: CharsetDecoder } | undefined {
  const upper = name.toUpperCase();
  const known = ALIASES.get(upper) ?? upper;
  const decode = decoders.get(known);
  return decode === undefined ? undefined : { name: known, decode };
}
