/** What hooks throw, as the services' own errors. */
import { Damaged, Gone, Locked, Refusal, type RefusalCode } from '@pochard/plugin-sdk';
import { HookUnavailable } from '../plugins/errors.ts';
import { OutcomeUnknown, RecordConflict, StoreDamaged, StoreUnavailable } from '../store/store.ts';
import { MailError, type MailErrorCode } from './errors.ts';

const REFUSALS = {
  forbidden: 'forbidden',
  policy: 'policy',
  overquota: 'over-quota',
  toobig: 'too-big',
  rate: 'rate',
  held: 'held',
  unsupported: 'unsupported',
} as const satisfies Record<RefusalCode, MailErrorCode>;

/** Always an Error to throw: a MailError where the meaning is known, else the error itself (our fault, logged with its cause). */
export function asMailError(error: unknown): Error {
  if (error instanceof MailError) return error;
  if (error instanceof Refusal) return new MailError(REFUSALS[error.code], error.message, { cause: error });
  if (error instanceof HookUnavailable) return new MailError('unavailable', 'Temporarily unavailable', { cause: error });
  if (error instanceof Locked) return new MailError('locked', 'This mail cannot be opened in this session', { cause: error });
  if (error instanceof Damaged || error instanceof StoreDamaged) {
    return new MailError('damaged', 'The stored message is damaged', { cause: error });
  }
  if (error instanceof Gone) return new MailError('expunged', 'The message is gone', { cause: error });
  if (error instanceof StoreUnavailable || error instanceof OutcomeUnknown || error instanceof RecordConflict) {
    return new MailError('unavailable', 'Temporarily unavailable', { cause: error });
  }
  return error instanceof Error ? error : new Error('something other than an error was thrown', { cause: error });
}

/** Runs a hook's call; nothing is awaited when it answered at once. @throws what {@link asMailError} makes of its error */
export function guarded<T>(call: () => T | Promise<T>): T | Promise<T> {
  try {
    const answer = call();
    return answer instanceof Promise
      ? answer.catch((error: unknown) => {
          throw asMailError(error);
        })
      : answer;
  } catch (error) {
    throw asMailError(error);
  }
}
