/** Modified UTF-7 of mailbox names (RFC 3501 §5.1.3). Strict: a name has one encoding, so decode then encode gives the same octets. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,';
const AMPERSAND = 0x26;
const MINUS = 0x2d;

const values = new Int8Array(128).fill(-1);
for (let index = 0; index < ALPHABET.length; index += 1) values[ALPHABET.charCodeAt(index)] = index;

export interface Utf7Fault {
  readonly message: string;
  /** In octets from the start of the name. */
  readonly offset: number;
}

function isDirect(code: number): boolean {
  return code >= 0x20 && code <= 0x7e;
}

/** @returns the name, or what is wrong and where */
export function decodeModifiedUtf7(octets: Uint8Array): string | Utf7Fault {
  let name = '';
  let afterShift = false;
  for (let offset = 0; offset < octets.length; ) {
    const octet = octets[offset] ?? 0;
    if (octet !== AMPERSAND) {
      if (!isDirect(octet)) return { message: 'Wrong character in a mailbox name', offset };
      name += String.fromCharCode(octet);
      afterShift = false;
      offset += 1;
      continue;
    }
    const start = offset;
    if (octets[start + 1] === MINUS) {
      name += '&';
      afterShift = false;
      offset += 2;
      continue;
    }
    // Two shifts in a row could have been one: `&AOk-&AOk-`.
    if (afterShift) return { message: 'Superfluous shift in a mailbox name', offset };
    let bits = 0;
    let pending = 0;
    let units = '';
    offset += 1;
    for (; ; offset += 1) {
      const code = octets[offset];
      if (code === undefined) return { message: 'Shift in a mailbox name is not closed', offset: start };
      if (code === MINUS) break;
      const value = code < 128 ? (values[code] ?? -1) : -1;
      if (value < 0) return { message: 'Wrong base64 in a mailbox name', offset };
      pending = (pending << 6) | value;
      bits += 6;
      if (bits < 16) continue;
      bits -= 16;
      const unit = pending >>> bits;
      if (isDirect(unit)) return { message: 'Character of a mailbox name must not be encoded', offset };
      units += String.fromCharCode(unit);
      pending &= (1 << bits) - 1;
    }
    // What is left is padding: less than six bits, all zero.
    if (bits >= 6 || pending !== 0 || units === '') return { message: 'Wrong base64 in a mailbox name', offset };
    if (!units.isWellFormed()) return { message: 'Half a surrogate pair in a mailbox name', offset: start };
    name += units;
    afterShift = true;
    offset += 1;
  }
  return name;
}

/** The ASCII form of a name. @throws RangeError for a lone surrogate, which no reader lets in */
export function encodeModifiedUtf7(name: string): string {
  if (!name.isWellFormed()) throw new RangeError('Mailbox name with half a surrogate pair');
  let wire = '';
  for (let index = 0; index < name.length; ) {
    const code = name.charCodeAt(index);
    if (isDirect(code)) {
      wire += code === AMPERSAND ? '&-' : name.charAt(index);
      index += 1;
      continue;
    }
    wire += '&';
    let bits = 0;
    let pending = 0;
    for (; index < name.length && !isDirect(name.charCodeAt(index)); index += 1) {
      pending = (pending << 16) | name.charCodeAt(index);
      for (bits += 16; bits >= 6; ) {
        bits -= 6;
        wire += ALPHABET.charAt((pending >>> bits) & 63);
      }
      pending &= (1 << bits) - 1;
    }
    if (bits > 0) wire += ALPHABET.charAt((pending << (6 - bits)) & 63);
    wire += '-';
  }
  return wire;
}
