/** What waits in an account's queue. */
import type { MailboxId } from '../../store/store.ts';
import type { Draft } from './draft.ts';
import type { UidRuns } from './entry.ts';
import { haveCommonUid, unionUids } from './uid-runs.ts';

export interface Command<Answer = unknown> {
  /** Origin of the entry; commands of different origins never share one, as an observer does not hear its own. */
  readonly origin: string;
  /** A tree change, or one that carries records: alone in its entry. */
  readonly alone: boolean;
  /** Octets that it adds to the entry and its contents, roughly. */
  readonly weight: number;
  /** The messages that it reads or changes: their mailbox is loaded, and no other command of the entry may touch them. */
  readonly touches: { readonly box: MailboxId; readonly uids: UidRuns } | undefined;
  /**
   * Puts what it does into the draft. Pure otherwise, and called again when another writer was first. Judges before it changes anything,
   * as far as it can.
   * @throws MailError
   */
  compute(draft: Draft): Answer;
}

/** A set of runs this fragmented ends a batch: comparing stays linear. */
const MAX_TOUCHED_RUNS = 8_192;

/** The messages that a batch touches already. */
export class TouchedMessages {
  readonly #boxes = new Map<MailboxId, UidRuns>();

  /** False, and nothing taken, when a message of the command is touched already. */
  take(touches: Command['touches']): boolean {
    if (touches === undefined) return true;
    const before = this.#boxes.get(touches.box);
    if (before === undefined) {
      this.#boxes.set(touches.box, touches.uids);
      return true;
    }
    if (before.length + touches.uids.length > MAX_TOUCHED_RUNS * 2 || haveCommonUid(before, touches.uids)) return false;
    this.#boxes.set(touches.box, unionUids(before, touches.uids));
    return true;
  }
}
