import { dirname, resolve } from 'node:path';

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

import type { Located, Origin } from './located.ts';
import type { Problem } from './problem.ts';

/** Nodes of a file, aliases counted as often as they are used: a few lines of aliases could name billions. */
const MAX_NODES = 100_000;

export interface Layer {
  /** `undefined` when the text has problems. */
  readonly root: Located | undefined;
  readonly problems: readonly Problem[];
}

/** Reads one YAML file. `name` is how messages call it; relative paths in it count from its folder. */
export function parseYamlLayer(text: string, file: string, name = file): Layer {
  const directory = dirname(resolve(file));
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number | undefined): Origin => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { where: `${name}:${Math.max(line, 1)}:${Math.max(col, 1)}`, directory };
  };

  const problems: Problem[] = document.errors.map((error) => ({ where: at(error.pos[0]).where, key: '', message: error.message }));
  if (problems.length > 0) return { root: undefined, problems };

  let nodes = 0;
  const refuse = (node: Node, message: string): Located => {
    const origin = at(node.range?.[0]);
    problems.push({ where: origin.where, key: '', message });
    return { origin, content: null };
  };
  const convert = (node: Node): Located => {
    nodes += 1;
    if (nodes > MAX_NODES) return nodes === MAX_NODES + 1 ? refuse(node, 'too many values or aliases') : { origin: at(0), content: null };
    const origin = at(node.range?.[0]);
    if (isAlias(node)) {
      const target = node.resolve(document);
      return target === undefined ? refuse(node, `no anchor &${node.source}`) : { ...convert(target), origin };
    }
    if (isSeq<Node>(node)) return { origin, content: node.items.map(convert) };
    if (isMap<Node, Node | null>(node)) {
      const entries = new Map();
      for (const { key, value } of node.items) {
        if (!isScalar(key) || typeof key.value !== 'string') return refuse(key, 'keys must be text');
        if (key.value === '__proto__') return refuse(key, 'this name is not allowed for a key');
        const keyOrigin = at(key.range?.[0]);
        entries.set(key.value, { keyOrigin, value: value === null ? { origin: keyOrigin, content: null } : convert(value) });
      }
      return { origin, content: entries };
    }
    if (!isScalar(node)) return refuse(node, 'not a value');
    const { value } = node;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value === null) {
      return { origin, content: value };
    }
    return refuse(node, 'only text, numbers, true, false, lists and maps are values here');
  };

  const { contents } = document;
  const isEmpty = contents === null || (isScalar(contents) && contents.value === null);
  const root: Located = isEmpty ? { origin: at(0), content: new Map() } : convert(contents);
  return { root: problems.length > 0 ? undefined : root, problems };
}
