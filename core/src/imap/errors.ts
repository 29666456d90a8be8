/** How a command ends when it does not end with OK, and the one table from the services' errors to IMAP's words. */
import { MailError, type MailErrorCode } from '../mail/errors.ts';

/** NO: the command was understood and not done. `code` is a response code without brackets (RFC 9051 §7.1, RFC 5530). */
export class ImapNo extends Error {
  override readonly name = 'ImapNo';
  readonly code: string | undefined;
  constructor(code: string | undefined, publicText: string, options?: ErrorOptions) {
    super(publicText, options);
    this.code = code;
  }
}

/** BAD: the command makes no sense here or has a wrong argument. Counts as a bad command. */
export class ImapBad extends Error {
  override readonly name = 'ImapBad';
  readonly code: string | undefined;
  constructor(publicText: string, code?: string) {
    super(publicText);
    this.code = code;
  }
}

/** Ends the session: untagged BYE, and the connection closes. */
export class ImapBye extends Error {
  override readonly name = 'ImapBye';
  readonly code: string | undefined;
  constructor(code: string | undefined, publicText: string, options?: ErrorOptions) {
    super(publicText, options);
    this.code = code;
  }
}

/** The connection is gone: nothing can be answered any more. */
export class ConnectionGone extends Error {
  override readonly name = 'ConnectionGone';
}

/** Response codes by error (RFC 5530 unless said). `undefined`: plain NO. */
export const responseCodes = {
  credentials: 'AUTHENTICATIONFAILED',
  disabled: 'AUTHORIZATIONFAILED',
  unavailable: 'UNAVAILABLE',
  locked: 'UNAVAILABLE',
  'no-such-account': 'NONEXISTENT',
  'no-such-recipient': 'NONEXISTENT',
  'no-such-mailbox': 'NONEXISTENT',
  'no-such-target': 'TRYCREATE', // RFC 9051 §7.1
  'mailbox-exists': 'ALREADYEXISTS',
  taken: 'ALREADYEXISTS',
  'invalid-name': 'CANNOT',
  'not-selectable': 'NONEXISTENT', // a \Noselect name has no mailbox (RFC 9051 §6.3.2)
  'has-children': 'HASCHILDREN', // RFC 9051 §7.1
  'read-only': 'NOPERM',
  'over-quota': 'OVERQUOTA',
  'too-big': 'TOOBIG', // RFC 7889
  limit: 'LIMIT',
  rate: 'LIMIT',
  forbidden: 'NOPERM',
  policy: 'NOPERM',
  held: 'NOPERM',
  unsupported: 'CANNOT',
  expunged: 'EXPUNGEISSUED',
  invalid: 'CLIENTBUG',
  damaged: 'CORRUPTION',
  bug: 'SERVERBUG',
} as const satisfies Record<MailErrorCode, string | undefined>;

/** What a client is told of an error of the services. */
export function noFor(error: MailError): ImapNo {
  return new ImapNo(responseCodes[error.code], error.message, { cause: error });
}

/** Is it the server's fault, so that the log must know? */
export function isFault(error: unknown): boolean {
  if (error === undefined) return false;
  if (error instanceof MailError) return error.code === 'bug' || error.code === 'damaged';
  return !(error instanceof ImapNo || error instanceof ImapBad || error instanceof ImapBye || error instanceof ConnectionGone);
}
