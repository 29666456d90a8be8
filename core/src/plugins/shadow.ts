import { isDeepStrictEqual } from 'node:util';
import { type HookName, Refusal } from '@pochard/plugin-sdk';
import { type Take, withOwnSecrets } from './argument-limits.ts';
import type { HostClock } from './clock.ts';
import { HookUnavailable } from './errors.ts';
import type { GuardedTap } from './guard.ts';
import type { CallContext } from './hook-calls.ts';
import type { HookMetrics } from './metrics.ts';

const waitingAtOnce = 64; // more are let go: shadow work must not pile up behind the mail
const kept = 200;

/** A shadow tap that would have changed a result; what was said, never what it was about. */
export interface Divergence {
  readonly at: Date;
  readonly plugin: string;
  readonly hook: HookName;
  readonly live: string;
  readonly shadow: string;
}
/** How a call ended, live. */
export type LiveResult = { readonly error: Error } | { readonly answer: unknown };

/** Runs shadow taps after the live result, off the client's path, and keeps what they would have changed for `pochard plugin diff`. */
export class ShadowRuns {
  readonly #clock: HostClock;
  readonly #metrics: HookMetrics;
  readonly #divergences: Divergence[] = [];
  #waiting = 0;

  constructor(clock: HostClock, metrics: HookMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
  }
  get divergences(): readonly Divergence[] {
    return this.#divergences;
  }
  /** Secrets are copied now: their owner wipes them when the call has ended. */
  run(taps: readonly GuardedTap[], about: unknown, context: CallContext, live: LiveResult): void {
    for (const tap of taps) {
      if (this.#waiting >= waitingAtOnce) return;
      if (!tap.covers(about, context)) continue;
      this.#waiting += 1;
      const loans: Take[] = [];
      const own = withOwnSecrets(tap.record.hook, about, loans);
      const { inFlight } = tap.parts;
      inFlight.enter();
      this.#clock.after(0, () => {
        tap.run(own, { ...context, signal: undefined }, (error, answer) => {
          this.#waiting -= 1;
          for (const take of loans) take();
          inFlight.leave();
          if (!(error instanceof HookUnavailable)) this.#compare(tap, about, live, error === null ? { answer } : { error });
        });
      });
    }
  }
  #compare(tap: GuardedTap, about: unknown, live: LiveResult, shadow: LiveResult): void {
    if (!differs(tap.kind, about, live, shadow)) return;
    const { plugin, hook } = tap.record;
    this.#metrics.divergence(plugin, hook);
    if (this.#divergences.length === kept) this.#divergences.shift();
    this.#divergences.push({ at: this.#clock.date(), plugin, hook, live: said(live), shadow: said(shadow) });
  }
}

function differs(kind: string, about: unknown, live: LiveResult, shadow: LiveResult): boolean {
  if ('error' in shadow || 'error' in live) return said(live) !== said(shadow);
  // "Not mine", and a skipped fault, change nothing.
  if (shadow.answer === undefined) return false;
  if (kind === 'collect') {
    const found = Array.isArray(live.answer) ? live.answer : [];
    return Array.isArray(shadow.answer) && shadow.answer.some((item) => !found.some((other) => isDeepStrictEqual(item, other)));
  }
  const before = kind === 'transform' && live.answer === undefined ? about : live.answer;
  return !isDeepStrictEqual(before, shadow.answer);
}
function said(result: LiveResult): string {
  if ('answer' in result) return result.answer === undefined ? 'nothing' : 'an answer';
  return result.error instanceof Refusal ? `refused: ${result.error.code}` : result.error.name;
}
