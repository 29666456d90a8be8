import { inspect } from 'node:util';
import type { Secret, SecretHandle } from '@pochard/plugin-sdk';

const shown = '[secret]';

/** What all secrets have in common: they do not show themselves, in no log, template or JSON. */
abstract class Closed {
  abstract get wiped(): boolean;
  toString(): string {
    return shown;
  }
  toJSON(): string {
    return shown;
  }
  [Symbol.toPrimitive](): string {
    return shown;
  }
  [inspect.custom](): string {
    return shown;
  }
}

/** Octets with an owner, who wipes them. */
class OwnedSecret extends Closed {
  #octets: Uint8Array | undefined;
  constructor(octets: Uint8Array) {
    super();
    this.#octets = octets;
  }
  override get wiped(): boolean {
    return this.#octets === undefined;
  }
  bytes(): Uint8Array {
    if (this.#octets === undefined) throw new TypeError('the secret has been wiped');
    return this.#octets;
  }
  copy(): Secret {
    return createSecret(Uint8Array.from(this.bytes()));
  }
  [Symbol.dispose](): void {
    this.#octets?.fill(0);
    this.#octets = undefined;
  }
}

/** What a plugin without `credentials` holds: good for `passwords`, for the length of one tap. */
class LentHandle extends Closed {
  #source: OwnedSecret | undefined;
  constructor(source: OwnedSecret) {
    super();
    this.#source = source;
  }
  override get wiped(): boolean {
    return this.#source === undefined || this.#source.wiped;
  }
  static octetsOf(handle: LentHandle): Uint8Array {
    if (handle.#source === undefined) throw new TypeError('the secret has been wiped: it is lent until the tap returns');
    return handle.#source.bytes();
  }
  static take(handle: LentHandle): void {
    handle.#source = undefined;
  }
}
/** The same for a plugin with `credentials`. */
class LentSecret extends LentHandle {
  bytes(): Uint8Array {
    return LentHandle.octetsOf(this);
  }
  copy(): Secret {
    return createSecret(Uint8Array.from(this.bytes()));
  }
  [Symbol.dispose](): void {
    LentHandle.take(this); // the octets are not the tap's to wipe: others are asked after it
  }
}

/** Takes the octets over: whoever made them must not use them again, and wipes them with `using` or `Symbol.dispose`. */
export function createSecret(octets: Uint8Array): Secret {
  return new OwnedSecret(octets) as unknown as Secret;
}

/**
 * The octets behind any secret or handle, for the core's password work. A view: copy it before awaiting.
 * @throws TypeError when it is wiped, or was not made here
 */
export function secretOctets(secret: SecretHandle): Uint8Array {
  const made: unknown = secret;
  if (made instanceof OwnedSecret) return made.bytes();
  if (made instanceof LentHandle) return LentHandle.octetsOf(made);
  throw new TypeError('not a secret of this server');
}

/** A secret for one tap; `take` ends the loan. */
export function lendSecret(secret: SecretHandle, isReadable: 'readable' | 'closed'): { readonly lent: Secret; take(): void } {
  const made: unknown = secret;
  if (!(made instanceof OwnedSecret)) throw new TypeError('not a secret of this server');
  const lent = isReadable === 'readable' ? new LentSecret(made) : new LentHandle(made);
  return { lent: lent as unknown as Secret, take: () => LentHandle.take(lent) };
}
