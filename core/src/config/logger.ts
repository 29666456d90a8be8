import { type DestinationStream, destination, type LevelWithSilent, type Logger as Pino, pino } from 'pino';

import { Secret } from './secret.ts';

/** Details first, then a fixed sentence. Details never hold mail content or passwords; secrets and octets are hidden by their type. */
type LogMethod = (details: Readonly<Record<string, unknown>>, message: string) => void;

export interface Logger {
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  isLevelEnabled(level: string): boolean;
  /** A logger whose every line also has these details. */
  child(bindings: Readonly<Record<string, unknown>>): Logger;
}

export interface LoggerOptions {
  readonly level: LevelWithSilent;
  readonly pretty: boolean;
  /** Where lines go; default: standard output, not waiting for it. */
  readonly to?: { write(line: string): void };
}

const MAX_LEVELS = 6;
const MAX_TEXT = 4096;

/** One JSON object a line: level, time (ISO 8601), details, msg. */
export function createLogger({ level, pretty, to = destination({ dest: 1, sync: false }) }: LoggerOptions): Logger {
  const stream: DestinationStream = pretty ? { write: (line) => to.write(prettyLine(line)) } : to;
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }), log: shownDetails },
    serializers: { err: (value: unknown) => value }, // errors are already plain
  };
  return wrap(pino(options, stream));
}

/** For tests and for tools that print their own lines. */
export function silentLogger(): Logger {
  return createLogger({ level: 'silent', pretty: false, to: { write: () => undefined } });
}

function wrap(inner: Pino): Logger {
  return {
    trace: inner.trace.bind(inner),
    debug: inner.debug.bind(inner),
    info: inner.info.bind(inner),
    warn: inner.warn.bind(inner),
    error: inner.error.bind(inner),
    fatal: inner.fatal.bind(inner),
    isLevelEnabled: (level) => inner.isLevelEnabled(level),
    child: (bindings) => wrap(inner.child(shownDetails(bindings))), // pino does not format what a child binds
  };
}

function shownDetails(details: object): Record<string, unknown> {
  return shownObject(details, 0);
}

function shownObject(object: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, shown(value, depth + 1)]));
}

/** A detail as it may be written: octets (mail, keys) as their number, secrets hidden, errors with their causes, depth and length bounded. */
function shown(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}...` : value;
  if (typeof value === 'bigint' || typeof value === 'symbol') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Secret) return value.toJSON();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} octets]`;
  if (depth > MAX_LEVELS) return '[deeper]';
  if (value instanceof Error) return shownError(value, depth);
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => shown(item, depth + 1));
  if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`;
  if ('toJSON' in value && typeof value.toJSON === 'function') return shown(value.toJSON(), depth + 1);
  return shownObject(value, depth);
}

function shownError(error: Error, depth: number): Record<string, unknown> {
  const shownProperties = shownObject({ ...error }, depth);
  return {
    ...shownProperties,
    type: error.name,
    message: shown(error.message, depth + 1),
    stack: shown(error.stack, depth + 1),
    ...(error.cause === undefined ? {} : { cause: shown(error.cause, depth + 1) }),
  };
}

function prettyLine(line: string): string {
  const parsed: Record<string, unknown> = JSON.parse(line);
  const { level, time, msg, ...details } = parsed;
  const rest = Object.entries(details).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${msg ?? ''}${rest.join('')}\n`;
}
