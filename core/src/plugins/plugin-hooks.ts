/** The `hooks` that a plugin gets: each with its one verb, without a tapable hook behind it that could be called. */
import {
  type HookName,
  type HookSpec,
  type Hooks,
  type JournalEventType,
  type Permission,
  type PluginEntry,
  plaintextHooks,
  specs,
  type TapOptions,
  type TappedName,
} from '@pochard/plugin-sdk';
import type { AnswerChecks } from './answer-checks.ts';
import { argumentLimit } from './argument-limits.ts';
import { declare, declaredKey } from './declared.ts';
import { PermissionMissing } from './errors.ts';
import type { Registered } from './generation.ts';
import { GuardedTap, type GuardParts, type TapFunction, type TapRecord } from './guard.ts';
import type { ContextFor, DeclareName, Follower } from './hook-calls.ts';
import { type PendingHooks, pendingEvents } from './pending-hooks.ts';
import { Scope } from './scope.ts';
import { settled } from './settled.ts';

export interface RegistrationOptions {
  /** Names its cursors and session secrets: the plugin's name, with `#2` when it is entered again. */
  readonly id: string;
  readonly plugin: string;
  readonly permissions: ReadonlySet<Permission>;
  readonly entry: PluginEntry;
  readonly beforeCore: ReadonlySet<string>;
  readonly guard: GuardParts;
  readonly checks: AnswerChecks;
  readonly pending: PendingHooks;
}

