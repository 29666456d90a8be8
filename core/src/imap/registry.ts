/** The table of commands, and what follows from their declarations. */
import type { Command, SessionState } from './command.ts';
import type { ImapSession } from './session.ts';

/** A capability that is no command's: shown when it holds for the session. */
export interface Feature {
  readonly capability: string;
  /** Absent: always. */
  readonly isOffered?: (session: ImapSession) => boolean;
}

function isAfterLogin(session: ImapSession): boolean {
  return session.login !== undefined;
}

export class CommandRegistry {
  readonly #commands = new Map<string, Command>();
  readonly #beforeLogin: string[] = [];
  readonly #afterLogin: string[] = [];
  readonly #features: readonly Feature[];

  /** @throws Error when two commands have one name */
  constructor(commands: readonly Command[], features: readonly Feature[]) {
    this.#features = features;
    for (const command of commands) {
      this.#add(command.name, command);
      if (command.uidForm === true) this.#add(`UID ${command.name}`, command);
      const shown = command.capability === undefined ? [] : [command.capability].flat();
      for (const name of shown) {
        if (command.shown === 'always') pushOnce(this.#beforeLogin, name);
        pushOnce(this.#afterLogin, name);
      }
    }
  }

  #add(name: string, command: Command): void {
    if (this.#commands.has(name)) throw new Error(`two commands are called ${name}`);
    this.#commands.set(name, command);
  }

  find(name: string): Command | undefined {
    return this.#commands.get(name);
  }

  get names(): Iterable<string> {
    return this.#commands.keys();
  }

  /** In the order of declaration, IMAP4rev1 first. */
  capabilities(session: ImapSession): string[] {
    const names = this.#features
      .filter(({ isOffered }) => isOffered === undefined || isOffered(session))
      .map(({ capability }) => capability);
    for (const name of isAfterLogin(session) ? this.#afterLogin : this.#beforeLogin) pushOnce(names, name);
    return names;
  }
}

function pushOnce(names: string[], name: string): void {
  if (!names.includes(name)) names.push(name);
}

/** Is the command allowed now? A selected session is an authenticated one too. */
export function isAllowed(states: readonly SessionState[], state: SessionState): boolean {
  return states.includes(state) || (state === 'selected' && states.includes('authenticated'));
}
