const faultsInARow = 5; // design/sdk.md §4
const overdueAtOnce = 64; // taps past their deadline that have still not returned: a dead backend, each holding memory
/** Rests between trials: twice as long each time, up to a length after which a backend that is back is used within five seconds. */
const firstRestMs = 1_000;
const longestRestMs = 4_000;
/** While so many calls hang, each trial may add one more. */
const overdueRestMs = 30_000;

/** Keeps a failing tap from costing a deadline on every call. One for each tap. */
export class Breaker {
  #faults = 0;
  #overdue = 0;
  #openUntil = 0;
  #restMs = firstRestMs;
  #state: 'closed' | 'open' | 'trying' = 'closed';

  get state(): 'closed' | 'open' | 'trying' {
    return this.#state;
  }
  /** May the tap be called at `now`? When the rest is over, one call may and the others wait for what it brings. */
  admits(now: number): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'trying' || now < this.#openUntil) return false;
    this.#state = 'trying';
    return true;
  }
  /** Returns true when this closed the breaker. */
  succeeded(): boolean {
    this.#faults = 0;
    this.#restMs = firstRestMs;
    if (this.#state !== 'trying') return false;
    this.#state = 'closed';
    return true;
  }
  /** Returns true when this opened the breaker. */
  failed(now: number): boolean {
    this.#faults += 1;
    return this.#state === 'trying' || this.#faults >= faultsInARow ? this.#open(now) : false;
  }
  /** A call passed its deadline and is still running; beside `failed`. Returns true when this opened the breaker. */
  becameOverdue(now: number): boolean {
    this.#overdue += 1;
    return this.#overdue >= overdueAtOnce ? this.#open(now) : false;
  }
  overdueReturned(): void {
    this.#overdue -= 1;
  }
  /** The trial ended without saying anything of the tap (the client went, its backend is down): the next call tries. */
  undecided(): void {
    if (this.#state === 'trying') this.#state = 'open';
  }
  #open(now: number): boolean {
    const opened = this.#state !== 'open';
    this.#state = 'open';
    this.#openUntil = now + (this.#overdue >= overdueAtOnce ? overdueRestMs : this.#restMs);
    this.#restMs = Math.min(this.#restMs * 2, longestRestMs);
    this.#faults = 0;
    return opened;
  }
}
