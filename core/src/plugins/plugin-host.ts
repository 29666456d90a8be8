import { type HookName, type HookSpec, type Permission, type Session, type SessionEnd, specs, type TappedName } from '@pochard/plugin-sdk';
import { AnswerChecks } from './answer-checks.ts';
import { type HostClock, systemClock } from './clock.ts';
import { SchemaChecker, suggestion } from './config-check.ts';
import { Deadlines } from './deadlines.ts';
import { declaredKey } from './declared.ts';
import { PluginLoadError } from './errors.ts';
import { Generation, InFlight } from './generation.ts';
import type {
  AnswerOf,
  CallContext,
  CollectName,
  ContextFor,
  CoreTapName,
  CoreTaps,
  DecideName,
  DeclaredThings,
  DeclareName,
  ExplainedTap,
  Follower,
  GateName,
  HookCalls,
  ObserveName,
  QuestionOf,
  TransformName,
} from './hook-calls.ts';
import type { HostServices } from './host-services.ts';
import type { LogSource } from './log.ts';
import type { LoopWatchdog } from './loop-watchdog.ts';
import { type HookMetrics, noMetrics } from './metrics.ts';
import { type PendingHooks, pendingHooks } from './pending-hooks.ts';
import { type ConfiguredPlugin, type GivenPlugin, type LoadedPlugin, type LoaderParts, loadPlugins } from './plugin-loader.ts';
import { PluginResolver } from './plugin-resolver.ts';
import { SessionSecrets } from './session-secrets.ts';
import { settled } from './settled.ts';
import { type Divergence, ShadowRuns } from './shadow.ts';
import { type CoreTap, type TapList, tracedStep } from './tap-list.ts';
import { Tracer } from './tracer.ts';

const drainLimitMs = 30_000; // then the former plugins are closed under what still runs

/** Loads plugins, and calls hooks for the core's services. */
export class PluginHost implements HookCalls {
  readonly #clock: HostClock;
  readonly #log: LogSource;
  readonly #loader: LoaderParts;
  readonly #shadows: ShadowRuns;
  readonly #sessionSecrets: SessionSecrets;
  readonly #coreTaps: CoreTap[] = [];
  readonly #onReload = new Set<() => void>();
  readonly core: CoreTaps;
  readonly tracer = new Tracer();
  #generation: Generation;
  #plugins: readonly LoadedPlugin[] = [];
  /** One reload at a time, each after the one before. */
  #turn: Promise<unknown> = Promise.resolve();
  #closing: Promise<unknown> = Promise.resolve();

