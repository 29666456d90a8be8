import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';

import { isCidr } from '../net/address.ts';
import { crossCheck } from './cross-check.ts';
import { type Located, locate, merge, originAt, type Path, plainValue } from './located.ts';
import { applyOverride, environmentOverrides, type Override, type SchemaNode } from './override.ts';
import { ConfigError, keyText, type Problem } from './problem.ts';
import { type Config, configSchema } from './schema.ts';
import { Secret } from './secret.ts';
import { suggest } from './suggestion.ts';
import { parseYamlLayer } from './yaml-layer.ts';

export interface ConfigFile {
  readonly file: string;
  /** `ifThere`: a file that does not exist is an empty layer; `required`: it is a problem. */
  readonly presence: 'required' | 'ifThere';
}

/** All that a configuration is made of, lowest layer first. Nothing else is read. */
export interface ConfigSources {
  readonly files?: readonly ConfigFile[];
  /** Usually `process.env`; only names that begin with `POCHARD__` count. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `{ flag: '--data', key: 'data', value: '/srv/mail' }` */
  readonly flags?: readonly { readonly flag: string; readonly key: string; readonly value: string }[];
  /** Relative paths in variables, flags and defaults count from here; default: the working directory. */
  readonly directory?: string;
}

export interface CheckedConfig {
  /** `undefined` exactly when there are problems. */
  readonly config: Config | undefined;
  readonly problems: readonly Problem[];
}

/**
 * Reads, layers and checks the configuration, secrets from files included.
 * @throws ConfigError with every problem
 */
export async function loadConfig(sources: ConfigSources): Promise<Config> {
  const { config, problems } = await checkConfig(sources);
  if (config === undefined) throw new ConfigError(problems);
  return config;
}

/** As `loadConfig`, but tells all problems instead of throwing. */
export async function checkConfig(sources: ConfigSources): Promise<CheckedConfig> {
  const directory = resolve(sources.directory ?? '.');
  const schema: SchemaNode = configSchema as SchemaNode;
  const validate = new Ajv2020({
    useDefaults: true,
    allErrors: true,
    strict: true,
    keywords: ['secret', 'path'],
    formats: { cidr: isCidr },
  }).compile(configSchema);

  const defaults = {};
  validate(defaults);
  let root: Located = locate(defaults, { where: 'default', directory });
  const problems: Problem[] = [];

  for (const { file, presence } of sources.files ?? []) {
    const text = await readText(resolve(directory, file), file, presence, problems);
    if (text === undefined) continue;
    const layer = parseYamlLayer(text, resolve(directory, file), file);
    problems.push(...layer.problems);
    if (layer.root !== undefined) root = merge(root, layer.root);
  }
  const flags = (sources.flags ?? []).map(({ flag, key, value }): Override => ({ source: flag, steps: key.split('.'), text: value }));
  for (const override of [...environmentOverrides(sources.env ?? {}), ...flags]) {
    const [next, found] = applyOverride(root, override, schema, directory);
    root = next;
    problems.push(...found);
  }

  const value = plainValue(root);
  if (!validate(value)) {
    for (const error of validate.errors ?? []) problems.push(problemOf(error, root));
    return { config: undefined, problems };
  }
  const finished = await finish(value, schema, [], root, problems);
  const config = finished as Config; // the schema has just been checked, and `finish` turns strings into the secrets that the types name
  problems.push(...crossCheck(config, root));
  return { config: problems.length > 0 ? undefined : config, problems };
}

async function readText(path: string, name: string, presence: ConfigFile['presence'], problems: Problem[]): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    if (code !== 'ENOENT' || presence === 'required') problems.push({ where: name, key: '', message: `cannot be read (${code})` });
    return undefined;
  }
}

/** Paths become absolute, secrets become `Secret`s (from their `File` keys too), everything is frozen. */
async function finish(value: unknown, schema: SchemaNode, path: Path, root: Located, problems: Problem[]): Promise<unknown> {
  if (typeof value === 'string') {
    if (schema.secret === true) return new Secret(value);
    const isPath = schema.path === 'always' || (schema.path === 'dotted' && /^\.{0,2}\//.test(value));
    return isPath ? resolve(originAt(root, path).directory, value) : value;
  }
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const [index, item] of value.entries()) items.push(await finish(item, schema.items ?? {}, [...path, index], root, problems));
    return Object.freeze(items);
  }
  if (typeof value !== 'object' || value === null) return value;

  const finished = new Map<string, unknown>();
  for (const [key, item] of Object.entries(value)) {
    finished.set(key, await finish(item, schema.properties?.[key] ?? {}, [...path, key], root, problems));
  }
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const file = finished.get(`${key}File`);
    if (property.secret !== true || typeof file !== 'string') continue;
    const fileKey = [...path, `${key}File`];
    const problem = (message: string) => problems.push({ where: originAt(root, fileKey).where, key: keyText(fileKey), message });
    if (finished.has(key)) problem(`${key} and ${key}File are both set`);
    else {
      const secret = await readSecret(file, problem);
      if (secret !== undefined) finished.set(key, secret);
    }
  }
  return Object.freeze(Object.fromEntries(finished));
}

/** The first line of a secret's file would lose a passphrase of two lines, so all of it counts but the last line end. */
async function readSecret(file: string, problem: (message: string) => void): Promise<Secret | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
    if (text !== '') return new Secret(text);
    problem(`${file} is empty`);
  } catch (error) {
    problem(`${file} cannot be read (${errorCode(error)})`);
  }
  return undefined;
}

function problemOf({ instancePath, keyword, params, message = 'is wrong' }: ErrorObject, root: Located): Problem {
  const { additionalProperty, missingProperty, allowedValues, limit } = params;
  const path: string[] = instancePath.split('/').slice(1).map(unescapePointer);
  const at = (steps: Path, text: string): Problem => ({ where: originAt(root, steps).where, key: keyText(steps), message: text });
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(additionalProperty);
      const near = suggest(name, Object.keys(schemaAt(path)?.properties ?? {}));
      return at([...path, name], near === undefined ? 'no such key' : `no such key; did you mean "${near}"?`);
    }
    case 'required':
      return at([...path, String(missingProperty)], 'is missing');
    case 'enum':
      return at(path, `must be one of: ${[allowedValues].flat().join(', ')}`);
    case 'minimum':
      return at(path, `must be at least ${limit}`);
    case 'maximum':
      return at(path, `must be at most ${limit}`);
    case 'type':
      return at(path, `must be ${typeNames[String(params['type'])] ?? String(params['type'])}`);
    case 'minLength':
      return at(path, limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`);
    case 'format':
      return at(path, 'must be an address range such as 10.0.0.0/8');
    default:
      return at(path, message);
  }
}

const typeNames: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  integer: 'a whole number',
  number: 'a number',
  object: 'a section with keys of its own',
  string: 'text',
};

function schemaAt(path: readonly string[]): SchemaNode | undefined {
  let node: SchemaNode | undefined = configSchema as SchemaNode;
  for (const step of path) node = node?.items ?? node?.properties?.[step];
  return node;
}

function unescapePointer(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
