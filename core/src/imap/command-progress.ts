/** INPROGRESS (RFC 9585): a command that takes long says so every now and then, between whole lines of its answer. */
import type { TimerOwner, TimerWheel, WheelTimer } from '../net/timer-wheel.ts';
import type { Responder } from './responder.ts';

/** ms between two reports, and before the first: half of what RFC 9585 §4 calls sensible is enough against proxies that cut silence. */
export const PROGRESS_MS = 10_000;

/** One for each session that has had a command of the kind; restarted for each. */
export class CommandProgress implements TimerOwner {
  /** Messages looked at, of `goal`; whoever works writes them. A goal of 0: nobody knows. */
  done = 0;
  goal = 0;
  readonly #respond: Pick<Responder, 'ok' | 'flush'>;
  readonly #wheel: TimerWheel;
  #timer: WheelTimer | undefined;
  #tag: string | undefined;
  #isHeld = false;

  constructor(respond: Pick<Responder, 'ok' | 'flush'>, wheel: TimerWheel) {
    this.#respond = respond;
    this.#wheel = wheel;
  }

  /** The command of this tag has begun. */
  begin(tag: string): void {
    this.#tag = tag;
    this.#isHeld = false;
    this.done = 0;
    this.goal = 0;
    if (this.#timer === undefined) this.#timer = this.#wheel.start(this, PROGRESS_MS);
    else this.#wheel.restart(this.#timer);
  }

  /** It is over. Idempotent. */
  end(): void {
    this.#tag = undefined;
    if (this.#timer !== undefined) this.#wheel.stop(this.#timer);
  }

  /** A line is being written in pieces: nothing may come between them until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
  }

  onTimeout(timer: WheelTimer): void {
    if (this.#tag === undefined) return;
    this.#wheel.restart(timer);
    if (this.#isHeld) return;
    const state = this.goal > 0 ? `${Math.min(this.done, this.goal)} ${this.goal}` : 'NIL NIL';
    this.#respond.ok(`INPROGRESS ("${this.#tag}" ${state})`, 'Still working');
    this.#respond.flush();
  }
}
