import {
  Damaged,
  type Delivery,
  drop,
  Gone,
  type HookName,
  Locked,
  type Log,
  Refusal,
  type RefusalCode,
  type Session,
  type Submission,
  specs,
  Unavailable,
} from '@pochard/plugin-sdk';
import type { AnswerCheck } from './answer-checks.ts';
import { type ArgumentLimit, closedDelivery, closedSubmission, type Take } from './argument-limits.ts';
import { Breaker } from './breaker.ts';
import type { HostClock } from './clock.ts';
import type { Deadlines, Timed } from './deadlines.ts';
import { HookUnavailable } from './errors.ts';
import type { CallContext } from './hook-calls.ts';
import { type LogSource, redactedLog } from './log.ts';
import type { LoopWatchdog } from './loop-watchdog.ts';
import type { HookMetrics, TapMeter, TapOutcome } from './metrics.ts';
import { type Scope, vouchedName } from './scope.ts';
import { type CallSource, type ExtraName, TapCall } from './tap-call.ts';
import type { Tracer } from './tracer.ts';

/** What a plugin registered; `about` and `call` are the hook's own types, which its typed verb has checked. */
export type TapFunction = (about: never, call: never) => unknown;
/** Called once, with an error or an answer; `undefined` leaves a transform's value as it was. */
export type TapDone = (error: Error | null, answer?: unknown) => void;

export interface GuardParts {
  readonly clock: HostClock;
  readonly deadlines: Deadlines;
  readonly metrics: HookMetrics;
  readonly log: LogSource;
  /** Left out: blocked loops are not watched. */
  readonly watchdog?: LoopWatchdog | undefined;
  readonly tracer?: Tracer | undefined;
  /** A call that waits, so that its generation is not closed under it. */
  readonly inFlight: { readonly isClosed: boolean; enter(): void; leave(): void };
}
export interface TapRecord {
  readonly hook: HookName;
  readonly plugin: string;
  readonly label: string | undefined;
  readonly stage: string;
  readonly deadlineMs: number;
  readonly scope: Scope;
  readonly hasPlaintext: boolean;
  readonly limit: ArgumentLimit | undefined;
  readonly check: AnswerCheck | undefined;
  readonly fn: TapFunction;
}

/** An outage is one line now and then, not one for each login that met it. */
const outageLogMs = 1_000;

type Kind = (typeof specs)[HookName]['kind'];
type Policy = (typeof specs)[HookName]['onFault'];

/** Waiting of a plugin for octets that the core has to bring: its time stands still. */
export interface InputWaits {
  readonly waiting: number;
  /** When octets last came, on the host's clock. */
  readonly resumedAt: number;
}

/** One tap under guard: scope, breaker, deadline, answer check, metrics and failure policy, in that order. */
export class GuardedTap {
  readonly record: TapRecord;
  readonly kind: Kind;
  readonly onFault: Policy;
  readonly parts: GuardParts;
  readonly breaker: Breaker;
  readonly #meter: TapMeter;
  readonly #watched: number;
  #log: Log | undefined;
  #pluginLog: Log | undefined;
  #quietUntil = 0;

  /** `breaker`: shared by the functions of one declared thing. */
  constructor(record: TapRecord, parts: GuardParts, breaker: Breaker = new Breaker()) {
    this.record = record;
    this.parts = parts;
    this.breaker = breaker;
    ({ kind: this.kind, onFault: this.onFault } = specs[record.hook]);
    this.#meter = parts.metrics.tap(record.plugin, record.hook);
    this.#watched = parts.watchdog?.register(record.plugin, record.hook) ?? 0;
  }

  covers(about: unknown, context: CallContext): boolean {
    return this.record.scope.isEverywhere || this.record.scope.covers(this.record.hook, about, context);
  }

