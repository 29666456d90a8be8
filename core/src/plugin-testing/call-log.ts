/** How the taps' calls ended, for `TestHost.calls`. */
import type { HookName } from '@pochard/plugin-sdk';
import type { CallOutcome } from '@pochard/plugin-sdk/testing';
import type { HookMetrics, TapMeter } from '../plugins/metrics.ts';

export interface LoggedCall {
  readonly plugin: string;
  readonly outcome: CallOutcome;
  readonly ms: number;
}

export class CallLog implements HookMetrics {
  readonly #calls = new Map<HookName, LoggedCall[]>();
  /** All calls until now: still the same number means that nothing happened. */
  count = 0;

  of(hook: HookName): readonly LoggedCall[] {
    return [...(this.#calls.get(hook) ?? [])];
  }
  tap(plugin: string, hook: HookName): TapMeter {
    return {
      record: (outcome, seconds) => {
        this.count += 1;
        const call = { plugin, outcome, ms: seconds * 1000 };
        const calls = this.#calls.get(hook);
        if (calls === undefined) this.#calls.set(hook, [call]);
        else calls.push(call);
      },
    };
  }
  divergence(): void {
    // a shadow's difference is no call
  }
  counter(): { add(): void } {
    return {
      add() {
        // plugins count for an administrator; tests look at what they did
      },
    };
  }
}
