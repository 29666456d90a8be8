import { Octets, type TSchema } from '@pochard/plugin-sdk';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';

/** Checks configurations and rows against TypeBox schemas. Objects are closed: an unknown key is an error unless the schema allows it. */
export class SchemaChecker {
  readonly #ajv: Ajv;
  constructor() {
    this.#ajv = new Ajv({ allErrors: true, useDefaults: true, strict: true, strictRequired: false, allowUnionTypes: true, verbose: true });
    addFormats.default(this.#ajv);
    this.#ajv.addKeyword({ keyword: 'octets', validate: (_schema: unknown, value: unknown) => value instanceof Uint8Array, errors: false });
  }
  /** @throws Error when the schema itself is wrong */
  compile(schema: TSchema): ValidateFunction {
    return this.#ajv.compile(closed(schema) as TSchema);
  }
}

/**
 * Fills in the defaults of `schema` and checks.
 * @throws ConfigError with a line for each mistake, naming the key below `root`
 */
export function checkedConfig(checker: SchemaChecker, schema: TSchema, config: unknown, root: string): unknown {
  const filled = structuredClone(config ?? {});
  const validate = checker.compile(schema);
  if (validate(filled)) return filled;
  throw new ConfigError((validate.errors ?? []).map((error) => sentence(error, root)));
}

export class ConfigError extends Error {
  constructor(mistakes: readonly string[]) {
    super(mistakes.join('; '));
    this.name = 'ConfigError';
  }
}

function sentence(error: ErrorObject, root: string): string {
  const path = `${root}${error.instancePath.replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~')}`;
  if (error.keyword === 'additionalProperties') {
    const unknown = String(error.params['additionalProperty']);
    return `${path}.${unknown}: no such key${suggestion(unknown, Object.keys(error.parentSchema?.['properties'] ?? {}))}`;
  }
  if (error.keyword === 'required') return `${path}.${String(error.params['missingProperty'])}: is missing`;
  if (error.keyword === 'const') return `${path}: must be ${JSON.stringify(error.params['allowedValue'])}`;
  return `${path}: ${error.message ?? 'is wrong'}`;
}

/** ' (did you mean "x"?)', or nothing when no known name is near. */
export function suggestion(name: string, known: readonly string[]): string {
  const limit = Math.max(2, Math.floor(name.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const isBeginning = name.length >= 3 && candidate.toLowerCase().startsWith(name.toLowerCase());
    const distance = isBeginning ? 1 : editDistance(name.slice(0, 100).toLowerCase(), candidate.slice(0, 100).toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`;
}
/** Levenshtein, one row at a time. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}

/** A copy whose objects allow no other keys. Parts of `allOf` stay open: each sees only its own keys. */
function closed(schema: unknown, isPart = false): unknown {
  if (Array.isArray(schema)) return schema.map((item) => closed(item, isPart));
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key === 'properties' || key === '$defs') {
      copy[key] = Object.fromEntries(Object.entries(value as object).map(([name, member]) => [name, closed(member)]));
    } else if (key === 'default' || key === 'const' || key === 'enum' || key === 'examples') copy[key] = value;
    else copy[key] = closed(value, key === 'allOf');
  }
  const isOpen = 'additionalProperties' in copy || 'patternProperties' in copy || isPart;
  if (copy['type'] === 'object' && !isOpen) copy['additionalProperties'] = false;
  return copy;
}

/** True for `Octets` fields. */
export function isOctetsSchema(schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && Object.keys(Octets).every((key) => key in schema);
}
