import type { Account, AccountCall, Actor, Call, Log, Session } from '@pochard/plugin-sdk';
import type { CallContext } from './hook-calls.ts';

/** What a call is made from. Its members are looked at when the plugin looks at them. */
export interface CallSource {
  readonly context: CallContext;
  /** Aborts at the deadline; made on first use, for most taps never look. */
  readonly deadline: AbortSignal;
  log(session: Session | undefined): Log;
  /** Members of the hook's own call, limited to what the plugin may see. */
  extra(name: ExtraName): unknown;
}
/** Members that some hooks' calls have beside those of `AccountCall`. */
export type ExtraName =
  | 'address'
  | 'delivery'
  | 'verdicts'
  | 'mailboxes'
  | 'submission'
  | 'channel'
  | 'attempt'
  | 'binding'
  | 'notes'
  | 'selected'
  | 'untagged'
  | 'print'
  | 'reply';

/** The second argument of every tap: one class for all hooks, because a call that nobody looks at should cost one allocation. */
export class TapCall implements Call {
  readonly #source: CallSource;
  #signal: AbortSignal | undefined;
  #log: Log | undefined;

  constructor(source: CallSource) {
    this.#source = source;
  }
  get signal(): AbortSignal {
    const outer = this.#source.context.signal;
    this.#signal ??= outer === undefined ? this.#source.deadline : AbortSignal.any([outer, this.#source.deadline]);
    return this.#signal;
  }
  get log(): Log {
    this.#log ??= this.#source.log(this.session);
    return this.#log;
  }
  get actor(): Actor {
    return this.#source.context.actor;
  }
  get session(): Session | undefined {
    return this.#source.context.session;
  }
  get account(): Account | undefined {
    return this.#source.context.account;
  }
  get address(): unknown {
    return this.#source.extra('address');
  }
  get delivery(): unknown {
    return this.#source.extra('delivery');
  }
  get verdicts(): unknown {
    return this.#source.extra('verdicts');
  }
  get mailboxes(): unknown {
    return this.#source.extra('mailboxes');
  }
  get submission(): unknown {
    return this.#source.extra('submission');
  }
  get channel(): unknown {
    return this.#source.extra('channel');
  }
  get attempt(): unknown {
    return this.#source.extra('attempt');
  }
  get binding(): unknown {
    return this.#source.extra('binding');
  }
  get notes(): unknown {
    return this.#source.extra('notes');
  }
  get selected(): unknown {
    return this.#source.extra('selected');
  }
  get untagged(): unknown {
    return this.#source.extra('untagged');
  }
  get print(): unknown {
    return this.#source.extra('print');
  }
  get reply(): unknown {
    return this.#source.extra('reply');
  }
  static contextOf(call: TapCall): CallContext {
    const { context } = call.#source;
    return { ...context, signal: call.signal };
  }
}

/**
 * The core's side of a call that a plugin passes on, to `messages.open` or `mail.store`: its actor and session, with the tap's deadline.
 * @throws TypeError unless the plugin was given it: an actor cannot be made up
 */
export function contextOfCall(call: Call): CallContext {
  if (!(call instanceof TapCall)) throw new TypeError('pass the call that the tap was given');
  return TapCall.contextOf(call);
}
/** @throws TypeError also when the call has no account */
export function contextOfAccountCall(call: AccountCall): CallContext & { readonly account: Account } {
  const context = contextOfCall(call);
  if (context.account === undefined) throw new TypeError('this call has no account');
  return { ...context, account: context.account };
}
