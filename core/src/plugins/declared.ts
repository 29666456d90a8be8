/** What plugins declare: checked while the plugin loads, then wrapped so that the core calls it with contexts and the guard sees each call. */
import type {
  Awaitable,
  BlobDriver,
  Bytes,
  CliCommand,
  Codec,
  HealthCheck,
  HookName,
  ImapCommand,
  PushChannel,
  Route,
  Segment,
  Stream,
  TSchema,
} from '@pochard/plugin-sdk';
import type { AnswerCheck } from './answer-checks.ts';
import { Breaker } from './breaker.ts';
import { GuardedTap, type GuardParts, type TapFunction, type TapRecord } from './guard.ts';
import { guardedStream, WatchedInput } from './guarded-stream.ts';
import type { CallContext, CodecContext, DeclaredThings, DeclareName } from './hook-calls.ts';
import { settled } from './settled.ts';

/** What all functions of one declared thing share. */
export interface DeclareParts {
  readonly base: Omit<TapRecord, 'check' | 'fn' | 'limit' | 'stage' | 'label'>;
  readonly guard: GuardParts;
}

/** @throws TypeError naming the member that is missing or wrong; the plugin does not load */
export function declare<Name extends DeclareName>(hook: Name, thing: unknown, parts: DeclareParts): DeclaredThings[Name] {
  if (typeof thing !== 'object' || thing === null) throw new TypeError(`${hook}.declare takes an object`);
  return makers[hook](thing, parts);
}
const makers: { readonly [Name in DeclareName]: (thing: object, parts: DeclareParts) => DeclaredThings[Name] } = {
  'store.codec': declareCodec,
  'store.blobs': declareBlobs,
  'notify.channel': declareChannel,
  'imap.command': declareImapCommand,
  'http.route': declareRoute,
  'cli.command': declareCliCommand,
  'health.check': declareHealthCheck,
};

/** What must be there once only, over all plugins: 'store.codec zstd', 'http.route GET /plugins/x/y'. */
export function declaredKey<Name extends DeclareName>(hook: Name, thing: DeclaredThings[Name]): string {
  if ('path' in thing) return `${hook} ${thing.method} ${thing.path.replace(/:[^/]+/g, ':')}`;
  return `${hook} ${thing.name}`;
}

