/**
 * How content lies at rest: the stack of `store.codec` that applies to an account, done in order (compress, then encrypt) and undone
 * in reverse (design/sdk.md §2). Streams are chained; nothing is gathered between codecs.
 */
import type { Account, Actor, ByteRange, Segment, Session, Stream } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import type { CodecContext, DeclaredCodec, HookCalls } from '../../plugins/hook-calls.ts';
import type { Bus } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { asMailError } from '../hook-errors.ts';

export type SegmentRole = Segment['role'];
/** Small values of one content that its codecs keep with its metadata. */
export type Notes = Map<string, Uint8Array>;
export interface EncryptCodec extends DeclaredCodec {
  readonly sealMetadata: NonNullable<DeclaredCodec['sealMetadata']>;
  readonly openMetadata: NonNullable<DeclaredCodec['openMetadata']>;
}
export interface CodecStack {
  /** In the order of encoding. */
  readonly codecs: readonly DeclaredCodec[];
  /** At most one: mail sealed twice could be opened by nobody. */
  readonly encrypt: EncryptCodec | undefined;
}
/** Who encodes or decodes, and of which content. */
export interface CodecScope {
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session | undefined;
  readonly signal?: AbortSignal | undefined;
  /** {@link bindingOf} account and content. */
  readonly binding: Uint8Array;
  readonly notes: Notes;
}

export const PLAIN: CodecStack = { codecs: [], encrypt: undefined };
/** Octets of all notes of one content. */
const MAX_NOTES_OCTETS = 1024 * 1024;

const NEWS = 'codecs';

export class Codecs {
  readonly #hooks: HookCalls;
  readonly #actor: Actor;
  readonly #stacks: LRUCache<string, CodecStack>;
  readonly #bus: Pick<Bus, 'tell'> | undefined;

