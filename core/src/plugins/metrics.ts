import type { HookName } from '@pochard/plugin-sdk';

/**
 * How a tap's call ended. `unavailable`: what it depends on is down. `unchecked`: the breaker was open, it was not called. `aborted`: the client went first, nobody's fault.
 * `late` and `again` come beside the outcome that counted: an answer after the deadline, a second answer.
 */
export type TapOutcome =
  | 'ok'
  | 'not-mine'
  | 'refused'
  | 'locked'
  | 'damaged'
  | 'gone'
  | 'fault'
  | 'timeout'
  | 'unavailable'
  | 'unchecked'
  | 'aborted'
  | 'late'
  | 'again';

/** One tap's share of `pochard_hook_seconds{plugin,hook,outcome}`, looked up once so that a call costs no label search. */
export interface TapMeter {
  record(outcome: TapOutcome, seconds: number): void;
}

/** What the plugin host counts; bound to Prometheus outside. */
export interface HookMetrics {
  tap(plugin: string, hook: HookName): TapMeter;
  /** `pochard_hook_divergence{plugin,hook}`: a shadow tap would have changed the result. */
  divergence(plugin: string, hook: HookName): void;
  /** `pochard_plugin_<plugin>_<name>`; the same counter again after a reload. */
  counter(plugin: string, name: string, help: string): { add(n?: number): void };
}

const noMeter: TapMeter = { record() {} };
/** Counts nothing. */
export const noMetrics: HookMetrics = { tap: () => noMeter, divergence() {}, counter: () => ({ add() {} }) };
