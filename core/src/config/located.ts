/** Where a value was written: `where` is `file:line:column`, an environment variable, a flag or `default`. */
export interface Origin {
  readonly where: string;
  /** Folder against which relative paths count. */
  readonly directory: string;
}

export type Scalar = string | number | boolean | null;

/** A value that remembers where each of its parts was written. */
export interface Located {
  readonly origin: Origin;
  readonly content: Scalar | readonly Located[] | LocatedMap;
}
export type LocatedMap = ReadonlyMap<string, LocatedEntry>;
interface LocatedEntry {
  readonly keyOrigin: Origin;
  readonly value: Located;
}

export type Path = readonly (string | number)[];

/** Wraps a plain value; all of it gets the same origin. */
export function locate(value: unknown, origin: Origin): Located {
  if (Array.isArray(value)) return { origin, content: value.map((item) => locate(item, origin)) };
  if (typeof value === 'object' && value !== null) {
    return {
      origin,
      content: new Map(Object.entries(value).map(([key, item]) => [key, { keyOrigin: origin, value: locate(item, origin) }])),
    };
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return { origin, content: value };
  return { origin, content: null };
}

export function plainValue({ content }: Located): unknown {
  if (content instanceof Map) return Object.fromEntries([...content].map(([key, { value }]) => [key, plainValue(value)]));
  if (isList(content)) return content.map(plainValue);
  return content;
}

/** `upper` over `lower`: maps are merged key by key, anything else (lists too) replaces. */
export function merge(lower: Located, upper: Located): Located {
  if (!isMap(lower.content) || !isMap(upper.content)) return upper;
  const merged = new Map(lower.content);
  for (const [key, entry] of upper.content) {
    const below = merged.get(key);
    merged.set(key, below === undefined ? entry : { keyOrigin: entry.keyOrigin, value: merge(below.value, entry.value) });
  }
  return { origin: upper.origin, content: merged };
}

/** `root` with `leaf` merged in at `path`. Maps on the way are made; a list may grow by one item. `undefined`: the path does not fit. */
export function placeAt(root: Located, path: Path, leaf: Located): Located | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return merge(root, leaf);
  const emptyMap: Located = { origin: leaf.origin, content: new Map() };
  if (typeof step === 'number') {
    if (!isList(root.content) || step > root.content.length) return undefined;
    const item = placeAt(root.content[step] ?? emptyMap, rest, leaf);
    return item === undefined ? undefined : { origin: root.origin, content: root.content.toSpliced(step, 1, item) };
  }
  const entries = isMap(root.content) ? new Map(root.content) : new Map<string, LocatedEntry>();
  const value = placeAt(entries.get(step)?.value ?? emptyMap, rest, leaf);
  if (value === undefined) return undefined;
  entries.set(step, { keyOrigin: leaf.origin, value });
  return { origin: root.origin, content: entries };
}

/** The origin of the key or list item at `path`; of its nearest ancestor when it was written nowhere. */
export function originAt(root: Located, path: Path): Origin {
  let node = root;
  let origin = root.origin;
  for (const step of path) {
    if (isMap(node.content)) {
      const entry = node.content.get(String(step));
      if (entry === undefined) return origin;
      origin = entry.keyOrigin;
      node = entry.value;
    } else if (isList(node.content)) {
      const item = node.content[Number(step)];
      if (item === undefined) return origin;
      origin = item.origin;
      node = item;
    } else return origin;
  }
  return origin;
}

function isMap(content: Located['content']): content is LocatedMap {
  return content instanceof Map;
}
function isList(content: Located['content']): content is readonly Located[] {
  return Array.isArray(content);
}