  /**
   * `configFolder`: where relative plugin paths and packages are looked up.
   * `pending`: hooks that are refused at load, as nobody calls them; left out only where tests call them.
   * `watchdog`: names taps that block the event loop; the host closes it.
   */
  constructor(options: {
    readonly watchdog?: LoopWatchdog;
    readonly log: LogSource;
    readonly configFolder: string;
    readonly services?: HostServices;
    readonly clock?: HostClock;
    readonly metrics?: HookMetrics;
    readonly pending?: PendingHooks;
  }) {
    const { log, services = {}, clock = systemClock, metrics = noMetrics } = options;
    this.#clock = clock;
    this.#log = log;
    this.#sessionSecrets = new SessionSecrets(log);
    this.#shadows = new ShadowRuns(clock, metrics);
    this.#loader = {
      services,
      resolver: new PluginResolver(options.configFolder),
      clock,
      log,
      guard: { clock, deadlines: new Deadlines(clock), metrics, log, watchdog: options.watchdog, tracer: this.tracer },
      checks: new AnswerChecks(),
      checker: new SchemaChecker(),
      sessionSecrets: this.#sessionSecrets,
      pending: options.pending ?? pendingHooks,
    };
    this.#generation = new Generation([], [], new InFlight());
    const add = (hook: CoreTapName, stage: string, fn: CoreTap['fn']) => {
      const { stages = ['normal'] }: HookSpec<string> = specs[hook];
      if (!stages.includes(stage)) throw new TypeError(`${hook} has no stage ${stage}${suggestion(stage, stages)}`);
      this.#coreTaps.push({ hook, stage, fn: tracedStep(hook, fn, this.tracer) });
      this.#generation.rebuild(hook, this.#coreTaps);
    };
    this.core = {
      decide: (name, stage, tap) => add(name, stage, tap),
      transform: (name, stage, tap) => add(name, stage, tap),
      collect: (name, tap) => add(name, 'normal', tap),
      gate: (name, tap) => add(name, 'normal', tap),
      observe: (name, tap) => add(name, 'normal', tap),
    };
  }

  /**
   * Applies the entries beside what runs now, then puts them in its place. Calls in flight end on the former plugins;
   * `formerClosed` resolves when those have closed.
   * @throws PluginLoadError; what ran before goes on
   */
  async reload(entries: readonly (ConfiguredPlugin | GivenPlugin)[]): Promise<{ readonly formerClosed: Promise<void> }> {
    const turn = this.#turn.then(() => this.#reload(entries));
    this.#turn = turn.catch(() => undefined); // the caller gets the error; the next reload only waits
    return turn;
  }
  async #reload(entries: readonly (ConfiguredPlugin | GivenPlugin)[]): Promise<{ readonly formerClosed: Promise<void> }> {
    const inFlight = new InFlight();
    const plugins = await loadPlugins(entries, inFlight, this.#loader);
    try {
      refuseDoubles(plugins);
    } catch (error) {
      await closeAll(plugins);
      throw error;
    }
    const former = { generation: this.#generation, plugins: this.#plugins };
    this.#generation = new Generation(
      this.#coreTaps,
      plugins.map(({ registered }) => registered),
      inFlight,
    );
    this.#plugins = plugins;
    const places = new Set(plugins.flatMap(({ scope }) => scope.secretPlaces));
    this.#sessionSecrets.wipeUnless((place) => places.has(place));
    for (const changed of this.#onReload) changed();
    const formerClosed = this.#retire(former.generation, former.plugins);
    this.#closing = Promise.all([this.#closing, formerClosed]);
    return { formerClosed };
  }
  async #retire({ inFlight }: Generation, plugins: readonly LoadedPlugin[]): Promise<void> {
    if ((await inFlight.drained(this.#clock, drainLimitMs)) === 'gave up') {
      this.#log.child({}).warn('plugin calls still run after their generation was replaced', { plugins: plugins.map(({ id }) => id) });
    }
    inFlight.isClosed = true;
    await closeAll(plugins);
  }
  /** At shutdown, after the protocols have drained. */
  async close(): Promise<void> {
    await this.reload([]);
    await this.#closing;
    this.#sessionSecrets.wipeAll();
    await this.#loader.guard.watchdog?.close();
  }

  has(name: TappedName): boolean {
    return !this.#generation.list(name).isIdle;
  }
  decide<Name extends DecideName>(
    name: Name,
    question: QuestionOf<Name>,
    context: ContextFor<Name>,
  ): AnswerOf<Name> | undefined | Promise<AnswerOf<Name> | undefined> {
    const list = this.#generation.list(name);
    if (list.isIdle) return undefined;
    return this.#call(list, question, context) as Promise<AnswerOf<Name> | undefined>;
  }
  collect<Name extends CollectName>(
    name: Name,
    question: QuestionOf<Name>,
    context: ContextFor<Name>,
  ): readonly AnswerOf<Name>[] | Promise<readonly AnswerOf<Name>[]> {
    const list = this.#generation.list(name);
    if (list.isIdle) return nothing;
    return this.#call(list, question, context) as Promise<readonly AnswerOf<Name>[]>;
  }
  transform<Name extends TransformName>(
    name: Name,
    value: QuestionOf<Name>,
    context: ContextFor<Name>,
  ): AnswerOf<Name> | Promise<AnswerOf<Name>> {
    const list = this.#generation.list(name);
    if (list.isIdle) return value as unknown as AnswerOf<Name>;
    return this.#call(list, value, context) as Promise<AnswerOf<Name>>;
  }
  gate<Name extends GateName>(name: Name, request: QuestionOf<Name>, context: ContextFor<Name>): void | Promise<void> {
    const list = this.#generation.list(name);
    if (list.isIdle) return;
    return this.#call(list, request, context) as Promise<void>;
  }
  observe<Name extends ObserveName>(name: Name, event: QuestionOf<Name>, context: ContextFor<Name>): void {
    const list = this.#generation.list(name);
    if (list.isIdle) return;
    const told = this.#call(list, event, context);
    if (told instanceof Promise) told.catch((error: unknown) => this.#logObserver(name, error));
  }
  async endSession(end: SessionEnd, context: ContextFor<'session.ended'> & { readonly session: Session }): Promise<void> {
    try {
      await this.#call(this.#generation.list('session.ended'), end, context);
    } catch (error) {
      this.#logObserver('session.ended', error);
    } finally {
      this.#sessionSecrets.wipe(context.session);
    }
  }
  wipeSessionSecrets(session: Session): void {
    this.#sessionSecrets.wipe(session);
  }
  followers(): readonly Follower[] {
    return this.#generation.followers;
  }
  declared<Name extends DeclareName>(name: Name): readonly DeclaredThings[Name][] {
    return this.#generation.declared(name);
  }
  onReload(changed: () => void): () => void {
    this.#onReload.add(changed);
    return () => this.#onReload.delete(changed);
  }
  explain(name: HookName): readonly ExplainedTap[] {
    return this.#generation.explain(name);
  }
  /** What shadow taps would have changed, oldest first: `pochard plugin diff`. */
  divergences(): readonly Divergence[] {
    return this.#shadows.divergences;
  }
  /** The entries that run now: `pochard plugin list`. */
  plugins(): readonly {
    readonly id: string;
    readonly name: string;
    readonly sdk: string;
    readonly permissions: readonly Permission[];
    readonly isShadow: boolean;
  }[] {
    return this.#plugins.map(({ id, plugin, entry }) => ({
      id,
      name: plugin.name,
      sdk: plugin.sdk,
      permissions: plugin.permissions,
      isShadow: entry.shadow === true,
    }));
  }

  #call(list: TapList, about: unknown, context: CallContext): unknown {
    const { inFlight } = this.#generation;
    const { shadows } = list;
    if (shadows.length === 0)
      return whileWaiting(
        settled((done) => list.call(about, context, done)),
        inFlight,
      );
    return whileWaiting(
      settled((done) => {
        list.call(about, context, (error, answer) => {
          this.#shadows.run(shadows, about, context, error ? { error } : { answer });
          done(error, answer);
        });
      }),
      inFlight,
    );
  }
  #logObserver(hook: HookName, error: unknown): void {
    this.#log.child({ plugin: 'core', hook }).error('observer failed', { error });
  }
}

const nothing: readonly never[] = Object.freeze([]);

/** Counts a call as in flight for as long as it waits. */
function whileWaiting(result: unknown, inFlight: InFlight): unknown {
  if (!(result instanceof Promise)) return result;
  inFlight.enter();
  return result.finally(() => inFlight.leave());
}
async function closeAll(plugins: readonly LoadedPlugin[]): Promise<void> {
  for (const { scope } of [...plugins].reverse()) await scope.close();
}
/** @throws PluginLoadError when two plugins declare the same codec, command, route, channel or check */
function refuseDoubles(plugins: readonly LoadedPlugin[]): void {
  const owners = new Map<string, string>();
  for (const { id, plugin, registered } of plugins) {
    for (const { hook, thing } of registered.declared) {
      const key = declaredKey(hook, thing);
      const owner = owners.get(key);
      // One plugin entered again with another scope declares the same again.
      if (owner !== undefined && owner !== plugin.name) throw new PluginLoadError(id, `${key} is declared by ${owner} already`);
      owners.set(key, plugin.name);
    }
  }
}
