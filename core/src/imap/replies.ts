/** From what a command throws to what its client reads. */
import { MailError } from '../mail/errors.ts';
import { asMailError } from '../mail/hook-errors.ts';
import type { Refusal } from '../net/line-reader.ts';
import { OutputClosed } from '../net/output.ts';
import type { Command } from './command.ts';
import { ConnectionGone, ImapBad, ImapBye, ImapNo, noFor } from './errors.ts';
import { BrokenReply } from './fetch/section-writer.ts';
import { BadCharset, ImapSyntaxError } from './grammar/syntax-error.ts';
import type { ImapSession } from './session.ts';

/** NO or BAD. `cause` is the error behind it; `isFault` says whether the log must know. */
export function replyTo(error: unknown): ImapBad | ImapNo {
  if (error instanceof BadCharset) return new ImapNo(`BADCHARSET (${error.charsets.join(' ')})`, 'Charset is not supported');
  if (error instanceof ImapSyntaxError) return new ImapBad(error.message);
  if (error instanceof ImapBad || error instanceof ImapNo) return error;
  if (error instanceof ImapBye) return new ImapNo(error.code, error.message, { cause: error });
  const known = asMailError(error);
  return known instanceof MailError ? noFor(known) : new ImapNo('SERVERBUG', 'Internal error', { cause: known });
}

/** The connection has gone: there is nobody to tell, and nothing to log. */
export function isQuiet(error: unknown): boolean {
  return error instanceof ConnectionGone || error instanceof OutputClosed || (error instanceof BrokenReply && isQuiet(error.cause));
}

/** Why a command is not allowed now. */
export function wrongState(command: Command, session: ImapSession): string {
  if (session.login === undefined) return 'Log in first';
  return command.states.includes('selected') ? 'No mailbox selected' : 'Already logged in';
}

/** What the line reader refused, as the error of its command. */
export function refusalError(refusal: Refusal): unknown {
  switch (refusal.reason) {
    case 'refused-by-owner':
      return refusal.because;
    case 'line-too-long':
      return new ImapBad('Command line too long', 'TOOBIG');
    case 'literal-too-large':
      return new ImapBad('Literal too large', 'TOOBIG'); // RFC 7888 §4
    case 'too-many-literals':
      return new ImapBad('Too many literals', 'LIMIT');
    case 'command-too-large':
      return new ImapBad('Command too large', 'TOOBIG');
  }
}