  /** Calls the tap and `done` exactly once, perhaps before it returns. Throws only what `done` throws. */
  run(about: unknown, context: CallContext, whenDone: TapDone, input?: InputWaits): RunningTap | undefined {
    const done = this.parts.tracer?.watched(this.record, about, whenDone) ?? whenDone;
    if (about === drop || (this.kind !== 'declare' && !this.covers(about, context))) {
      done(null);
      return undefined;
    }
    const { clock, inFlight } = this.parts;
    if (inFlight.isClosed) {
      done(new HookUnavailable(this.record.hook, this.record.plugin, 'has been unloaded'));
      return undefined;
    }
    const now = clock.now();
    if (!this.breaker.admits(now)) {
      this.#meter.record('unchecked', 0);
      this.#apply('its breaker is open', undefined, done);
      return undefined;
    }
    const running = new RunningTap(this, about, context, now, done, input);
    let answer: unknown;
    try {
      const argument = this.record.limit === undefined ? about : this.record.limit(about, running.loans);
      answer = this.#invoke(argument, running.call);
      if (isThenable(answer)) {
        running.wait();
        answer.then(
          (value) => running.answered(value),
          (error) => running.failed(error),
        );
        return running;
      }
    } catch (error) {
      running.failed(error);
      return running;
    }
    running.answered(answer);
    return running;
  }

  #invoke(argument: unknown, call: TapCall): unknown {
    const { watchdog } = this.parts;
    if (watchdog === undefined) return this.record.fn(argument as never, call as never);
    const before = watchdog.enter(this.#watched);
    try {
      return this.record.fn(argument as never, call as never);
    } finally {
      watchdog.leave(before);
    }
  }

  /** Undefined when `answer` is good for this hook; else what is wrong with it. */
  faultIn(answer: unknown, about: unknown): string | undefined {
    const { check, hook, scope } = this.record;
    switch (this.kind) {
      case 'decide':
        if (answer === undefined) return undefined;
        break;
      case 'transform':
        if (answer === undefined) return 'returned nothing';
        break;
      case 'collect':
        if (answer === undefined) return 'returned nothing';
        break;
      case 'gate':
        return answer === undefined ? undefined : 'a gate returned something';
      case 'declare':
        return check === undefined || check(answer, about) ? undefined : 'returned the wrong thing';
      default:
        return undefined;
    }
    if (check !== undefined && !check(answer, about)) return 'answered in the wrong shape';
    const vouched = answer === drop ? undefined : vouchedName(hook, answer);
    return vouched === undefined || scope.coversName(vouched) ? undefined : 'vouched for an account outside its scope';
  }

  /** The tap did what it may do, a no included. */
  good(outcome: TapOutcome, startedAt: number): void {
    if (this.breaker.succeeded()) this.log.info('breaker closed');
    this.#meter.record(outcome, (this.parts.clock.now() - startedAt) / 1000);
  }
  /** Nobody's doing. */
  neutral(outcome: TapOutcome, startedAt: number): void {
    this.breaker.undecided();
    this.#meter.record(outcome, (this.parts.clock.now() - startedAt) / 1000);
  }
  /** Counts and logs a fault, then does what the hook's row says. */
  fault(outcome: 'fault' | 'timeout', reason: string, error: unknown, startedAt: number, done: TapDone): void {
    const now = this.parts.clock.now();
    const wasOverdue = outcome === 'timeout' && this.breaker.becameOverdue(now);
    const opened = this.breaker.failed(now) || wasOverdue;
    this.#meter.record(outcome, (now - startedAt) / 1000);
    // Never the arguments: they hold addresses and mail.
    this.log.error('plugin fault', { reason, ms: Math.round(now - startedAt), ...(error === undefined ? {} : { error }) });
    if (opened) this.log.warn('breaker open');
    this.#apply(reason, error, done);
  }
  /** What the tap depends on is down: the client hears what a fault would tell it, and the tap is asked again at the next call. */
  unavailable(error: Unavailable, startedAt: number, done: TapDone): void {
    const now = this.parts.clock.now();
    this.neutral('unavailable', startedAt);
    if (now >= this.#quietUntil) {
      this.#quietUntil = now + outageLogMs;
      this.log.warn('backend unavailable', { error });
    }
    this.#apply('its backend is unavailable', error, done);
  }
  count(outcome: 'late' | 'again'): void {
    this.#meter.record(outcome, 0);
  }

