/** What a tap throws or returns to say more than an answer. */

/**
 * A permanent no, in words fit for the client. Any other error thrown by a tap is a fault of the plugin.
 * Control characters in the text become spaces and it is cut to 200 characters: it goes into reply lines.
 */
export class Refusal extends Error {
  readonly code: RefusalCode;
  constructor(code: RefusalCode, publicText: string, options?: ErrorOptions) {
    super(publicText.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, ' ').slice(0, 200), options);
    this.name = 'Refusal';
    this.code = code;
  }
}

export type RefusalCode = 'forbidden' | 'policy' | 'overquota' | 'toobig' | 'rate' | 'held' | 'unsupported';

/** The content cannot be opened now, because no session holds its key. A durable follower that lets it pass is called again after the next unlock. */
export class Locked extends Error {
  constructor(message = 'mail is locked') {
    super(message);
    this.name = 'Locked';
  }
}

/** What lies at rest was altered or torn: nothing of it may be shown. NO [SERVERBUG], 500, an entry in the audit log. */
export class Damaged extends Error {
  constructor(message = 'stored content is damaged', options?: ErrorOptions) {
    super(message, options);
    this.name = 'Damaged';
  }
}

/** The message was expunged since. A durable follower that lets it pass is done with the event. */
export class Gone extends Error {
  constructor(message = 'message is gone') {
    super(message);
    this.name = 'Gone';
  }
}

/**
 * What the tap depends on (a database, a service) is down: the client hears "later", as after a fault, but the tap is not to blame and is
 * asked again at the next call. A tap that throws it should do so quickly: remember for a second or so that the backend did not answer.
 */
export class Unavailable extends Error {
  constructor(message = 'a backend does not answer', options?: ErrorOptions) {
    super(message, options);
    this.name = 'Unavailable';
  }
}

/** Returned by hooks whose value may be dropped; `undefined` and `null` are mistakes there. */
export const drop: unique symbol = Symbol.for('pochard.drop');

export type Drop = typeof drop;
