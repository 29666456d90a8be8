import type { Awaitable } from '@pochard/plugin-sdk';
import type { TapDone } from './guard.ts';

/** Makes a value of a callback: at once when it is called at once, so that a call which nobody holds up makes no promise. Never throws. */
export function settled(start: (done: TapDone) => void): Awaitable<unknown> {
  let state: 'open' | 'awaited' | 'done' = 'open';
  let failure: Error | null = null;
  let value: unknown;
  let resolve: (value: unknown) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  start((error, answer) => {
    if (state === 'awaited') {
      if (error === null || error === undefined) resolve(answer);
      else reject(error);
    }
    state = 'done';
    failure = error;
    value = answer;
  });
  if (isDone(state)) return failure === null || failure === undefined ? value : Promise.reject(failure);
  state = 'awaited';
  return new Promise((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
}
/** Apart, because the compiler does not see that the callback may have run. */
function isDone(state: string): boolean {
  return state === 'done';
}
