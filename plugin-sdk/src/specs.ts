/** What each hook promises; the guard, `explain` and the hook table of the docs read this. */
import type { Hooks } from './hooks.ts';
import type { Permission } from './permissions.ts';

export interface HookSpec<Kind extends string> {
  readonly kind: Kind;
  readonly deadlineMs: number;
  /** tempfail: NO [UNAVAILABLE], 451/454, 503 · skip: as if the tap were not there · log: counted, no one waits · retry: until done · start: the server refuses to start */
  readonly onFault: 'tempfail' | 'skip' | 'log' | 'retry' | 'start';
  readonly stages?: readonly string[]; // in their order of running
  readonly unstaged?: string; // where a tap goes that names none
}

type AnyHook = { readonly kind: string };

type Paths<T, Prefix extends string = ''> = {
  [K in keyof T & string]: T[K] extends AnyHook ? `${Prefix}${K}` : Paths<T[K], `${Prefix}${K}.`>;
}[keyof T & string];

export type At<T, Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T
    ? At<T[Head], Rest>
    : never
  : Path extends keyof T
    ? T[Path]
    : never;

export type HookName = Paths<Hooks<Permission>>;
export type HookAt<Name extends HookName> = At<Hooks<Permission>, Name>;
export type KindAt<Name extends HookName> = HookAt<Name> extends { readonly kind: infer Kind extends string } ? Kind : never;

export const specs = {
  'auth.normalize': { kind: 'transform', deadlineMs: 500, onFault: 'tempfail' },
  'auth.verify': {
    kind: 'decide',
    deadlineMs: 5_000,
    onFault: 'tempfail',
    stages: ['policy', 'verify', 'fallback'],
    unstaged: 'verify',
  },
  'auth.succeeded': { kind: 'gate', deadlineMs: 5_000, onFault: 'tempfail' },
  'auth.failed': { kind: 'observe', deadlineMs: 5_000, onFault: 'log' },
  'auth.mechanism': { kind: 'gate', deadlineMs: 1_000, onFault: 'tempfail' },
  'auth.credential': { kind: 'gate', deadlineMs: 10_000, onFault: 'tempfail' },
  'session.ended': { kind: 'observe', deadlineMs: 5_000, onFault: 'log' },
  'account.lookup': { kind: 'decide', deadlineMs: 5_000, onFault: 'tempfail' },
  'account.provision': { kind: 'transform', deadlineMs: 5_000, onFault: 'tempfail' },
  'account.creating': { kind: 'gate', deadlineMs: 10_000, onFault: 'tempfail' },
  'account.mailboxes': { kind: 'transform', deadlineMs: 1_000, onFault: 'tempfail' },
  'rcpt.resolve': { kind: 'decide', deadlineMs: 5_000, onFault: 'tempfail' },
  'rcpt.expand': { kind: 'transform', deadlineMs: 5_000, onFault: 'tempfail' },
  'rcpt.accept': { kind: 'gate', deadlineMs: 5_000, onFault: 'tempfail' },
  'delivery.received': { kind: 'transform', deadlineMs: 10_000, onFault: 'tempfail' },
  'delivery.scan': { kind: 'collect', deadlineMs: 30_000, onFault: 'tempfail' },
  'delivery.route': { kind: 'transform', deadlineMs: 5_000, onFault: 'tempfail' },
  'append.before': { kind: 'gate', deadlineMs: 2_000, onFault: 'tempfail' },
  'append.match': { kind: 'decide', deadlineMs: 1_000, onFault: 'skip' },
  'store.before': { kind: 'gate', deadlineMs: 10_000, onFault: 'tempfail' },
  'store.codec': { kind: 'declare', deadlineMs: 10_000, onFault: 'start' },
  'store.blobs': { kind: 'declare', deadlineMs: 30_000, onFault: 'start' },
  'index.document': { kind: 'transform', deadlineMs: 5_000, onFault: 'tempfail' },
  'copy.before': { kind: 'gate', deadlineMs: 2_000, onFault: 'tempfail' },
  'expunge.before': { kind: 'gate', deadlineMs: 2_000, onFault: 'tempfail' },
  'mailbox.before': { kind: 'gate', deadlineMs: 2_000, onFault: 'tempfail' },
  'quota.limits': { kind: 'decide', deadlineMs: 1_000, onFault: 'skip' },
  'fetch.authorize': { kind: 'gate', deadlineMs: 1_000, onFault: 'tempfail' },
  'search.rewrite': { kind: 'transform', deadlineMs: 1_000, onFault: 'tempfail' },
  'search.plan': { kind: 'decide', deadlineMs: 2_000, onFault: 'skip' },
  'submission.identity': { kind: 'decide', deadlineMs: 2_000, onFault: 'tempfail' },
  'submission.before': { kind: 'gate', deadlineMs: 10_000, onFault: 'tempfail' },
  'submission.message': {
    kind: 'transform',
    deadlineMs: 10_000,
    onFault: 'tempfail',
    stages: ['headers', 'body', 'sign'],
    unstaged: 'headers',
  },
  'submission.sentCopy': { kind: 'transform', deadlineMs: 1_000, onFault: 'tempfail' },
  'submission.relay': { kind: 'decide', deadlineMs: 2_000, onFault: 'tempfail' },
  journal: { kind: 'follow', deadlineMs: 30_000, onFault: 'retry' },
  'notify.event': { kind: 'transform', deadlineMs: 1_000, onFault: 'tempfail' },
  'notify.channel': { kind: 'declare', deadlineMs: 5_000, onFault: 'start' },
  'imap.capabilities': { kind: 'transform', deadlineMs: 100, onFault: 'skip' },
  'imap.command': { kind: 'declare', deadlineMs: 30_000, onFault: 'start' },
  'http.route': { kind: 'declare', deadlineMs: 30_000, onFault: 'start' },
  'cli.command': { kind: 'declare', deadlineMs: 600_000, onFault: 'start' },
  'health.check': { kind: 'declare', deadlineMs: 1_000, onFault: 'start' },
} as const satisfies { readonly [Name in HookName]: HookSpec<KindAt<Name>> };

/** The hooks that are tapped; what is declared is a registry, whose functions the guard wraps alike. */
export type TappedName = { [Name in HookName]: KindAt<Name> extends 'declare' ? never : Name }[HookName];
