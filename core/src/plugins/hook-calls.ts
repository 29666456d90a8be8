/**
 * How the core's services call hooks: the one typed way. `HookCalls` is what a service is given.
 * Nothing is allocated and no promise is made for a hook without taps: `transform` returns its value, `gate` returns undefined, at once.
 */
import type {
  Account,
  Awaitable,
  BlobDriver,
  ByteRange,
  Bytes,
  Call,
  CliCommand,
  CodecCall,
  Collect,
  Decide,
  Follow,
  FollowCall,
  Gate,
  HealthCheck,
  HookAt,
  HookName,
  ImapArgs,
  ImapValue,
  JournalEvent,
  JournalEventType,
  MailboxRef,
  Observe,
  PushEvent,
  Segment,
  Session,
  SessionEnd,
  Stream,
  specs,
  TappedName,
  Transform,
  TSchema,
} from '@pochard/plugin-sdk';

type NamesOf<Kind extends string> = { [Name in HookName]: (typeof specs)[Name]['kind'] extends Kind ? Name : never }[HookName];
export type DecideName = NamesOf<'decide'>;
export type CollectName = NamesOf<'collect'>;
export type TransformName = NamesOf<'transform'>;
export type GateName = NamesOf<'gate'>;
export type ObserveName = NamesOf<'observe'>;
export type DeclareName = NamesOf<'declare'>;
/** Hooks that the core's own steps can join. */
export type CoreTapName = DecideName | CollectName | TransformName | GateName | ObserveName;

/** What a hook's taps are about: question, value, request or event. */
export type QuestionOf<Name extends TappedName> =
  HookAt<Name> extends Decide<infer Q, infer _A, infer _C, infer _S>
    ? Q
    : HookAt<Name> extends Transform<infer V, infer _C, infer _S, infer _R>
      ? V
      : HookAt<Name> extends Gate<infer R, infer _C>
        ? R
        : HookAt<Name> extends Collect<infer Q, infer _A, infer _C>
          ? Q
          : HookAt<Name> extends Observe<infer E, infer _C>
            ? E
            : HookAt<Name> extends Follow
              ? JournalEvent
              : never;
/** What comes back: an answer of `decide` or `collect`, the value of `transform` (or `drop` where it may be). */
export type AnswerOf<Name extends DecideName | CollectName | TransformName> =
  HookAt<Name> extends Decide<infer _Q, infer A, infer _C, infer _S>
    ? A
    : HookAt<Name> extends Collect<infer _Q, infer A, infer _C>
      ? A
      : HookAt<Name> extends Transform<infer _V, infer _C, infer _S, infer R>
        ? R
        : never;
/** The stages of a hook, in no order; `specs` has the order. */
export type StageOf<Name extends HookName> =
  HookAt<Name> extends Decide<infer _Q, infer _A, infer _C, infer S>
    ? S
    : HookAt<Name> extends Transform<infer _V, infer _C, infer S, infer _R>
      ? S
      : 'normal';
type CallOf<Name extends TappedName> =
  HookAt<Name> extends Decide<infer _Q, infer _A, infer C, infer _S>
    ? C
    : HookAt<Name> extends Transform<infer _V, infer C, infer _S, infer _R>
      ? C
      : HookAt<Name> extends Gate<infer _R, infer C>
        ? C
        : HookAt<Name> extends Collect<infer _Q, infer _A, infer C>
          ? C
          : HookAt<Name> extends Observe<infer _E, infer C>
            ? C
            : FollowCall;

/** A call as the core states it: who, for whose mail, until when. The guard makes each tap's `Call` of it, and only when it is looked at. */
export type ContextOf<C> = Omit<C, 'signal' | 'log' | 'session' | 'reply' | 'print'> & CallOrigin;
export interface CallOrigin {
  readonly session?: Session | undefined;
  readonly account?: Account | undefined;
  /** The connection's or the server's end. Each tap's own deadline is added to it. */
  readonly signal?: AbortSignal | undefined;
  /** Name of the listener that the call came through, where there is no session (the maildrop). */
  readonly listener?: string | undefined;
}
export type ContextFor<Name extends TappedName> = ContextOf<CallOf<Name>>;
export type CallContext = ContextOf<Call>;

/**
 * What every failed call throws, besides the errors of the core's own steps: `Refusal` is a permanent no in words for the client;
 * `Locked`, `Damaged` and `Gone` are passed through as the SDK says; `HookUnavailable` (`errors.ts`) is a temporary failure:
 * NO [UNAVAILABLE], 451 or 454, 503.
 */
