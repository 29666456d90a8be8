import type { AccountId, Derived } from '../store.ts';
import { type Database, prepare } from './sqlite.ts';
import type { WriteQueue } from './write-queue.ts';

/** Octets that one op carries, so that a group which it joins stays short. */
const OP_OCTETS = 256 * 1024;

export class SqliteDerived implements Derived {
  readonly #queue: WriteQueue;
  readonly #get;
  readonly #list;

  constructor(queue: WriteQueue, database: Database) {
    this.#queue = queue;
    this.#get = prepare<[Uint8Array]>(
      database,
      'SELECT data FROM derived WHERE account = (SELECT id FROM account WHERE name = ?) AND id = ? AND n = ?',
    );
    this.#list = prepare<[id: string, pieces: number]>(
      database,
      'SELECT id, count(*) FROM derived WHERE account = (SELECT id FROM account WHERE name = ?) GROUP BY id ORDER BY id',
    );
  }

  async put(account: AccountId, id: string, from: number, pieces: readonly Uint8Array[]): Promise<void> {
    let octets = 0;
    for (let at = 0, start = 0; at < pieces.length; at++) {
      octets += pieces[at]?.length ?? 0;
      if (octets < OP_OCTETS && at + 1 < pieces.length) continue;
      await this.#queue.submit({ op: 'derived', account, id, from: from + start, pieces: pieces.slice(start, at + 1) });
      start = at + 1;
      octets = 0;
    }
  }

  async get(account: AccountId, id: string, n: number): Promise<Uint8Array | undefined> {
    return this.#get.get(account, id, n)?.[0];
  }

  async list(account: AccountId): Promise<readonly { readonly id: string; readonly pieces: number }[]> {
    return this.#list.all(account).map(([id, pieces]) => ({ id, pieces }));
  }

  async drop(account: AccountId, id: string): Promise<void> {
    while (await this.#queue.submit({ op: 'drop-derived', account, id }));
  }
}
