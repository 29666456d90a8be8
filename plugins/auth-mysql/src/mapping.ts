/** Where a database keeps users, aliases and domains: tables and columns. */
import { type Static, Type } from '@pochard/plugin-sdk';

const table = (description: string) =>
  Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_$]{0,63}(\\.[A-Za-z_][A-Za-z0-9_$]{0,63})?$', description });
const columnName = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_$]{0,63}(\\.[A-Za-z_][A-Za-z0-9_$]{0,63}){0,2}$' });
const words = Type.Array(Type.String({ maxLength: 200 }), { minItems: 1, maxItems: 20 });
const optional = Type.Optional;
/** A column, and the values that mean yes. */
const flag = Type.Union([
  columnName,
  Type.Object({
    column: columnName,
    on: optional(words),
    key: optional(Type.String({ description: 'the column is a JSON object: its member; yes when there is none' })),
    contains: optional(words),
  }),
]);
const joins = optional(
  Type.Array(
    Type.Object({
      table: table('joined table'),
      left: columnName,
      right: columnName,
      kind: optional(Type.Enum(['inner', 'left'] as const)),
    }),
    {
      maxItems: 5,
    },
  ),
);
const where = optional(Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_$.]{0,190}$' }), words));

const userColumns = {
  address: optional(columnName),
  login: optional(columnName), // when users log in with something else than their address
  password: optional(columnName),
  quota: optional(columnName),
  displayName: optional(columnName),
  active: optional(flag),
  receives: optional(flag),
  imap: optional(flag),
  submission: optional(flag),
  http: optional(flag),
};

export const tablesSchema = Type.Object({
  users: optional(Type.Object({ table: optional(table('one row a user')), columns: optional(Type.Object(userColumns)), joins, where })),
  aliases: optional(
    Type.Object({
      table: optional(table('address to target')),
      columns: optional(Type.Object({ address: optional(columnName), target: optional(columnName), active: optional(flag) })),
      joins,
      where,
      catchAll: optional(
        Type.Array(Type.Enum(['@domain', 'domain', '*@domain'] as const), {
          maxItems: 3,
          description: 'how the address of a catch-all is written',
        }),
      ),
    }),
  ),
  domains: optional(
    Type.Object({
      table: optional(table('one row a domain')),
      columns: optional(Type.Object({ name: optional(columnName), active: optional(flag) })),
      joins,
      where,
    }),
  ),
  domainAliases: optional(
    Type.Object({
      table: optional(table('domain to domain')),
      columns: optional(Type.Object({ name: optional(columnName), target: optional(columnName), active: optional(flag) })),
      joins,
      where,
      form: optional(Type.Enum(['domain', '@domain'] as const)),
    }),
  ),
  quotaUnit: optional(Type.Enum(['octets', 'KiB', 'MiB'] as const)),
});
export type Tables = Static<typeof tablesSchema>;
export type QuotaUnit = NonNullable<Tables['quotaUnit']>;
export type CatchAllForm = '@domain' | 'domain' | '*@domain';
export type Flag = Static<typeof flag>;

export const presetNames = ['postfixadmin', 'iredmail', 'ispconfig', 'mailcow', 'vimbadmin', 'modoboa'] as const;
export type PresetName = (typeof presetNames)[number];

/** `over` wins, member by member; lists and flags are replaced as a whole. */
export function merged(base: Tables, over: Tables | undefined): Tables {
  return over === undefined ? base : (mergedObjects(base, over) as Tables);
}
function mergedObjects(base: object, over: object): object {
  const result = new Map<string, unknown>(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const former = result.get(key);
    result.set(
      key,
      isPlain(former) && isPlain(value) && !('column' in former) && !('column' in value) ? mergedObjects(former, value) : value,
    );
  }
  return Object.fromEntries(result);
}
function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a column's value means yes. NULL means no. */
export function flagValue(value: unknown, flagSpec: Flag | undefined): boolean {
  const { on = DEFAULT_ON, key, contains } = typeof flagSpec === 'object' ? flagSpec : {};
  let seen = value;
  if (key !== undefined) {
    seen = memberOf(value, key);
    if (seen === undefined) return true;
  }
  if (seen === null || seen === undefined) return false;
  const text = (seen instanceof Uint8Array ? bits(seen) : String(seen)).toLowerCase();
  if (contains !== undefined) {
    const items = new Set(text.split(/[\s,;]+/));
    return contains.some((item) => items.has(item.toLowerCase()));
  }
  return on.some((yes) => yes.toLowerCase() === text);
}
const DEFAULT_ON: readonly string[] = ['1', 'y', 'yes', 't', 'true'];

/** BIT(1) comes as an octet. */
function bits(octets: Uint8Array): string {
  return octets.length === 1 && (octets[0] ?? 0) < 2 ? String(octets[0]) : Buffer.from(octets).toString('latin1');
}
function memberOf(value: unknown, key: string): unknown {
  let parsed: unknown = value;
  if (typeof value === 'string') {
    try {
      parsed = JSON.parse(value);
    } catch {
      return 'unreadable'; // not yes
    }
  }
  return typeof parsed === 'object' && parsed !== null ? new Map<string, unknown>(Object.entries(parsed)).get(key) : undefined;
}

const UNITS: Readonly<Record<QuotaUnit, number>> = { octets: 1, KiB: 1024, MiB: 1_048_576 };
/** Octets. Zero and less are "no limit" in all of the presets; NULL says nothing. */
export function quotaOctets(value: unknown, unit: QuotaUnit): number | 'unlimited' | undefined {
  if (value === null || value === undefined || value === '') return undefined;
  const number = Number(value);
  if (!Number.isFinite(number)) return undefined;
  return number <= 0 ? 'unlimited' : Math.min(Math.floor(number) * UNITS[unit], Number.MAX_SAFE_INTEGER);
}