export interface HookCalls {
  /** True when somebody taps the hook now, the core's own steps included. */
  has(name: TappedName): boolean;
  /** The first answer, or undefined when nobody had one. */
  decide<Name extends DecideName>(name: Name, question: QuestionOf<Name>, context: ContextFor<Name>): Awaitable<AnswerOf<Name> | undefined>;
  /** All answers, in the order of the taps. */
  collect<Name extends CollectName>(
    name: Name,
    question: QuestionOf<Name>,
    context: ContextFor<Name>,
  ): Awaitable<readonly AnswerOf<Name>[]>;
  /** The value as the last tap left it; `drop` ends the series at once. */
  transform<Name extends TransformName>(name: Name, value: QuestionOf<Name>, context: ContextFor<Name>): Awaitable<AnswerOf<Name>>;
  /** Returns when all have let pass. */
  gate<Name extends GateName>(name: Name, request: QuestionOf<Name>, context: ContextFor<Name>): Awaitable<void>;
  /** Tells and does not wait; never throws. */
  observe<Name extends ObserveName>(name: Name, event: QuestionOf<Name>, context: ContextFor<Name>): void;
  /** `session.ended`, and then the session secrets are wiped: when the observers are done or their time is over. Never rejects. */
  endSession(end: SessionEnd, context: ContextFor<'session.ended'> & { readonly session: Session }): Promise<void>;
  /** Wipes what plugins attached to a session, without an end: lock, idle limit, credential change. */
  wipeSessionSecrets(session: Session): void;
  /** The `journal` taps of now. Ask again after a reload (`onReload`). */
  followers(): readonly Follower[];
  /** What plugins have declared, in order, each function of it under the guard. Ask each time: a reload changes the list. */
  declared<Name extends DeclareName>(name: Name): readonly DeclaredThings[Name][];
  /** Runs after each change of generation; returns a function that stops it. */
  onReload(changed: () => void): () => void;
  /** The core's own steps as taps called `core`. They run unguarded: their errors pass unchanged. */
  readonly core: CoreTaps;
  /** All taps in their order of running. */
  explain(name: HookName): readonly ExplainedTap[];
}

/** The core's steps by hook. Mapped rather than computed, so that the compiler knows literals in what a step returns. */
type DecideSteps = {
  [Name in DecideName]: (question: QuestionOf<Name>, context: ContextFor<Name>) => Awaitable<AnswerOf<Name> | undefined>;
};
type TransformSteps = { [Name in TransformName]: (value: QuestionOf<Name>, context: ContextFor<Name>) => Awaitable<AnswerOf<Name>> };
type CollectSteps = {
  [Name in CollectName]: (question: QuestionOf<Name>, context: ContextFor<Name>) => Awaitable<readonly AnswerOf<Name>[]>;
};
type GateSteps = { [Name in GateName]: (request: QuestionOf<Name>, context: ContextFor<Name>) => Awaitable<void> };
type ObserveSteps = { [Name in ObserveName]: (event: QuestionOf<Name>, context: ContextFor<Name>) => Awaitable<void> };
export interface CoreTaps {
  decide<Name extends DecideName>(name: Name, stage: StageOf<Name>, step: DecideSteps[Name]): void;
  transform<Name extends TransformName>(name: Name, stage: StageOf<Name>, step: TransformSteps[Name]): void;
  collect<Name extends CollectName>(name: Name, step: CollectSteps[Name]): void;
  gate<Name extends GateName>(name: Name, step: GateSteps[Name]): void;
  observe<Name extends ObserveName>(name: Name, step: ObserveSteps[Name]): void;
}

export interface ExplainedTap {
  readonly plugin: string; // 'core' for the core's own steps
  readonly label: string | undefined;
  readonly stage: string;
  readonly deadlineMs: number | undefined; // none for core
  readonly onFault: string;
  readonly shadow: boolean;
  readonly breaker: 'closed' | 'open' | 'trying';
}

