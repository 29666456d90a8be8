import { type Located, locate, type Origin, type Path, placeAt, plainValue } from './located.ts';
import type { Problem } from './problem.ts';
import { plainName, suggest } from './suggestion.ts';
import { parseYamlLayer } from './yaml-layer.ts';

/** The prefix of environment variables: `POCHARD__LIMITS__MESSAGE_OCTETS` is `limits.messageOctets`. */
const PREFIX = 'POCHARD__';

/** A JSON schema as far as the ways to its leaves go. */
export interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly enum?: readonly unknown[];
  readonly secret?: boolean;
  readonly path?: 'always' | 'dotted';
}

/** A value from outside the files: an environment variable or a command line flag. */
export interface Override {
  /** How messages call it: `POCHARD__DATA` or `--data`. */
  readonly source: string;
  /** Steps of the key; case, `_` and `-` do not count. */
  readonly steps: readonly string[];
  readonly text: string;
}

/** All `POCHARD__...` variables, in the order of their names, so that `..LISTENERS` precedes `..LISTENERS__0__PORT`. */
export function environmentOverrides(env: Readonly<Record<string, string | undefined>>): Override[] {
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true })) // item 2 of a list before item 10
    .map((name) => ({ source: name, steps: name.slice(PREFIX.length).split('__'), text: env[name] ?? '' }));
}

/** Lays one override over `root`; a problem leaves `root` as it was. */
export function applyOverride(root: Located, override: Override, schema: SchemaNode, directory: string): [Located, Problem[]] {
  const origin: Origin = { where: override.source, directory };
  const fail = (message: string): [Located, Problem[]] => [root, [{ where: override.source, key: '', message }]];

  const path: (string | number)[] = [];
  let node = schema;
  for (const step of override.steps) {
    const next = descend(node, step);
    if (next === undefined) {
      const known = Object.keys(node.properties ?? {});
      const near = suggest(step, known);
      return fail(`no such key "${step}"${near === undefined ? '' : `; did you mean ${screaming([...path, near])}?`}`);
    }
    path.push(next.step);
    node = next.schema;
  }

  const leaf = parseLeaf(override, node, origin);
  if (leaf.problems.length > 0 || leaf.root === undefined) return [root, [...leaf.problems]];
  const placed = placeAt(root, path, leaf.root);
  return placed === undefined ? fail('there is no list item before this one') : [placed, []];
}

function descend(node: SchemaNode, step: string): { step: string | number; schema: SchemaNode } | undefined {
  if (node.items !== undefined) return /^\d{1,4}$/.test(step) ? { step: Number(step), schema: node.items } : undefined;
  const name = Object.keys(node.properties ?? {}).find((key) => plainName(key) === plainName(step));
  const schema = name === undefined ? undefined : node.properties?.[name];
  return name === undefined || schema === undefined ? undefined : { step: name, schema };
}

/** Text becomes what the schema asks for; what does not fit stays text, and the check names the variable. */
function parseLeaf({ source, text }: Override, { type, enum: options }: SchemaNode, origin: Origin) {
  const whole = (value: unknown) => ({ root: locate(value, origin), problems: [] });
  if (type === 'string' || options !== undefined) return whole(text);
  if (type === 'integer' || type === 'number') return whole(/^-?\d{1,15}(\.\d{1,6})?$/.test(text.trim()) ? Number(text) : text);
  if (type === 'boolean') {
    const word = text.trim().toLowerCase();
    if (['true', 'yes', 'on', '1'].includes(word)) return whole(true);
    return whole(['false', 'no', 'off', '0'].includes(word) ? false : text);
  }
  const { root, problems } = parseYamlLayer(text, source);
  return { root: root === undefined ? undefined : locate(plainValue(root), origin), problems };
}

function screaming(path: Path): string {
  return (
    PREFIX +
    path
      .map((step) =>
        String(step)
          .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
          .toUpperCase(),
      )
      .join('__')
  );
}
