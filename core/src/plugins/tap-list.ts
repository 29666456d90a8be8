/** The taps of one hook: a tapable hook whose interceptor puts the guard round each tap of a plugin. */
import { type HookName, type HookSpec, specs, type TappedName } from '@pochard/plugin-sdk';
import { AsyncParallelHook, AsyncSeriesBailHook, AsyncSeriesHook, AsyncSeriesWaterfallHook } from 'tapable';
import type { GuardedTap } from './guard.ts';
import type { CallContext } from './hook-calls.ts';
import type { Tracer } from './tracer.ts';

/** A step of the core's own. */
export interface CoreTap {
  readonly hook: TappedName;
  readonly stage: string;
  readonly fn: (about: never, context: never) => unknown;
}
export interface PluginTap {
  readonly guarded: GuardedTap;
  readonly place: 'shadow' | 'before-core' | 'after-core';
}
interface TapExtras {
  readonly guarded?: GuardedTap;
  readonly coreStep?: CoreTap['fn'];
}

type Callback = (error: Error | null, result?: unknown) => void;
/** What tapable calls for each tap of type `async`. */
type AsyncTap = (about: unknown, context: CallContext, ...rest: readonly unknown[]) => void;

/** What a `collect` call gathers, by place in the list, so that the order is that of the taps and not of their speed. */
export type Collected = (readonly unknown[] | undefined)[];

export class TapList {
  readonly name: TappedName;
  readonly kind: string;
  readonly live: readonly (CoreTap | PluginTap)[];
  readonly shadows: readonly GuardedTap[];
  readonly #hook: ListHook;

  constructor(name: TappedName, coreTaps: readonly CoreTap[], pluginTaps: readonly PluginTap[]) {
    this.name = name;
    this.kind = specs[name].kind;
    this.#hook = hookFor(name);
    this.#hook.intercept({ register: (tap) => ({ ...tap, type: 'async', fn: this.#tapFunction(tap) }) });
    this.shadows = pluginTaps.filter((tap) => tap.place === 'shadow').map((tap) => tap.guarded);
    const entries = [
      ...coreTaps.map((tap) => ({ tap, order: orderOf(name, tap.stage, 1), name: 'core', extras: { coreStep: tap.fn } })),
      ...pluginTaps
        .filter((tap) => tap.place !== 'shadow')
        .map((tap) => ({
          tap,
          order: orderOf(name, tap.guarded.record.stage, tap.place === 'before-core' ? 0 : 2),
          name: tap.guarded.record.plugin,
          extras: { guarded: tap.guarded },
        })),
    ].sort((one, other) => one.order - other.order); // stable: within a stage, the order of the configuration
    this.live = entries.map((entry) => entry.tap);
    for (const { name: tapName, order, extras } of entries)
      this.#hook.tapAsync({ name: tapName, stage: order, ...extras }, () => undefined);
  }

  get isIdle(): boolean {
    return this.#hook.taps.length === 0 && this.shadows.length === 0;
  }
  /** `done` is called once, perhaps at once. */
  call(about: unknown, context: CallContext, done: Callback): void {
    if (this.kind !== 'collect') {
      this.#hook.callAsync(about, context, undefined, done);
      return;
    }
    const collected: Collected = [];
    this.#hook.callAsync(about, context, collected, (error) => done(error, error ? undefined : joined(collected)));
  }

  #tapFunction(tap: TapExtras): AsyncTap {
    const place = this.#hook.taps.length; // `register` runs before the insertion, and taps come in order
    const { guarded, coreStep } = tap;
    if (guarded !== undefined) {
      if (this.kind !== 'collect') return (about, context, _collected, done) => guarded.run(about, context, done as Callback);
      return (about, context, collected, done) =>
        guarded.run(about, context, (error, answer) => gather(collected as Collected, place, error, answer, done as Callback));
    }
    if (coreStep === undefined) throw new TypeError('a tap without a function');
    if (this.kind !== 'collect') return (about, context, _collected, done) => runCoreStep(coreStep, about, context, done as Callback);
    return (about, context, collected, done) =>
      runCoreStep(coreStep, about, context, (error, answer) => gather(collected as Collected, place, error, answer, done as Callback));
  }
}

type Args = [about: unknown, context: CallContext, collected: Collected | undefined];
type Interceptor = Parameters<AsyncSeriesHook<Args, TapExtras>['intercept']>[0];
type RegisteredTap = Parameters<NonNullable<Interceptor['register']>>[0];
/** What of tapable is used: the kinds differ in how they go from tap to tap, not in how they are tapped and called. */
interface ListHook {
  readonly taps: { readonly length: number };
  intercept(interceptor: { register: (tap: RegisteredTap) => RegisteredTap }): void;
  tapAsync(options: { name: string; stage: number } & TapExtras, fn: () => void): void;
  callAsync(...args: [...Args, done: Callback]): void;
}
function hookFor(name: TappedName): ListHook {
  // tapable's types count argument names only where the compiler knows the tuple.
  const args = ['about', 'context', 'collected'] as const;
  switch (specs[name].kind) {
    case 'decide':
      return new AsyncSeriesBailHook<Args, unknown, TapExtras>(args, name);
    case 'transform':
      return new AsyncSeriesWaterfallHook<Args, unknown, TapExtras>(args, name);
    case 'gate':
      return new AsyncSeriesHook<Args, TapExtras>(args, name);
    default:
      return new AsyncParallelHook<Args, TapExtras>(args, name);
  }
}

/** tapable's `stage`: the hook's own stages, and in each the core's steps with plugins before and after. */
function orderOf(name: HookName, stage: string, place: 0 | 1 | 2): number {
  const spec: HookSpec<string> = specs[name];
  const index = spec.stages?.indexOf(stage) ?? 0;
  return index * 3 + place;
}

function gather(collected: Collected, place: number, error: Error | null, answer: unknown, done: Callback): void {
  if (error === null && Array.isArray(answer)) collected[place] = answer;
  done(error);
}
function joined(collected: Collected): readonly unknown[] {
  const all: unknown[] = [];
  for (const list of collected) if (list !== undefined) all.push(...list);
  return all;
}

/** A step that a trace sees like a tap. */
export function tracedStep(hook: TappedName, fn: CoreTap['fn'], tracer: Tracer): CoreTap['fn'] {
  const name = { hook, plugin: 'core', label: undefined };
  return (about, context) => {
    const told = tracer.watched(name, about, nobody);
    if (told === nobody) return fn(about, context);
    const step = async (): Promise<unknown> => fn(about, context);
    return step().then(
      (answer) => {
        told(null, answer);
        return answer;
      },
      (error: unknown) => {
        told(asError(error));
        throw error;
      },
    );
  };
}
function nobody(): void {
  // nobody watches
}

/** A core step runs bare: what it throws goes to the caller as it is. */
function runCoreStep(step: CoreTap['fn'], about: unknown, context: CallContext, done: Callback): void {
  let answer: unknown;
  try {
    answer = step(about as never, context as never);
  } catch (error) {
    done(asError(error));
    return;
  }
  if (answer instanceof Promise) {
    answer.then(
      (value) => done(null, value),
      (error) => done(asError(error)),
    );
    return;
  }
  done(null, answer);
}
function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('a step of the core threw what is no error', { cause: error });
}
