import type { HookName } from './specs.ts';

/** What the administrator says of a plugin beside its own configuration. */
export interface PluginEntry {
  readonly scope?: {
    readonly domains?: readonly string[];
    readonly accounts?: readonly string[];
    readonly listeners?: readonly string[];
  };
  readonly shadow?: boolean;
  readonly sealedAccounts?: 'allow'; // else taps with `plaintext` do not run for them
  readonly privateNetworks?: readonly string[]; // CIDR, for `http`
  readonly deadlineMs?: { readonly [Name in HookName]?: number };
}
