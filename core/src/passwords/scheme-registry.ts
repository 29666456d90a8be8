import { argon2Scheme } from './argon2-scheme.ts';
import { digestScheme, plainScheme, saltedDigestScheme } from './digest-schemes.ts';
import { PasswordError } from './password-error.ts';
import { pbkdf2Scheme } from './pbkdf2-scheme.ts';
import type { PasswordScheme, StoredPassword } from './scheme.ts';

const MAX_STORED_LENGTH = 2048;

/** The schemes that core knows of itself. */
export const coreSchemes: readonly PasswordScheme[] = [argon2Scheme, pbkdf2Scheme, saltedDigestScheme, digestScheme, plainScheme];

/** Which scheme a stored password is of. */
export class SchemeRegistry {
  readonly #byName = new Map<string, PasswordScheme>();
  readonly #byPrefix: (readonly [prefix: string, scheme: PasswordScheme])[] = [];

  /** @throws Error if two schemes have one name */
  constructor(schemes: readonly PasswordScheme[] = coreSchemes) {
    for (const scheme of schemes) {
      for (const name of scheme.names) {
        if (this.#byName.has(name)) throw new Error(`two password schemes are called ${name}`);
        this.#byName.set(name, scheme);
      }
      for (const prefix of scheme.prefixes) this.#byPrefix.push([prefix, scheme]);
    }
  }

  /** Takes `{SCHEME}value`, `{SCHEME.HEX}value`, or a bare value with a prefix that tells. @throws PasswordError `invalid-stored` */
  parse(text: string): { readonly scheme: PasswordScheme; readonly stored: StoredPassword } {
    if (text.length > MAX_STORED_LENGTH) throw new PasswordError('invalid-stored', 'stored password is too long');
    const [, label = '', suffix, rest = ''] = /^\{([A-Za-z0-9_-]{1,32})(?:\.([A-Za-z0-9]{1,8}))?\}(.*)$/s.exec(text) ?? [];
    if (label !== '') {
      const name = label.toUpperCase();
      // OpenLDAP and others write {CRYPT} before any modular format, so the prefix tells more than the name.
      const scheme = (name === 'CRYPT' ? this.#prefixed(rest) : undefined) ?? this.#byName.get(name);
      if (scheme === undefined) throw new PasswordError('invalid-stored', `no such password scheme: ${name}`);
      return {
        scheme,
        stored: { name: scheme.names.includes(name) ? name : properName(scheme, rest), encoding: encodingOf(suffix), encoded: rest },
      };
    }
    const scheme = this.#prefixed(text);
    if (scheme === undefined) throw new PasswordError('invalid-stored', 'stored password has no known scheme');
    return { scheme, stored: { name: properName(scheme, text), encoding: undefined, encoded: text } };
  }

  #prefixed(text: string): PasswordScheme | undefined {
    return this.#byPrefix.find(([prefix]) => text.startsWith(prefix))?.[1];
  }
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
