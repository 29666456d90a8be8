import type { ImapArgs, ImapValue } from './imap-command.ts';

/** Argument readers for IMAP commands. */
export const arg = {
  none: { read: (_values, next) => ({ value: undefined, next }) } as ImapArgs<undefined>,
  astring: { read: (values, at) => ({ value: take(values, at, 'string'), next: at + 1 }) } as ImapArgs<string>,
  number: { read: (values, at) => ({ value: toNumber(values[at]), next: at + 1 }) } as ImapArgs<number>,
  list<T>(of: ImapArgs<T>): ImapArgs<readonly T[]> {
    return {
      read(values, at) {
        const items = values[at];
        if (typeof items !== 'object') throw new SyntaxError('list expected');
        const out: T[] = [];
        for (let next = 0; next < items.length; ) {
          const item = of.read(items, next);
          if (item.next <= next) throw new SyntaxError('empty list item'); // a reader that takes nothing would never end
          out.push(item.value);
          next = item.next;
        }
        return { value: out, next: at + 1 };
      },
    };
  },
  /** `name value name value`, in any order, each once. */
  pairs<T extends Readonly<Record<string, unknown>>>(shape: { readonly [K in keyof T]: ImapArgs<T[K]> }): ImapArgs<T> {
    return {
      read(values, at) {
        const found = new Map<string, unknown>();
        let next = at;
        while (next < values.length) {
          const name = take(values, next, 'string').toLowerCase();
          const reader = Object.hasOwn(shape, name) ? shape[name] : undefined;
          if (reader === undefined || found.has(name)) throw new SyntaxError(`unexpected ${name}`);
          const item = reader.read(values, next + 1);
          found.set(name, item.value);
          next = item.next;
        }
        for (const name of Object.keys(shape)) if (!found.has(name)) throw new SyntaxError(`${name} is missing`);
        return { value: Object.fromEntries(found) as T, next };
      },
    };
  },
};

function take(values: readonly ImapValue[], at: number, type: 'string'): string {
  const value = values[at];
  if (typeof value !== type || typeof value !== 'string') throw new SyntaxError(`${type} expected`);
  return value;
}

function toNumber(value: ImapValue | undefined): number {
  if (typeof value !== 'string' || !/^\d{1,10}$/.test(value)) throw new SyntaxError('number expected');
  return Number(value);
}
