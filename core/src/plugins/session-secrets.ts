import type { Login, Session, SessionSecret } from '@pochard/plugin-sdk';
import { sessionOfOpenLogin } from './identities.ts';
import type { LogSource } from './log.ts';

interface Held {
  readonly value: unknown;
  wipe(): void;
}
/** What plugins keep for as long as a session lives. Only who made a place can read it; a reload finds what the one before attached. */
export class SessionSecrets {
  readonly #log: LogSource;
  readonly #held = new Map<Session, Map<string, Held>>();

  constructor(log: LogSource) {
    this.#log = log;
  }
  /** `place` names it: the plugin's entry and the number of the call, so that the same place is found after a reload. */
  open<T>(place: string, wipe: (value: T) => void, attaches: 'attaches' | 'shadow'): SessionSecret<T> {
    return {
      attach: (login: Login, value: T) => {
        const session = sessionOfOpenLogin(login);
        if (attaches === 'shadow') return;
        const places = this.#held.get(session) ?? new Map<string, Held>();
        this.#held.set(session, places);
        this.#wipeOne(place, places);
        places.set(place, { value, wipe: () => wipe(value) });
      },
      of: (session: Session | undefined) =>
        session === undefined ? undefined : (this.#held.get(session)?.get(place)?.value as T | undefined),
    };
  }
  /** At logout, disconnect, idle limit, credential change, disabling and at the age limit. */
  wipe(session: Session): void {
    const places = this.#held.get(session);
    if (places === undefined) return;
    for (const place of [...places.keys()]) this.#wipeOne(place, places);
    this.#held.delete(session);
  }
  /** What belongs to entries that are gone after a reload; `isThere` is asked with each place. */
  wipeUnless(isThere: (place: string) => boolean): void {
    for (const [session, places] of this.#held) {
      for (const place of [...places.keys()]) if (!isThere(place)) this.#wipeOne(place, places);
      if (places.size === 0) this.#held.delete(session);
    }
  }
  wipeAll(): void {
    this.wipeUnless(() => false);
  }
  #wipeOne(place: string, places: Map<string, Held>): void {
    const held = places.get(place);
    if (held === undefined) return;
    places.delete(place);
    try {
      held.wipe();
    } catch (error) {
      // The others must be wiped all the same.
      this.#log.child({ place }).error('session secret could not be wiped', { error });
    }
  }
}
