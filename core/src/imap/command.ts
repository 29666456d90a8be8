/** What an IMAP command is: a declaration, from which CAPABILITY, state checks, the UID form and BAD follow, and a handler. */
import type { MailAccess } from '../mail/services.ts';
import type { Literal } from '../net/line-reader.ts';
import { ImapBad } from './errors.ts';
import type { Reader } from './grammar/cursor.ts';
import type { Responder } from './responder.ts';
import type { SelectedMailbox } from './selected-mailbox.ts';
import type { ImapSession } from './session.ts';

/** RFC 9051 §3. */
export type SessionState = 'not-authenticated' | 'authenticated' | 'selected';

/** How a command ends that ends with OK. */
export interface Completion {
  /** Response code without brackets. */
  readonly code?: string;
  readonly text?: string;
  /** What the connection does once the tagged OK has been sent. */
  readonly after?: 'start-tls' | 'compress' | 'unauthenticate' | 'close';
}

export interface Command<Args = unknown> {
  /** As after the tag: `FETCH`; `UID EXPUNGE` for a command that has a UID form only. */
  readonly name: string;
  readonly states: readonly SessionState[];
  /** `UID <name>` is a command too. */
  readonly uidForm?: true;
  /** Names that CAPABILITY shows because this command is there; before login only when `shown` is `always`. */
  readonly capability?: string | readonly string[];
  readonly shown?: 'always' | 'after-login';
  /** Pending EXPUNGEs may go out with the reply (RFC 9051 §7.5.1). UID forms always may. */
  readonly mayExpunge: boolean;
  /** Looks at no message: the packed state of a quiet session need not be read for it. */
  readonly leavesAtRest?: true;
  /** Asked for news: what other instances have committed is looked for first. */
  readonly looksAnew?: true;
  /** Reports INPROGRESS (RFC 9585) while it runs: until then it writes whole lines only, or holds the reports back. */
  readonly tellsProgress?: true;
  /** Of everything after the name. */
  readonly args: Reader<Args>;
  handle(context: CommandContext, args: Args): Completion | undefined | Promise<Completion | undefined>;
}

/** Gives the handler its types from the argument reader. */
export function defineCommand<Args>(command: Command<Args>): Command<Args> {
  return command;
}

/** One command that runs. */
export class CommandContext {
  readonly session: ImapSession;
  readonly tag: string;
  /** The UID form was used: message sets hold UIDs, and so do answers. */
  readonly isUid: boolean;
  readonly literals: readonly Literal[];

  constructor(session: ImapSession, tag: string, isUid: boolean, literals: readonly Literal[]) {
    this.session = session;
    this.tag = tag;
    this.isUid = isUid;
    this.literals = literals;
  }

  get respond(): Responder {
    return this.session.respond;
  }

  /** @throws ImapBad before login, which the declared states rule out */
  get access(): MailAccess {
    const { login } = this.session;
    if (login === undefined) throw new ImapBad('Log in first');
    return login.access;
  }

  /** @throws ImapBad when no mailbox is selected, which the declared states rule out */
  get selected(): SelectedMailbox {
    const { selected } = this.session;
    if (selected === undefined) throw new ImapBad('No mailbox selected');
    return selected;
  }

  /** Aborted when the connection ends. */
  get signal(): AbortSignal {
    return this.session.signal;
  }

  /** What numbers mean in this command's message set. */
  get by(): 'uid' | 'sequence' {
    return this.isUid ? 'uid' : 'sequence';
  }
}