  #apply(reason: string, cause: unknown, done: TapDone): void {
    if (this.onFault === 'skip' || this.onFault === 'log') done(null);
    else done(new HookUnavailable(this.record.hook, this.record.plugin, reason, { cause }));
  }

  get log(): Log {
    this.#log ??= this.parts.log.child({ plugin: this.record.plugin, hook: this.record.hook, label: this.record.label });
    return this.#log;
  }
  /** What the plugin itself writes to. */
  logFor(session: Session | undefined): Log {
    if (session !== undefined) {
      return redactedLog(this.parts.log.child({ plugin: this.record.plugin, hook: this.record.hook, session: session.id }));
    }
    this.#pluginLog ??= redactedLog(this.log);
    return this.#pluginLog;
  }
}

/** One call of one tap, until it has answered: also when that is after its time. */
export class RunningTap implements CallSource, Timed {
  readonly #tap: GuardedTap;
  readonly #about: unknown;
  readonly #startedAt: number;
  readonly #done: TapDone;
  readonly context: CallContext;
  readonly call: TapCall;
  #state: 'running' | 'waiting' | 'settled' | 'overdue' = 'running';
  readonly #input: InputWaits | undefined;
  #loans: Take[] | undefined;
  #controller: AbortController | undefined;
  deadlineAt: number;
  previous: Timed | undefined = undefined;
  next: Timed | undefined = undefined;
  isEnrolled = false;

  constructor(tap: GuardedTap, about: unknown, context: CallContext, now: number, done: TapDone, input: InputWaits | undefined) {
    this.#tap = tap;
    this.#input = input;
    this.#about = about;
    this.context = context;
    this.#startedAt = now;
    this.deadlineAt = now + tap.record.deadlineMs;
    this.#done = done;
    this.call = new TapCall(this);
  }

