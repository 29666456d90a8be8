/** Domain errors of the mail services. Each protocol has one table from code to reply (`satisfies Record<MailErrorCode, ...>`). */

export type MailErrorCode =
  | 'credentials' // wrong user or password; never says which
  | 'disabled' // the account or the protocol is switched off for it
  | 'unavailable' // a backend is down, the outcome is unknown, a hook failed closed: try again
  | 'locked' // content cannot be opened in this session
  | 'no-such-account'
  | 'no-such-recipient'
  | 'no-such-mailbox'
  | 'no-such-target' // of COPY, MOVE, APPEND: may be created first
  | 'mailbox-exists'
  | 'taken' // a username, address or alias that is somebody's already
  | 'invalid-name'
  | 'not-selectable'
  | 'has-children'
  | 'read-only'
  | 'over-quota'
  | 'too-big'
  | 'limit' // a named limit of the configuration
  | 'rate'
  | 'forbidden'
  | 'policy' // refused by a plugin or by rule
  | 'held' // may not be removed (retention)
  | 'unsupported'
  | 'expunged' // the message has gone in the meantime
  | 'invalid' // the request makes no sense: bad value, bad message
  | 'damaged' // stored octets were altered or torn
  | 'bug';

/**
 * What went wrong, in words fit for the client. Never holds message content, search terms or secrets; details go to `cause` and the log.
 */
export class MailError extends Error {
  override name = 'MailError';
  readonly code: MailErrorCode;
  constructor(code: MailErrorCode, publicText: string, options?: ErrorOptions) {
    super(publicText, options);
    this.code = code;
  }
}
