/** The kinds of hooks, one verb each, so that the wrong kind of tap has no method to call. */
import type { TSchema } from 'typebox';
import type { Awaitable } from './brand.ts';
import type { Call, FollowCall } from './calls.ts';
import type { Route } from './http-route.ts';
import type { ImapCommand } from './imap-command.ts';
import type { EventOf, JournalEventType } from './journal-events.ts';

export interface TapOptions<Stage extends string> {
  readonly stage?: Stage; // the hook's own names; `specs` has their order and where a tap goes that names none
  readonly label?: string; // when a plugin taps one hook twice
  /** A server that does not call this hook yet loads the plugin without this tap. Without the option it refuses the plugin. */
  readonly whenMissing?: 'skip';
}

/** The first answer wins; `undefined`, or no return at all, is "not mine". */
export interface Decide<Question, Answer extends object, C extends Call, Stage extends string = 'normal'> {
  readonly kind: 'decide';
  // biome-ignore lint/suspicious/noConfusingVoidType: a tap without a return says "not mine" too
  decide(tap: (question: Question, call: C) => Awaitable<Answer | undefined | void>, options?: TapOptions<Stage>): void;
}

/** Every tap is asked at once and all answers count. */
export interface Collect<Question, Answer extends object, C extends Call> {
  readonly kind: 'collect';
  collect(tap: (question: Question, call: C) => Awaitable<readonly Answer[]>, options?: TapOptions<'normal'>): void;
}

/** Each tap gets what the one before returned. Returning nothing is a fault, not "unchanged". */
export interface Transform<Value, C extends Call, Stage extends string = 'normal', Result = Value> {
  readonly kind: 'transform';
  transform(tap: (value: Value, call: C) => Awaitable<Result>, options?: TapOptions<Stage>): void;
}

/** Passes unless a tap throws: `Refusal` is a permanent veto, anything else a temporary one. */
export interface Gate<Request, C extends Call> {
  readonly kind: 'gate';
  gate(tap: (request: Request, call: C) => Awaitable<void>, options?: TapOptions<'normal'>): void;
}

/** Looks on, isolated, at most once. */
export interface Observe<Event, C extends Call> {
  readonly kind: 'observe';
  observe(tap: (event: Event, call: C) => unknown, options?: TapOptions<'normal'>): void;
}

/** Reads the journal with a stored cursor per account: in order, at least once, retried until it returns. */
export interface Follow {
  readonly kind: 'follow';
  follow<Type extends JournalEventType>(
    types: readonly Type[],
    tap: (event: EventOf<Type>, call: FollowCall) => unknown,
    options?: TapOptions<'normal'> & { readonly from?: 'now' | 'start' },
  ): void;
}

/** Registers something while the plugin loads. */
export interface Declare<Thing> {
  readonly kind: 'declare';
  declare(thing: Thing): void;
}

export interface DeclareRoute {
  readonly kind: 'declare';
  declare<Params extends TSchema, Query extends TSchema, Body extends TSchema, const Replies extends Readonly<Record<number, TSchema>>>(
    route: Route<Params, Query, Body, Replies>,
  ): void;
}

export interface DeclareCommand {
  readonly kind: 'declare';
  declare<Args>(command: ImapCommand<Args>): void;
}