/** One `journal` tap with a cursor of its own. */
export interface Follower {
  /** Names its cursor: the same after a restart with the same configuration. */
  readonly id: string;
  readonly plugin: string;
  readonly types: ReadonlySet<JournalEventType>;
  readonly from: 'now' | 'start';
  /** False: outside the entry's scope; the cursor just moves on. */
  inScope(event: JournalEvent, context: ContextFor<'journal'>): boolean;
  /**
   * Resolves when the plugin is done with the event (also when the message is gone).
   * @throws Locked to be called again after the owner's next unlock
   * @throws HookUnavailable to be called again with backoff
   */
  deliver(event: JournalEvent, context: ContextFor<'journal'>): Promise<void>;
}

/** What was declared, as the core calls it: contexts instead of calls, faults as `HookUnavailable`. */
export interface DeclaredThings {
  'store.codec': DeclaredCodec;
  'store.blobs': DeclaredBlobs;
  'notify.channel': DeclaredChannel;
  'imap.command': DeclaredImapCommand;
  'http.route': DeclaredRoute;
  'cli.command': DeclaredCliCommand;
  'health.check': DeclaredHealthCheck;
}
export interface Declared {
  readonly plugin: string;
}
export type CodecContext = ContextOf<CodecCall>;
export type AccountContext = CallContext & { readonly account: Account };
export interface DeclaredCodec extends Declared {
  readonly name: string;
  readonly stage: 'compress' | 'encrypt';
  /** False too for accounts outside the entry's scope. What is encoded already is decoded for whoever it belongs to. */
  appliesTo(account: Account, context: CallContext): Awaitable<boolean>;
  encode(plain: Segment, context: CodecContext): Awaitable<Stream>;
  decode(encoded: Segment, context: CodecContext): Awaitable<Stream>;
  /** Absent: decode from the start and cut. */
  readonly decodeRange: ((encoded: Segment, range: ByteRange, context: CodecContext) => Awaitable<Stream>) | undefined;
  /** The rest is there with `stage: 'encrypt'` only. */
  readonly canOpen: ((account: Account, session: Session) => boolean) | undefined;
  readonly sealMetadata: ((plain: Uint8Array, context: CodecContext) => Awaitable<Uint8Array>) | undefined;
  readonly openMetadata:
    | ((
        sealed: readonly { readonly octets: Uint8Array; readonly binding: Uint8Array }[],
        context: AccountContext,
      ) => Awaitable<readonly { readonly plain: Uint8Array; readonly replacement?: Uint8Array }[]>)
    | undefined;
}
export interface DeclaredBlobs extends Declared {
  readonly name: string;
  put(key: string, content: Bytes, context: CallContext): Awaitable<void>;
  open(key: string, range: ByteRange | undefined, context: CallContext): Awaitable<Stream>;
  delete(keys: readonly string[], context: CallContext): Awaitable<void>;
  list(prefix: string, context: CallContext): ReturnType<BlobDriver['list']>;
}
export interface DeclaredChannel extends Declared {
  readonly name: string;
  deliver(event: PushEvent, target: string, context: AccountContext): Awaitable<void>;
}
export interface DeclaredImapCommand extends Declared {
  readonly name: string; // upper case
  readonly capability: string | undefined;
  readonly states: readonly ('not-authenticated' | 'authenticated' | 'selected')[];
  readonly args: ImapArgs<unknown>; // its errors are SyntaxError: BAD
  /** False: outside the entry's scope; answer as to an unknown command. */
  isOffered(context: CallContext): boolean;
  handle(
    args: unknown,
    context: AccountContext & {
      readonly session: Session;
      readonly selected: MailboxRef | undefined;
      untagged(name: string, ...values: readonly ImapValue[]): Promise<void>;
    },
  ): Awaitable<void>;
}
export interface DeclaredRoute extends Declared {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string; // whole: /plugins/<plugin>/...
  readonly scope: string;
  readonly summary: string;
  readonly params: TSchema | undefined;
  readonly query: TSchema | undefined;
  readonly body: TSchema | undefined;
  readonly replies: Readonly<Record<number, TSchema>>;
  handle(
    request: { readonly params: unknown; readonly query: unknown; readonly body: unknown },
    context: CallContext,
  ): Awaitable<{ readonly status: number; readonly body: unknown }>;
}
export interface DeclaredCliCommand extends Declared {
  readonly name: CliCommand['name'];
  readonly summary: string;
  run(args: readonly string[], context: CallContext & { print(line: string): void }): Awaitable<void>;
}
export interface DeclaredHealthCheck extends Declared {
  readonly name: HealthCheck['name'];
  check(context: CallContext): Awaitable<void>;
}
