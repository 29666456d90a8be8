/** Commands of `pochard` and checks of /readyz that a plugin adds. */
import type { Awaitable } from './brand.ts';
import type { Call } from './calls.ts';

export interface CliCommand {
  readonly name: string;
  readonly summary: string;
  run(args: readonly string[], call: Call & { print(line: string): void }): Awaitable<void>;
}

export interface HealthCheck {
  readonly name: string;
  check(call: Call): Awaitable<void>; // throws when unwell
}