class Caller {
  readonly #parts: DeclareParts;
  readonly #breaker = new Breaker();
  constructor(parts: DeclareParts) {
    this.#parts = parts;
  }
  /** A function of the thing under guard; `fn` gets the arguments as one list. */
  guard(fn: (about: never, call: never) => unknown, check?: AnswerCheck): GuardedTap {
    const record: TapRecord = { ...this.#parts.base, stage: 'normal', label: undefined, limit: undefined, check, fn: fn as TapFunction };
    return new GuardedTap(record, this.#parts.guard, this.#breaker);
  }
}
function call<T>(tap: GuardedTap, about: unknown, context: CallContext): Awaitable<T> {
  return settled((done) => tap.run(about, context, done)) as Awaitable<T>;
}
/** Calls what returns a stream, with the octets that it reads watched. */
async function openStream(tap: GuardedTap, about: unknown, context: CallContext, input: WatchedInput | undefined): Promise<Stream> {
  let running: ReturnType<GuardedTap['run']>;
  const stream = (await settled((done) => {
    running = tap.run(about, context, done, input);
  })) as Stream;
  return guardedStream(stream, { tap, context, running, input, isGood: isOctets });
}

function declareCodec(thing: object, parts: DeclareParts): DeclaredThings['store.codec'] {
  const codec = thing as Codec;
  const name = nameOf(codec, 'store.codec');
  requireFunctions(codec, `store.codec ${name}`, ['appliesTo', 'encode', 'decode']);
  if (codec.stage !== 'compress' && codec.stage !== 'encrypt') throw new TypeError(`store.codec ${name}: stage is 'compress' or 'encrypt'`);
  const caller = new Caller(parts);
  const { clock } = parts.guard;
  const appliesTo = caller.guard((account: never, call: never) => codec.appliesTo(account, call), isBoolean);
  const encode = caller.guard((plain: Segment, call: never) => codec.encode(plain, call), isStream);
  const decode = caller.guard((encoded: Segment, call: never) => codec.decode(encoded, call), isStream);
  const common = {
    plugin: parts.base.plugin,
    name,
    stage: codec.stage,
    appliesTo: (account: Parameters<Codec['appliesTo']>[0], context: CallContext): Awaitable<boolean> =>
      appliesTo.covers(undefined, { ...context, account }) ? call(appliesTo, account, context) : false,
    encode: (plain: Segment, context: CodecContext) => {
      const input = new WatchedInput(clock);
      return openStream(encode, input.segment(plain), context, input);
    },
    decode: (encoded: Segment, context: CodecContext) => {
      const input = new WatchedInput(clock);
      return openStream(decode, input.segment(encoded), context, input);
    },
  };
  let decodeRange: DeclaredThings['store.codec']['decodeRange'];
  if (codec.decodeRange !== undefined) {
    requireFunctions(codec, `store.codec ${name}`, ['decodeRange']);
    const tap = caller.guard(
      ({ encoded, range }: { encoded: Segment; range: never }, call: never) => codec.decodeRange?.(encoded, range, call),
      isStream,
    );
    decodeRange = (encoded, range, context) => {
      const input = new WatchedInput(clock);
      return openStream(tap, { encoded: input.segment(encoded), range }, context, input);
    };
  }
  if (codec.stage === 'compress') return { ...common, decodeRange, canOpen: undefined, sealMetadata: undefined, openMetadata: undefined };

  requireFunctions(codec, `store.codec ${name}`, ['canOpen', 'sealMetadata', 'openMetadata']);
  const seal = caller.guard((plain: never, call: never) => codec.sealMetadata(plain, call), isOctets);
  const open = caller.guard((sealed: never, call: never) => codec.openMetadata(sealed, call), isOpened);
  return {
    ...common,
    decodeRange,
    canOpen(account, session) {
      try {
        return codec.canOpen(account, session) === true;
      } catch (error) {
        // Closed is the safe side; the mail is not lost, only locked.
        open.log.error('plugin fault', { reason: 'canOpen threw', error });
        return false;
      }
    },
    sealMetadata: (plain, context) => call(seal, plain, context),
    openMetadata: (sealed, context) => call(open, sealed, context),
  };
}

function declareBlobs(thing: object, parts: DeclareParts): DeclaredThings['store.blobs'] {
  const driver = thing as BlobDriver;
  const name = nameOf(driver, 'store.blobs');
  requireFunctions(driver, `store.blobs ${name}`, ['put', 'open', 'delete', 'list']);
  const caller = new Caller(parts);
  const put = caller.guard(({ key, content }: { key: string; content: Bytes }, call: never) => driver.put(key, content, call));
  const open = caller.guard(({ key, range }: { key: string; range: never }, call: never) => driver.open(key, range, call), isStream);
  const remove = caller.guard((keys: never, call: never) => driver.delete(keys, call));
  const list = caller.guard((prefix: never, call: never) => driver.list(prefix, call), isStream);
  return {
    plugin: parts.base.plugin,
    name,
    async put(key, content, context) {
      const input = new WatchedInput(parts.guard.clock);
      await settled((done) => put.run({ key, content: input.bytes(content) }, context, done, input));
    },
    open: (key, range, context) => openStream(open, { key, range }, context, undefined),
    delete: (keys, context) => call(remove, keys, context),
    list: (prefix, context) => ({
      async *[Symbol.asyncIterator]() {
        let running: ReturnType<GuardedTap['run']>;
        const items = (await settled((done) => {
          running = list.run(prefix, context, done);
        })) as ReturnType<BlobDriver['list']>;
        yield* guardedStream(items, { tap: list, context, running, input: undefined, isGood: isListed });
      },
    }),
  };
}

function declareChannel(thing: object, parts: DeclareParts): DeclaredThings['notify.channel'] {
  const channel = thing as PushChannel;
  const name = nameOf(channel, 'notify.channel');
  requireFunctions(channel, `notify.channel ${name}`, ['deliver']);
  const tap = new Caller(parts).guard(({ event, target }: { event: never; target: string }, call: never) =>
    channel.deliver(event, target, call),
  );
  return { plugin: parts.base.plugin, name, deliver: (event, target, context) => call(tap, { event, target }, context) };
}

function declareImapCommand(thing: object, parts: DeclareParts): DeclaredThings['imap.command'] {
  const command = thing as ImapCommand<unknown>;
  if (typeof command.name !== 'string' || !/^[A-Za-z][A-Za-z0-9-]{0,31}$/.test(command.name)) {
    throw new TypeError('imap.command: name is an IMAP verb');
  }
  const name = command.name.toUpperCase();
  requireFunctions(command, `imap.command ${name}`, ['handle']);
  if (!Array.isArray(command.states) || command.states.length === 0) throw new TypeError(`imap.command ${name}: states is a list`);
  if (typeof command.args?.read !== 'function') throw new TypeError(`imap.command ${name}: args is a reader of \`arg\``);
  const tap = new Caller(parts).guard((args: never, call: never) => command.handle(args, call));
  return {
    plugin: parts.base.plugin,
    name,
    capability: command.capability,
    states: command.states,
    args: command.args,
    isOffered: (context) => tap.covers(undefined, context),
    handle: (args, context) => call(tap, args, context),
  };
}

class Reply {
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    this.status = status;
    this.body = body;
  }
}
function declareRoute(thing: object, parts: DeclareParts): DeclaredThings['http.route'] {
  const route = thing as Route<TSchema, TSchema, TSchema, Readonly<Record<number, TSchema>>>;
  const title = `http.route ${route.method} ${route.path}`;
  if (!['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].includes(route.method)) throw new TypeError(`${title}: no such method`);
  if (typeof route.path !== 'string' || !/^(\/:?[A-Za-z0-9._-]+)+$/.test(route.path))
    throw new TypeError(`${title}: path is /name/:parameter`);
  if (typeof route.scope !== 'string' || route.scope === '') throw new TypeError(`${title}: scope is the token scope that it asks for`);
  if (typeof route.replies !== 'object' || Object.keys(route.replies).length === 0)
    throw new TypeError(`${title}: replies has a schema by status`);
  requireFunctions(route, title, ['handle']);
  const reply = (status: number, body: unknown): Reply => {
    if (!Object.hasOwn(route.replies, status)) throw new TypeError(`${title} does not declare the reply ${status}`);
    return new Reply(status, body);
  };
  const tap = new Caller(parts).guard(
    (request: never, call: never) => route.handle(request, call),
    (answer) => answer instanceof Reply,
  );
  return {
    plugin: parts.base.plugin,
    method: route.method,
    path: `/plugins/${parts.base.plugin}${route.path}`,
    scope: route.scope,
    summary: String(route.summary),
    params: route.params,
    query: route.query,
    body: route.body,
    replies: route.replies,
    handle: (request, context) => call(tap, request, { ...context, reply } as CallContext),
  };
}

function declareCliCommand(thing: object, parts: DeclareParts): DeclaredThings['cli.command'] {
  const command = thing as CliCommand;
  const name = nameOf(command, 'cli.command');
  requireFunctions(command, `cli.command ${name}`, ['run']);
  const tap = new Caller(parts).guard((args: never, call: never) => command.run(args, call));
  return { plugin: parts.base.plugin, name, summary: String(command.summary), run: (args, context) => call(tap, args, context) };
}

function declareHealthCheck(thing: object, parts: DeclareParts): DeclaredThings['health.check'] {
  const health = thing as HealthCheck;
  const name = nameOf(health, 'health.check');
  requireFunctions(health, `health.check ${name}`, ['check']);
  const tap = new Caller(parts).guard((_about: never, call: never) => health.check(call));
  return { plugin: parts.base.plugin, name, check: (context) => call(tap, undefined, context) };
}

function nameOf(thing: { readonly name: unknown }, hook: HookName): string {
  const { name } = thing;
  if (typeof name !== 'string' || !/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    throw new TypeError(`${hook}: name is a-z, 0-9, dots, dashes, at most 64 characters`);
  }
  return name;
}
function requireFunctions<T extends object>(thing: T, title: string, members: readonly (keyof T & string)[]): void {
  for (const member of members) if (typeof thing[member] !== 'function') throw new TypeError(`${title}: ${member} is not a function`);
}

function isBoolean(answer: unknown): boolean {
  return typeof answer === 'boolean';
}
function isOctets(answer: unknown): boolean {
  return answer instanceof Uint8Array;
}
function isStream(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && typeof (answer as Partial<Stream>)[Symbol.asyncIterator] === 'function';
}
function isListed(item: unknown): boolean {
  const { key, sizeOctets, storedAt } = item as { readonly key?: unknown; readonly sizeOctets?: unknown; readonly storedAt?: unknown };
  return typeof key === 'string' && typeof sizeOctets === 'number' && storedAt instanceof Date;
}
/** One result for each sealed value, in order. */
function isOpened(answer: unknown, sealed: unknown): boolean {
  if (!Array.isArray(answer) || answer.length !== (sealed as readonly unknown[]).length) return false;
  return answer.every(
    (item) =>
      typeof item === 'object' && item !== null && isOctets(item.plain) && (item.replacement === undefined || isOctets(item.replacement)),
  );
}
