import { addressGroup } from './address.ts';

/** How many sessions a user has open from one address (IPv4, IPv6 /64): a client that leaks connections shuts out itself, not the user's others. */
export class UserConnections {
  readonly #limit: number;
  readonly #open = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** After login. `false`: one too many, nothing was counted; else `leave` must follow once, with the same arguments. */
  enter(user: string, address: string): boolean {
    const key = `${addressGroup(address)} ${user}`;
    const open = this.#open.get(key) ?? 0;
    if (open >= this.#limit) return false;
    this.#open.set(key, open + 1);
    return true;
  }

  leave(user: string, address: string): void {
    const key = `${addressGroup(address)} ${user}`;
    const open = (this.#open.get(key) ?? 1) - 1;
    if (open > 0) this.#open.set(key, open);
    else this.#open.delete(key);
  }
}
