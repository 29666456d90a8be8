/** The record writes of a commit that is being prepared: what plugins put into it with `{ in: commit }` lands with it or not at all. */
import type { Commit } from '@pochard/plugin-sdk';
import { commitBatch, createCommit } from '../plugins/identities.ts';
import type { RecordWrite } from '../store/store.ts';
import { RecordConflict } from '../store/store.ts';

/** Record writes of one gate's run. */
const MAX_WRITES = 1000;
/** Times that a gate is asked again because another writer was first. */
const MAX_ATTEMPTS = 5;

export class CommitBatch {
  readonly commit: Commit = createCommit(this);
  readonly writes: RecordWrite[] = [];
  #isOpen = true;

  /** @throws TypeError when the gate has returned: the commit is on its way */
  add(write: RecordWrite): void {
    if (!this.#isOpen) throw new TypeError('the commit is closed: write in the gate that was given it');
    if (this.writes.length >= MAX_WRITES) throw new RangeError(`a commit holds at most ${MAX_WRITES} rows of plugins`);
    this.writes.push(write);
  }
  close(): void {
    this.#isOpen = false;
  }
  static of(commit: Commit): CommitBatch {
    const batch = commitBatch(commit);
    if (!(batch instanceof CommitBatch)) throw new TypeError('not a commit of this server');
    return batch;
  }
}

/** Runs a gate with a batch, then the commit; both again when another writer was first. @throws RecordConflict when that does not end */
export async function commitWith<T>(
  gate: (batch: CommitBatch) => unknown,
  commit: (writes: readonly RecordWrite[]) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const batch = new CommitBatch();
    try {
      await gate(batch);
    } finally {
      batch.close();
    }
    try {
      return await commit(batch.writes);
    } catch (error) {
      if (!(error instanceof RecordConflict) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}
