import { argon2Scheme } from './argon2-scheme.ts';
import { bcryptScheme } from './bcrypt-scheme.ts';
import { desCryptScheme } from './des-crypt-scheme.ts';
import { digestScheme, plainScheme, saltedDigestScheme, saltedMd5Scheme } from './digest-schemes.ts';
import { fromSuffix, invalidStored } from './encodings.ts';
import { md5CryptScheme } from './md5-crypt-scheme.ts';
import { PasswordError } from './password-error.ts';
import { pbkdf2Scheme } from './pbkdf2-scheme.ts';
import { phpassScheme } from './phpass-scheme.ts';
import type { PasswordScheme, StoredPassword } from './scheme.ts';
import { scramScheme } from './scram-scheme.ts';
import { sha256CryptScheme, sha512CryptScheme } from './sha-crypt-scheme.ts';

const MAX_STORED_LENGTH = 2048;

/** The schemes that core knows of itself. */
export const coreSchemes: readonly PasswordScheme[] = [
  argon2Scheme,
  bcryptScheme,
  sha512CryptScheme,
  sha256CryptScheme,
  pbkdf2Scheme,
  scramScheme,
  md5CryptScheme,
  phpassScheme,
  desCryptScheme,
  saltedDigestScheme,
  saltedMd5Scheme,
  digestScheme,
  plainScheme,
];

interface Parsed {
  readonly scheme: PasswordScheme;
  readonly stored: StoredPassword;
}

/** Which scheme a stored password is of. */
export class SchemeRegistry {
  readonly #byName = new Map<string, PasswordScheme>();
  readonly #bare: PasswordScheme[] = [];

  /** @throws Error if two schemes have one name */
  constructor(schemes: readonly PasswordScheme[] = coreSchemes) {
    for (const scheme of schemes) {
      for (const name of scheme.names) {
        if (this.#byName.has(name)) throw new Error(`two password schemes are called ${name}`);
        this.#byName.set(name, scheme);
      }
      if (hasBareForm(scheme)) this.#bare.push(scheme);
    }
  }

  /** Takes `{SCHEME}value`, `{SCHEME.HEX}value`, or a bare value with a prefix that tells. @throws PasswordError `invalid-stored` */
  parse(text: string): Parsed {
    if (text.length > MAX_STORED_LENGTH) throw new PasswordError('invalid-stored', 'stored password is too long');
    const [, label = '', suffix, rest = ''] = /^\{([A-Za-z0-9_-]{1,32})(?:\.([A-Za-z0-9]{1,8}))?\}(.*)$/s.exec(text) ?? [];
    if (label !== '') return this.#named({ name: label.toUpperCase(), encoding: encodingOf(suffix), encoded: rest });

    const scheme = this.#looksLike(text);
    if (scheme === undefined) throw new PasswordError('invalid-stored', unsupportedCrypt(text) ?? 'stored password has no known scheme');
    return { scheme, stored: { name: properName(scheme, text), encoding: undefined, encoded: text } };
  }

  #named(labelled: StoredPassword): Parsed {
    const { name } = labelled;
    const named = this.#byName.get(name);
    const isAnyCrypt = name === 'MD5' || name.endsWith('CRYPT');
    if (named === undefined && name !== 'CRYPT') throw new PasswordError('invalid-stored', `no such password scheme: ${name}`);
    // Digests want octets and undo the suffix themselves; what can be bare is text within it.
    const isText = named === undefined || hasBareForm(named);
    const stored: StoredPassword = isText && labelled.encoding !== undefined ? textWithin(labelled) : labelled;
    // OpenLDAP writes {CRYPT}, and Dovecot reads any {...-CRYPT}, before any modular format: the value tells more than the name.
    const scheme = (isAnyCrypt ? this.#looksLike(stored.encoded) : undefined) ?? named;
    if (scheme === undefined) throw invalidStored(name, unsupportedCrypt(stored.encoded) ?? 'no known kind of crypt string');
    return { scheme, stored: scheme.names.includes(name) ? stored : { ...stored, name: properName(scheme, stored.encoded) } };
  }

  #looksLike(text: string): PasswordScheme | undefined {
    return this.#bare.find(({ prefixes, bareForm }) => prefixes.some((prefix) => text.startsWith(prefix)) || bareForm?.test(text));
  }
}

/** Kinds of crypt(3) that exist and are not checked here: no library for Node has them. */
const UNSUPPORTED: readonly (readonly [prefix: string, name: string])[] = [
  ['$y$', 'yescrypt ($y$)'],
  ['$gy$', 'gost-yescrypt ($gy$)'],
  ['$7$', 'scrypt ($7$)'],
  ['$sm3$', 'sm3crypt ($sm3$)'],
  ['$md5', 'SunMD5 ($md5)'],
  ['$sha1$', 'sha1crypt ($sha1$)'],
  ['_', 'BSDi DES (_)'],
];
function unsupportedCrypt(text: string): string | undefined {
  const found = UNSUPPORTED.find(([prefix]) => text.startsWith(prefix));
  return found === undefined ? undefined : `${found[1]} is not supported: such a password has to be set anew`;
}

function hasBareForm({ prefixes, bareForm }: PasswordScheme): boolean {
  return prefixes.length > 0 || bareForm !== undefined;
}

function textWithin(stored: StoredPassword): StoredPassword {
  return { name: stored.name, encoding: undefined, encoded: fromSuffix(stored, undefined).toString('latin1') };
}

/** `$argon2i$...` is `ARGON2I`; a value that does not spell a name of its scheme has the first. */
function properName({ names }: PasswordScheme, text: string): string {
  const spelt = /^\$?([A-Za-z0-9_-]{1,32})\$/.exec(text)?.[1]?.toUpperCase() ?? '';
  return names.find((name) => name === spelt) ?? names[0] ?? '';
}

function encodingOf(suffix: string | undefined): StoredPassword['encoding'] {
  if (suffix === undefined) return undefined;
  const name = suffix.toUpperCase();
  if (name === 'HEX') return 'HEX';
  if (name === 'B64' || name === 'BASE64') return 'B64';
  throw new PasswordError('invalid-stored', 'stored password has an unknown encoding');
}
