/** A store as one life of a server sees it: after its death nothing that was still under way reaches it. */
import { type Store, StoreUnavailable } from '../store/store.ts';

export function fencedStore(store: Store, isDead: () => boolean): Store {
  return fenced(store, isDead);
}

function fenced<T extends object>(target: T, isDead: () => boolean): T {
  return new Proxy(target, {
    get(real, name) {
      const value: unknown = Reflect.get(real, name, real);
      if (typeof value === 'function') {
        return (...args: unknown[]): unknown => {
          if (isDead()) throw new StoreUnavailable('the process is dead');
          return value.apply(real, args);
        };
      }
      return typeof value === 'object' && value !== null ? fenced(value, isDead) : value;
    },
  });
}
