/** Which mailboxes' messages are in memory: least recently used by octets. Dropping one costs a read; its unsaved entries stay in the account's tail. */
import type { MailboxRecord } from './account-state.ts';

export class PackedResidency {
  readonly #maxOctets: number;
  #octets = 0;
  /** Not pinned, oldest first. */
  readonly #droppable = new Set<MailboxRecord>();

  constructor(maxOctets: number) {
    this.#maxOctets = maxOctets;
  }

  get octets(): number {
    return this.#octets;
  }

  /** Keeps the mailbox in memory, once loaded, until as many `unpin`s. */
  pin(record: MailboxRecord): void {
    if (record.pins++ === 0) this.#droppable.delete(record);
  }

  unpin(record: MailboxRecord): void {
    if (--record.pins === 0 && record.packed !== undefined) this.touch(record);
  }

  /** Loaded, used or changed. */
  touch(record: MailboxRecord): void {
    const octets = record.packed?.sizeOctets ?? 0;
    this.#octets += octets - record.residentOctets;
    record.residentOctets = octets;
    if (record.pins === 0) {
      this.#droppable.delete(record);
      if (octets > 0) this.#droppable.add(record);
    }
    if (this.#octets > this.#maxOctets) this.#shrink();
  }

  drop(record: MailboxRecord): void {
    record.packed = undefined;
    this.#octets -= record.residentOctets;
    record.residentOctets = 0;
    this.#droppable.delete(record);
  }

  #shrink(): void {
    for (const record of this.#droppable) {
      if (this.#octets <= this.#maxOctets) return;
      this.drop(record);
    }
  }
}