  get loans(): Take[] {
    this.#loans ??= [];
    return this.#loans;
  }
  get deadline(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#state === 'overdue') this.#controller.abort(overdue());
    }
    return this.#controller.signal;
  }
  log(session: Session | undefined): Log {
    return this.#tap.logFor(session);
  }
  extra(name: ExtraName): unknown {
    const value = (this.context as { readonly [Name in ExtraName]?: unknown })[name];
    if (value === undefined || this.#tap.record.hasPlaintext) return value;
    if (name === 'delivery') return closedDelivery(value as Delivery);
    if (name === 'submission') return closedSubmission(value as Submission);
    return value;
  }

  /** The tap has returned a promise. */
  wait(): void {
    this.#state = 'waiting';
    this.#tap.parts.deadlines.add(this);
    this.#tap.parts.inFlight.enter();
  }
  /** For a stream that outlives its call. */
  abort(): void {
    this.#controller?.abort(overdue());
  }

  answered(answer: unknown): void {
    const startedAt = this.#startedAt;
    if (this.#isTooLate()) return;
    const tap = this.#tap;
    // A tap that never gave the loop back could not be cut off; its answer is late all the same.
    const isLate = this.#state === 'running' && tap.parts.clock.now() > this.deadlineAt;
    this.#settle();
    if (isLate) {
      tap.fault('fault', 'blocked the event loop past its deadline', undefined, startedAt, this.#done);
      return;
    }
    let wrong: string | undefined;
    try {
      wrong = tap.faultIn(answer, this.#about);
    } catch (error) {
      // A getter of the answer threw.
      tap.fault('fault', 'answered in the wrong shape', error, startedAt, this.#done);
      return;
    }
    if (wrong !== undefined) {
      tap.fault('fault', wrong, undefined, startedAt, this.#done);
      return;
    }
    tap.good(answer === undefined && tap.kind === 'decide' ? 'not-mine' : 'ok', startedAt);
    if (tap.kind === 'observe' || tap.kind === 'follow') this.#done(null);
    else this.#done(null, answer);
  }

  failed(error: unknown): void {
    const startedAt = this.#startedAt;
    if (this.#isTooLate()) return;
    this.#settle();
    const tap = this.#tap;
    const meaning = meaningOf(error);
    if (meaning === undefined || !(error instanceof Error)) {
      if (this.context.signal?.aborted === true) {
        tap.neutral('aborted', startedAt);
        this.#done(new HookUnavailable(tap.record.hook, tap.record.plugin, 'the client has gone', { cause: error }));
        return;
      }
      if (error instanceof Unavailable) tap.unavailable(error, startedAt, this.#done);
      else tap.fault('fault', 'threw', error, startedAt, this.#done);
      return;
    }
    if (tap.kind === 'follow' && meaning !== 'locked') {
      if (meaning === 'gone') {
        tap.good('gone', startedAt);
        this.#done(null);
      } else if (meaning === 'damaged') {
        tap.good('damaged', startedAt); // retried, but not the plugin's fault
        this.#done(error);
      } else tap.fault('fault', 'refused what has happened', error, startedAt, this.#done);
      return;
    }
    tap.good(meaning, startedAt);
    // Nobody waits for an observer, so there is nobody to refuse.
    this.#done(tap.kind === 'observe' ? null : error);
  }

  expire(now: number): void {
    if (this.#input !== undefined) {
      const { deadlineMs } = this.#tap.record;
      const since = this.#input.waiting > 0 ? now : this.#input.resumedAt;
      if (since + deadlineMs > now) {
        this.deadlineAt = since + deadlineMs;
        return;
      }
    }
    this.#tap.parts.deadlines.remove(this);
    this.#state = 'overdue';
    this.#takeBack();
    // Before the abort, which may run the plugin's listeners: what they throw must not stop the call.
    this.#tap.fault('timeout', `no answer within ${this.#tap.record.deadlineMs} ms`, undefined, this.#startedAt, this.#done);
    this.#controller?.abort(overdue());
  }

  #isTooLate(): boolean {
    if (this.#state === 'settled') {
      this.#tap.count('again');
      return true;
    }
    if (this.#state !== 'overdue') return false;
    this.#state = 'settled';
    this.#tap.breaker.overdueReturned();
    this.#tap.parts.inFlight.leave();
    this.#tap.count('late');
    return true;
  }
  #settle(): void {
    if (this.#state === 'waiting') {
      this.#tap.parts.deadlines.remove(this);
      this.#tap.parts.inFlight.leave();
    }
    this.#takeBack();
    this.#state = 'settled';
  }
  #takeBack(): void {
    if (this.#loans === undefined) return;
    for (const take of this.#loans) take();
    this.#loans = undefined;
  }
}

function overdue(): DOMException {
  return new DOMException('the deadline of this tap is over', 'TimeoutError');
}
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { readonly then?: unknown }).then === 'function';
}

const refusalCodes: Readonly<Record<RefusalCode, true>> = {
  forbidden: true,
  policy: true,
  overquota: true,
  toobig: true,
  rate: true,
  held: true,
  unsupported: true,
};
/** What a tap said by throwing; undefined: nothing, it broke. */
export function meaningOf(error: unknown): 'refused' | 'locked' | 'damaged' | 'gone' | undefined {
  if (error instanceof Refusal) return Object.hasOwn(refusalCodes, error.code) ? 'refused' : undefined;
  if (error instanceof Locked) return 'locked';
  if (error instanceof Damaged) return 'damaged';
  return error instanceof Gone ? 'gone' : undefined;
}
