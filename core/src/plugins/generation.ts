import { type HookName, specs, type TappedName } from '@pochard/plugin-sdk';
import type { HostClock } from './clock.ts';
import type { GuardedTap } from './guard.ts';
import type { DeclaredThings, DeclareName, ExplainedTap, Follower } from './hook-calls.ts';
import { type CoreTap, type PluginTap, TapList } from './tap-list.ts';

export const tappedNames = (Object.keys(specs) as HookName[]).filter((name): name is TappedName => specs[name].kind !== 'declare');

/** What a plugin has registered while its `apply` ran. */
export interface Registered {
  readonly taps: readonly { readonly hook: TappedName; readonly tap: PluginTap }[];
  readonly followers: readonly { readonly follower: Follower; readonly guarded: GuardedTap }[];
  readonly declared: readonly { readonly hook: DeclareName; readonly thing: DeclaredThings[DeclareName] }[];
}
/** The calls of a generation that are waiting for something. */
export class InFlight {
  #count = 0;
  #whenNone: (() => void)[] = [];
  /** No more calls: the plugins' `onClose` functions are about to run. */
  isClosed = false;
  enter(): void {
    this.#count += 1;
  }
  leave(): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    const waiting = this.#whenNone;
    this.#whenNone = [];
    for (const ring of waiting) ring();
  }
  /** Resolves when there are none, or when `limitMs` is over: true, then. */
  async drained(clock: HostClock, limitMs: number): Promise<'drained' | 'gave up'> {
    if (this.#count === 0) return 'drained';
    return new Promise((resolve) => {
      const cancel = clock.after(limitMs, () => resolve('gave up'));
      this.#whenNone.push(() => {
        cancel();
        resolve('drained');
      });
    });
  }
}

/** All hooks as one configuration made them. Replaced as a whole; calls in flight end on the one they began on. */
export class Generation {
  readonly inFlight: InFlight;
  readonly #registered: readonly Registered[];
  readonly #lists = new Map<TappedName, TapList>();
  readonly #declared = new Map<DeclareName, DeclaredThings[DeclareName][]>();
  readonly followers: readonly Follower[];

  constructor(coreTaps: readonly CoreTap[], registered: readonly Registered[], inFlight: InFlight) {
    this.inFlight = inFlight;
    this.#registered = registered;
    for (const name of tappedNames) this.rebuild(name, coreTaps);
    this.followers = registered.flatMap(({ followers }) => followers.map(({ follower }) => follower));
    for (const { declared } of registered) {
      for (const { hook, thing } of declared) {
        const things = this.#declared.get(hook);
        if (things === undefined) this.#declared.set(hook, [thing]);
        else things.push(thing);
      }
    }
  }
  rebuild(name: TappedName, coreTaps: readonly CoreTap[]): void {
    const taps = this.#registered.flatMap((plugin) => plugin.taps.filter(({ hook }) => hook === name).map(({ tap }) => tap));
    const followers: PluginTap[] =
      name === 'journal'
        ? this.#registered.flatMap((plugin) => plugin.followers.map(({ guarded }) => ({ guarded, place: 'after-core' as const })))
        : [];
    const own = coreTaps.filter(({ hook }) => hook === name);
    this.#lists.set(name, new TapList(name, own, [...taps, ...followers]));
  }
  list(name: TappedName): TapList {
    const list = this.#lists.get(name);
    if (list === undefined) throw new TypeError(`no such hook: ${name}`);
    return list;
  }
  declared<Name extends DeclareName>(name: Name): readonly DeclaredThings[Name][] {
    return (this.#declared.get(name) ?? []) as DeclaredThings[Name][];
  }
  explain(name: HookName): readonly ExplainedTap[] {
    if (specs[name].kind === 'declare') {
      return this.declared(name as DeclareName).map((thing) => ({
        plugin: thing.plugin,
        label: 'path' in thing ? `${thing.method} ${thing.path}` : thing.name,
        stage: 'stage' in thing ? thing.stage : 'normal',
        deadlineMs: specs[name].deadlineMs,
        onFault: specs[name].onFault,
        shadow: false,
        breaker: 'closed' as const,
      }));
    }
    const { live, shadows } = this.list(name as TappedName);
    return [
      ...live.map((tap) => ('guarded' in tap ? explained(tap.guarded, false) : core(tap))),
      ...shadows.map((guarded) => explained(guarded, true)),
    ];
  }
}

function explained(guarded: GuardedTap, shadow: boolean): ExplainedTap {
  const { plugin, label, stage, deadlineMs } = guarded.record;
  return { plugin, label, stage, deadlineMs, onFault: guarded.onFault, shadow, breaker: guarded.breaker.state };
}
function core({ stage }: CoreTap): ExplainedTap {
  return { plugin: 'core', label: undefined, stage, deadlineMs: undefined, onFault: 'throw', shadow: false, breaker: 'closed' };
}
