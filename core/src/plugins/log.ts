import { inspect } from 'node:util';
import type { Log } from '@pochard/plugin-sdk';

/** Where log lines go; pino outside, bound to its fields once per name. */
export interface LogSource {
  child(fields: Readonly<Record<string, unknown>>): Log;
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
export const silentLog: LogSource = { child: () => silent };

/** A plugin's log: values that are or hold mail are replaced, secrets hide themselves. */
export function redactedLog(log: Log): Log {
  return {
    debug: (message, fields) => log.debug(message, fields && redacted(fields)),
    info: (message, fields) => log.info(message, fields && redacted(fields)),
    warn: (message, fields) => log.warn(message, fields && redacted(fields)),
    error: (message, fields) => log.error(message, fields && redacted(fields)),
  };
}

const maxDepth = 4;
function redacted(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(value, 1)]));
}
function shown(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Error || value instanceof Date) return value;
  if (value instanceof Uint8Array) return `[${value.length} octets]`;
  if ('open' in value && typeof value.open === 'function') return '[message]';
  if (typeof (value as { readonly [inspect.custom]?: unknown })[inspect.custom] === 'function') return String(value);
  if (depth >= maxDepth) return '[nested]';
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => shown(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shown(item, depth + 1)]));
}
