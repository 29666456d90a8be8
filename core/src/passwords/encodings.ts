import { PasswordError } from './password-error.ts';
import type { StoredPassword } from './scheme.ts';

const base64Text = /^[A-Za-z0-9+/]*={0,2}$/;
const hexText = /^[0-9A-Fa-f]*$/;

export function invalidStored(name: string, what: string): PasswordError {
  return new PasswordError('invalid-stored', `stored password of scheme ${name}: ${what}`);
}

/** @throws PasswordError when `text` is not base64, with or without padding */
export function fromBase64(name: string, text: string): Buffer {
  const octets = Buffer.from(text, 'base64');
  const isWhole = base64Text.test(text) && octets.toString('base64').replaceAll('=', '') === text.replaceAll('=', '');
  if (!isWhole) throw invalidStored(name, 'not base64');
  return octets;
}

/** "Adapted" base64 of passlib: `.` for `+`, no padding. Plain base64 is taken too. */
export function fromAdaptedBase64(name: string, text: string): Buffer {
  return fromBase64(name, text.replaceAll('.', '+'));
}

/** @throws PasswordError when `text` is not hexadecimal of whole octets */
export function fromHex(name: string, text: string): Buffer {
  if (!hexText.test(text) || text.length % 2 !== 0) throw invalidStored(name, 'not hexadecimal');
  return Buffer.from(text, 'hex');
}

/** By the suffix of the scheme; without one, `hexLength` digits are hexadecimal (as Dovecot has it) and all else is base64. */
export function fromSuffix({ name, encoding, encoded }: StoredPassword, hexLength: number | undefined): Buffer {
  if (encoding === 'HEX' || (encoding === undefined && encoded.length === hexLength && hexText.test(encoded)))
    return fromHex(name, encoded);
  return fromBase64(name, encoded);
}

/** A positive decimal number of at most nine digits; `undefined` for anything else. */
export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
