/** Stands between the guard and a plugin's functions, and makes the next calls go wrong as the test says. */
import { type HookName, type Permission, type Plugin, type PluginContext, specs, Unavailable } from '@pochard/plugin-sdk';
import type { Fault } from '@pochard/plugin-sdk/testing';

type AnyFunction = (...args: never[]) => unknown;

export class FaultInjector {
  readonly #planned = new Map<string, { readonly how: Fault; times: number }>();
  readonly #block: (ms: number) => void;
  /** Calls that were made to go wrong, by plugin and hook. */
  readonly injected = new Map<string, number>();

  /** `block`: makes time pass without giving the event loop back. */
  constructor(block: (ms: number) => void) {
    this.#block = block;
  }
  plan(plugin: string, hook: HookName, how: Fault, times: number): void {
    this.#planned.set(`${plugin} ${hook}`, { how, times });
  }
  clear(): void {
    this.#planned.clear();
  }

  /** The same plugin, whose functions can be made to fail. */
  wrap(plugin: Plugin): Plugin {
    const apply = (context: PluginContext<Permission>, config: never) =>
      plugin.apply(this.#contextFor(plugin.name, context) as never, config);
    return { ...plugin, apply: apply as Plugin['apply'] };
  }

  /** Members that need a permission are getters that throw: they must stay getters. */
  #contextFor(plugin: string, context: PluginContext<Permission>): PluginContext<Permission> {
    return Object.create(context, {
      hooks: { value: this.#hooksFor(plugin, context.hooks), enumerable: true },
    }) as PluginContext<Permission>;
  }
  #hooksFor(plugin: string, hooks: object): object {
    const wrapped: Record<string, object> = Object.create(null);
    for (const name of Object.keys(specs) as HookName[]) {
      const [area = name, member] = name.split('.');
      const place = (): Record<string, unknown> => (member === undefined ? hooks : Reflect.get(hooks, area)) as Record<string, unknown>;
      const make = (): object => this.#verbFor(plugin, name, place()[member ?? area] as Record<string, AnyFunction>);
      if (member === undefined) wrapped[area] = make();
      else {
        wrapped[area] ??= Object.create(null) as object;
        Object.defineProperty(wrapped[area], member, { get: make, enumerable: true });
      }
    }
    return wrapped;
  }
  #verbFor(plugin: string, hook: HookName, real: Record<string, AnyFunction>): object {
    const { kind } = specs[hook];
    const verb = (real[kind] as (...args: unknown[]) => unknown).bind(real);
    const guard = (fn: unknown): unknown => (typeof fn === 'function' ? this.#faulty(plugin, hook, fn as AnyFunction) : fn);
    if (kind === 'declare') {
      return {
        kind,
        declare: (thing: unknown) => verb(typeof thing === 'object' && thing !== null ? this.#thing(plugin, hook, thing) : thing),
      };
    }
    if (kind === 'follow') return { kind, follow: (types: unknown, fn: unknown, options: unknown) => verb(types, guard(fn), options) };
    return { kind, [kind]: (fn: unknown, options: unknown) => verb(guard(fn), options) };
  }
  /** Over an empty object, so that frozen declarations can be wrapped too. */
  #thing(plugin: string, hook: HookName, thing: object): object {
    const wrapped = new Map<PropertyKey, unknown>();
    return new Proxy(Object.create(null) as object, {
      has: (_empty, name) => name in thing,
      get: (_empty, name) => {
        const value: unknown = Reflect.get(thing, name, thing);
        if (typeof value !== 'function') return value;
        const known = wrapped.get(name) ?? this.#faulty(plugin, hook, value.bind(thing) as AnyFunction);
        wrapped.set(name, known);
        return known;
      },
    });
  }

  #faulty(plugin: string, hook: HookName, fn: AnyFunction): AnyFunction {
    const key = `${plugin} ${hook}`;
    return (...args) => {
      const planned = this.#planned.get(key);
      if (planned === undefined || planned.times <= 0) return fn(...args);
      planned.times -= 1;
      this.injected.set(key, (this.injected.get(key) ?? 0) + 1);
      switch (planned.how) {
        case 'throw':
          throw new Error('fault injected by the test');
        case 'backend down':
          throw new Unavailable('outage injected by the test');
        case 'hang':
          return new Promise(() => undefined);
        case 'garbage':
          return new Garbage();
        case 'nothing':
          return undefined;
        case 'busy':
          this.#block(specs[hook].deadlineMs * 2);
          return fn(...args);
        case 'twice':
          return twice(fn(...args));
      }
    };
  }
}

/** Of no shape that any hook asks for. */
class Garbage {
  get result(): never {
    throw new RangeError('garbage has no result');
  }
  readonly garbage = Symbol('garbage');
}

/** A promise of a foreign make that settles twice. */
function twice(answer: unknown): PromiseLike<unknown> {
  const settle = async (done: (value: unknown) => unknown, failed: (error: unknown) => unknown): Promise<void> => {
    let value: unknown;
    try {
      value = await answer;
    } catch (error) {
      failed(error);
      failed(error);
      return;
    }
    done(value);
    done(value);
  };
  // biome-ignore lint/suspicious/noThenProperty: being a thenable that breaks the rules is its purpose
  return { then: ((done, failed) => settle(done as never, failed as never)) as PromiseLike<unknown>['then'] };
}