  /** `actor` asks plugins on the server's own behalf. */
  constructor(options: {
    readonly hooks: HookCalls;
    readonly actor: Actor;
    readonly cacheMs?: number;
    readonly bus?: Pick<Bus, 'tell' | 'hear'>;
  }) {
    this.#hooks = options.hooks;
    this.#actor = options.actor;
    this.#stacks = new LRUCache({ max: 10_000, ttl: options.cacheMs ?? 10_000 });
    options.hooks.onReload(() => this.#stacks.clear());
    this.#bus = options.bus;
    options.bus?.hear(NEWS, (about) => this.#forgetHere(about));
  }

  /** At once when nothing is declared or the answer is cached. @throws MailError unavailable */
  stackOf(account: Account): CodecStack | Promise<CodecStack> {
    const declared = this.#hooks.declared('store.codec');
    if (declared.length === 0) return PLAIN;
    return this.#stacks.get(account.id) ?? this.#ask(account, declared);
  }

  /** Whether an encrypting codec applies: the account is `sealed`. `account.sealed` is not looked at. */
  isSealed(account: Account): boolean | Promise<boolean> {
    const stack = this.stackOf(account);
    return stack instanceof Promise ? stack.then(({ encrypt }) => encrypt !== undefined) : stack.encrypt !== undefined;
  }

  /** Something was written that may change what applies to the account (or to all of them). */
  async forget(accountId: string | 'all'): Promise<void> {
    this.#forgetHere(accountId);
    await this.#bus?.tell(NEWS, accountId);
  }
  #forgetHere(accountId: string): void {
    if (accountId === 'all') this.#stacks.clear();
    else this.#stacks.delete(accountId);
  }

  /** False: this session cannot open the account's mail. */
  async canOpen(account: Account, session: Session | undefined): Promise<boolean> {
    const { encrypt } = await this.stackOf(account);
    if (encrypt === undefined) return true;
    if (session === undefined) return false;
    try {
      return encrypt.canOpen?.(account, session) ?? true;
    } catch (error) {
      throw asMailError(error);
    }
  }

  async encode(stack: CodecStack, plain: Segment, scope: CodecScope): Promise<Stream> {
    let segment = plain;
    let stream = plain.open();
    for (const codec of stack.codecs) {
      stream = await this.#call(() => codec.encode(segment, contextOf(scope)));
      segment = onceOpened(plain, stream);
    }
    return stream;
  }

  /** What `names` made of a segment, undone. @throws MailError unavailable (codec is missing: it is never served encoded), locked, damaged */
  decode(names: readonly string[], encoded: Segment, scope: CodecScope): Segment {
    let segment = encoded;
    for (const name of names.toReversed()) {
      const codec = this.byName(name);
      const below = segment;
      const call = <T>(run: () => T | Promise<T>) => this.#call(run);
      segment = {
        role: encoded.role,
        plainOctets: encoded.plainOctets,
        async *open(range?: ByteRange): AsyncGenerator<Uint8Array> {
          try {
            if (range !== undefined && codec.decodeRange !== undefined) {
              const { decodeRange } = codec;
              yield* await call(() => decodeRange(below, range, contextOf(scope)));
            } else {
              const all = await call(() => codec.decode(below, contextOf(scope)));
              yield* range === undefined ? all : cut(all, range);
            }
          } catch (error) {
            throw asMailError(error);
          }
        },
      };
    }
    return segment;
  }

  /** After the last chunk of `encode`, so that notes are complete. */
  seal(codec: EncryptCodec, record: Uint8Array, scope: CodecScope): Promise<Uint8Array> {
    return this.#call(() => codec.sealMetadata(record, contextOf(scope)));
  }

  /** In the order given; `replacement` may be written back. @throws MailError locked, damaged, unavailable */
  async unseal(
    name: string,
    sealed: readonly { readonly octets: Uint8Array; readonly binding: Uint8Array }[],
    scope: Pick<CodecScope, 'account' | 'actor' | 'session' | 'signal'>,
  ): Promise<readonly { readonly plain: Uint8Array; readonly replacement?: Uint8Array }[]> {
    const codec = this.encryptByName(name);
    const opened = await this.#call(() => codec.openMetadata(sealed, scope));
    if (opened.length !== sealed.length) throw new MailError('unavailable', 'Stored mail cannot be read now');
    return opened;
  }

  byName(name: string): DeclaredCodec {
    const codec = this.#hooks.declared('store.codec').find((declared) => declared.name === name);
    if (codec === undefined)
      throw new MailError('unavailable', 'Stored mail cannot be read now', { cause: new Error(`codec ${name} is not loaded`) });
    return codec;
  }

  /** @throws MailError unavailable when it is missing or does not encrypt */
  encryptByName(name: string): EncryptCodec {
    const codec = this.byName(name);
    if (!isEncrypt(codec))
      throw new MailError('unavailable', 'Stored mail cannot be read now', { cause: new Error(`codec ${name} does not encrypt`) });
    return codec;
  }

  async #ask(account: Account, declared: readonly DeclaredCodec[]): Promise<CodecStack> {
    const codecs: DeclaredCodec[] = [];
    for (const stage of ['compress', 'encrypt'] as const) {
      for (const codec of declared) {
        if (codec.stage !== stage) continue;
        if (await this.#call(() => codec.appliesTo(account, { actor: this.#actor, account }))) codecs.push(codec);
      }
    }
    const encrypting = codecs.filter((codec) => codec.stage === 'encrypt');
    const [encrypt] = encrypting;
    if (encrypting.length > 1) throw new MailError('unavailable', 'Two encrypting codecs apply to the account');
    if (encrypt !== undefined && !isEncrypt(encrypt)) throw new MailError('unavailable', 'The encrypting codec cannot seal metadata');
    const stack: CodecStack = { codecs, encrypt };
    this.#stacks.set(account.id, stack);
    return stack;
  }

  async #call<T>(run: () => T | Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw asMailError(error);
    }
  }
}

export function bindingOf(account: Account, content: number): Uint8Array {
  return Buffer.from(`${account.id}\0${content}`, 'latin1');
}

export function contextOf(scope: CodecScope): CodecContext {
  const { account, actor, session, signal, binding, notes } = scope;
  return {
    account,
    actor,
    session,
    signal,
    binding,
    notes: {
      get: (name) => notes.get(name),
      set(name, octets) {
        notes.set(name, Uint8Array.from(octets));
        let total = 0;
        for (const [key, value] of notes) total += key.length + value.length;
        if (total > MAX_NOTES_OCTETS) throw new RangeError('notes of a content are limited to 1 MiB');
      },
    },
  };
}

/** Octets [start, end) of a stream that begins at 0; what follows is not read. */
export async function* cut(stream: Stream, range: ByteRange): AsyncGenerator<Uint8Array> {
  let at = 0;
  if (range.start >= range.end) return;
  for await (const chunk of stream) {
    const from = Math.max(0, range.start - at);
    const to = Math.min(chunk.length, range.end - at);
    if (from < to) yield chunk.subarray(from, to);
    at += chunk.length;
    if (at >= range.end) return;
  }
}

function isEncrypt(codec: DeclaredCodec): codec is EncryptCodec {
  return codec.stage === 'encrypt' && codec.sealMetadata !== undefined && codec.openMetadata !== undefined;
}

/** The output of one codec as the input of the next: it streams past once. */
function onceOpened(plain: Segment, stream: Stream): Segment {
  let opened = false;
  return {
    role: plain.role,
    plainOctets: plain.plainOctets,
    open(range) {
      if (opened || range !== undefined) throw new TypeError('what a codec has made can be read once, from its start');
      opened = true;
      return stream;
    },
  };
}