/** Collects what one plugin registers, until it is closed. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #taps: Registered['taps'][number][] = [];
  readonly #followers: Registered['followers'][number][] = [];
  readonly #declared: Registered['declared'][number][] = [];
  #isOpen = true;
  readonly #scope: Scope;
  readonly hooks: Hooks<Permission>;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    const { permissions, entry } = options;
    this.#scope = new Scope(entry.scope, permissions.has('plaintext') && entry.sealedAccounts !== 'allow');
    this.hooks = this.#makeHooks() as unknown as Hooks<Permission>;
  }
  /** Tapping later throws. */
  close(): Registered {
    this.#isOpen = false;
    return { taps: this.#taps, followers: this.#followers, declared: this.#declared };
  }

  #tap(hook: TappedName, fn: unknown, options: TapOptions<string> | undefined): void {
    if (options?.whenMissing === 'skip' && this.#options.pending[hook] !== undefined) return;
    const guarded = this.#guard(hook, fn, options);
    const { entry, beforeCore } = this.#options;
    if (entry.shadow === true && specs[hook].kind === 'observe') return; // would act twice
    this.#taps.push({
      hook,
      tap: { guarded, place: entry.shadow === true ? 'shadow' : beforeCore.has(hook) ? 'before-core' : 'after-core' },
    });
  }
  #follow(types: unknown, fn: unknown, options: (TapOptions<string> & { readonly from?: 'now' | 'start' }) | undefined): void {
    if (!Array.isArray(types) || types.length === 0) throw new TypeError('journal.follow takes a list of event types');
    for (const type of types) if (pendingEvents.has(type)) throw new TypeError(`the journal does not tell ${String(type)} yet`);
    const guarded = this.#guard('journal', fn, options);
    if (this.#options.entry.shadow === true) return;
    const id = options?.label === undefined ? this.#options.id : `${this.#options.id}:${options.label}`;
    if (this.#followers.some(({ follower }) => follower.id === id)) {
      throw new TypeError('journal is followed twice: give each tap a label, it names the cursor');
    }
    const follower = followerOf(guarded, {
      id,
      plugin: this.#options.plugin,
      types: new Set<JournalEventType>(types),
      from: options?.from ?? 'now',
    });
    this.#followers.push({ follower, guarded });
  }
  #declare(hook: DeclareName, thing: unknown): void {
    this.#mustBeOpen(hook);
    const { plugin, permissions, entry, guard } = this.#options;
    const base = { hook, plugin, deadlineMs: this.#deadlineMs(hook), scope: this.#scope, hasPlaintext: permissions.has('plaintext') };
    const made = declare(hook, thing, { base, guard });
    const key = declaredKey(hook, made);
    if (this.#declared.some((other) => declaredKey(other.hook, other.thing) === key)) throw new TypeError(`${key} is declared twice`);
    if ('canOpen' in made && made.canOpen !== undefined) this.#scope.includeSealed();
    if (entry.shadow !== true) this.#declared.push({ hook, thing: made });
  }

  #guard(hook: TappedName, fn: unknown, options: TapOptions<string> | undefined): GuardedTap {
    this.#mustBeOpen(hook);
    if (typeof fn !== 'function') throw new TypeError(`${hook}: the tap is not a function`);
    const { plugin, permissions, guard, checks } = this.#options;
    const record: TapRecord = {
      hook,
      plugin,
      label: options?.label,
      stage: stageOf(hook, options?.stage),
      deadlineMs: this.#deadlineMs(hook),
      scope: this.#scope,
      hasPlaintext: permissions.has('plaintext'),
      limit: argumentLimit(hook, permissions),
      check: checks.for(hook),
      fn: fn as TapFunction,
    };
    return new GuardedTap(record, guard);
  }
  #deadlineMs(hook: HookName): number {
    return this.#options.entry.deadlineMs?.[hook] ?? specs[hook].deadlineMs;
  }
  #mustBeOpen(hook: HookName): void {
    if (!this.#isOpen) throw new TypeError(`${hook}: taps are made while apply runs, not later`);
    const reason = this.#options.pending[hook];
    if (reason !== undefined) throw new TypeError(`the hook ${hook} is declared but not called yet: ${reason}`);
  }

  #makeHooks(): object {
    const root: Record<string, object> = Object.create(null);
    const closed: ReadonlySet<string> = this.#options.permissions.has('plaintext') ? new Set() : new Set<string>(plaintextHooks);
    for (const name of Object.keys(specs) as HookName[]) {
      const [area = name, member] = name.split('.');
      if (member === undefined) {
        root[area] = this.#makeHook(name);
        continue;
      }
      root[area] ??= Object.create(null) as object;
      Object.defineProperty(
        root[area],
        member,
        closed.has(name) ? { get: needs(name) } : { value: this.#makeHook(name), enumerable: true },
      );
    }
    for (const area of Object.values(root)) Object.freeze(area);
    return Object.freeze(root);
  }
  #makeHook(name: HookName): object {
    const { kind } = specs[name];
    switch (kind) {
      case 'declare':
        return Object.freeze({ kind, declare: (thing: unknown) => this.#declare(name as DeclareName, thing) });
      case 'follow':
        return Object.freeze({
          kind,
          follow: (types: unknown, fn: unknown, options?: TapOptions<string>) => this.#follow(types, fn, options),
        });
      default:
        return Object.freeze({ kind, [kind]: (fn: unknown, options?: TapOptions<string>) => this.#tap(name as TappedName, fn, options) });
    }
  }
}

function needs(name: string): () => never {
  return () => {
    throw new PermissionMissing('plaintext', `hooks.${name}`);
  };
}
function stageOf(hook: HookName, stage: string | undefined): string {
  const { stages = ['normal'], unstaged = 'normal' }: HookSpec<string> = specs[hook];
  if (stage === undefined) return unstaged;
  if (!stages.includes(stage)) throw new TypeError(`${hook} has no stage ${stage}: ${stages.join(', ')}`);
  return stage;
}
function followerOf(guarded: GuardedTap, about: Pick<Follower, 'id' | 'plugin' | 'types' | 'from'>): Follower {
  return {
    id: about.id,
    plugin: about.plugin,
    types: about.types,
    from: about.from,
    inScope: (event, context) => guarded.covers(event, context),
    async deliver(event, context: ContextFor<'journal'>) {
      await settled((done) => guarded.run(event, context, done));
    },
  };
}
