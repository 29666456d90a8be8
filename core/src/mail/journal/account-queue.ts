/**
 * AccountMail over any Store: one entry in flight per account. Commands that arrive meanwhile wait and share the next entry, unless they
 * touch the same messages or the tree; each is computed against the durable head, and again when another writer was first.
 */
import type { AccountId, MailboxId, Outcome, RecordWrite, Seq } from '../../store/store.ts';
import { JournalPruned, OutcomeUnknown, RecordConflict, StoreUnavailable } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { JournalContext } from './account-journal.ts';
import { AccountJournal, MAX_UNSAVED_ENTRIES, rethrowAsMailError } from './account-journal.ts';
import type {
  AccountMail,
  AclChange,
  AppendItem,
  FlagChange,
  Limits,
  MailboxInfo,
  MailboxListener,
  MailboxState,
  Marks,
  OpenMailbox,
  Origin,
  Relocated,
  SubmissionChange,
} from './account-mail.ts';
import type { MailboxRecord } from './account-state.ts';
import { aclEntries, type Guest, type RightSet, rightsOf } from './acl.ts';
import type { Command } from './command.ts';
import { TouchedMessages } from './command.ts';
import { Draft } from './draft.ts';
import type { AccountWord, Entry, GoneCause, UidRuns } from './entry.ts';
import { encodeEntry } from './entry-codec.ts';
import { canonicalName } from './mailbox-names.ts';
import {
  appendCommand,
  beginTransferCommand,
  copyCommand,
  endTransferCommand,
  expungeCommand,
  moveCommand,
  replaceCommand,
  storeCommand,
  submissionCommand,
} from './message-commands.ts';
import type { MailboxPlan } from './tree-commands.ts';
import {
  aclCommand,
  annotateCommand,
  createCommand,
  deleteCommand,
  noteCommand,
  recordsCommand,
  renameCommand,
  SUBSCRIPTION,
  specialUseCommand,
  subscriptionCommand,
} from './tree-commands.ts';
import { areRuns } from './uid-runs.ts';

/** Commands that share one entry, at most, and their octets. */
const MAX_BATCH_COMMANDS = 256;
const MAX_BATCH_OCTETS = 1024 * 1024;
/** Commands that may wait for one account: more than that is a flood, and costs memory. */
const MAX_WAITING = 10_000;
/** Times that a batch is computed again because other writers were first. */
const MAX_ATTEMPTS = 200;
const MAX_ORIGIN_LENGTH = 256;
/** Messages placed and removed by an entry that is made in two turns of the loop. */
const LARGE_ENTRY = 10_000;

interface Waiting {
  readonly command: Command;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
  /** Failed once already at a head that was then compared with the store's. */
  rechecked: boolean;
}

export class AccountQueue extends AccountJournal implements AccountMail {
  #waiting: Waiting[] | undefined = undefined;
  #running = false;
  #isAbandoned = false;

  static async open(account: AccountId, context: JournalContext): Promise<AccountQueue> {
    return new AccountQueue(account, context, await AccountJournal.load(account, context).catch(rethrowAsMailError));
  }

  override get isIdle(): boolean {
    return !this.#running && super.isIdle;
  }

  get usage(): { readonly octets: number; readonly messages: number; readonly mailboxes: number } {
    return { octets: this.accountState.octets, messages: this.accountState.messages, mailboxes: this.accountState.boxes.length };
  }

  /* ── The tree ── */

  mailboxes(): Iterable<MailboxInfo> {
    return this.accountState.boxes;
  }

  byName(name: string): MailboxInfo | undefined {
    return this.accountState.byName(canonicalName(name));
  }

  byId(id: MailboxId): MailboxInfo | undefined {
    return this.accountState.byId(id);
  }

  bySpecialUse(use: string): MailboxInfo | undefined {
    const wanted = use.toLowerCase();
    return this.accountState.boxes.find((box) => box.specialUse.some((one) => one.toLowerCase() === wanted));
  }

  *subscriptions(): Iterable<string> {
    for (const [name] of this.notes(SUBSCRIPTION)) yield name.slice(SUBSCRIPTION.length);
  }

  note(name: string): string | undefined {
    return this.accountState.notes?.get(name);
  }

  *notes(prefix: string): Iterable<readonly [name: string, value: string]> {
    for (const note of this.accountState.notes ?? []) if (note[0].startsWith(prefix)) yield note;
  }

  acl(box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[] {
    return aclEntries(this.accountState.notes, box);
  }

  rights(box: MailboxId, guest: Guest): RightSet {
    return rightsOf(this.accountState.notes, box, guest);
  }

  marks(box: MailboxId, who: AccountId): Marks | undefined {
    return this.accountState.seenMarks(box, who);
  }

  abandon(): void {
    this.#isAbandoned = true;
    for (const { listeners } of this.accountState.boxes) for (const listener of listeners) listener.closed();
  }

  settleKey(key: string): void {
    this.accountState.recentKeys?.delete(key);
  }

  takeRecent(box: MailboxId): { readonly from: number; readonly before: number } {
    const record = this.accountState.byId(box);
    if (record === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    const taken = { from: record.recentFrom, before: record.uidNext };
    record.recentFrom = record.uidNext;
    return taken;
  }

  /* ── Packed state ── */

  async open(box: MailboxId, listener: MailboxListener): Promise<OpenMailbox> {
    const record = this.#selectable(box);
    const { residency } = this.context;
    residency.pin(record);
    try {
      await this.load(record, 'outside');
      this.#selectable(box);
    } catch (error) {
      residency.unpin(record);
      throw error;
    }
    this.addListener(record, listener);
    return new OpenHandle(this, record, listener);
  }

  async state(box: MailboxId): Promise<MailboxState> {
    return this.load(this.#selectable(box), 'outside');
  }

  pin(record: MailboxRecord): void {
    this.context.residency.pin(record);
  }

  unpin(record: MailboxRecord): void {
    this.context.residency.unpin(record);
  }

  /** For a session whose state was lost to a failed reload: loads it again behind its back. */
  recover(record: MailboxRecord): void {
    this.load(record, 'outside').catch((error: unknown) =>
      this.context.log.warn({ err: error, account: this.account }, 'mailbox not loaded'),
    );
  }

  /* ── Commands ── */

  async append(
    box: MailboxId,
    items: readonly AppendItem[],
    origin: Origin,
    limits: Limits,
    options?: { readonly note?: readonly [name: string, value: string] },
  ) {
    return this.#submit(appendCommand(box, items, originOf(origin), limits, { guest: origin.guest, note: options?.note }));
  }

  async store(box: MailboxId, uids: UidRuns, change: FlagChange, origin: Origin, options?: { readonly unchangedSince?: Seq }) {
    return this.#submit(storeCommand(box, checkedRuns(uids), change, originOf(origin), options?.unchangedSince, origin.guest));
  }

  async copy(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin, limits: Limits): Promise<Relocated> {
    return this.#submit(copyCommand(box, checkedRuns(uids), to, originOf(origin), limits, origin.guest));
  }

  async move(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin): Promise<Relocated> {
    return this.#submit(moveCommand(box, checkedRuns(uids), to, originOf(origin), origin.guest));
  }

  async expunge(box: MailboxId, uids: UidRuns, cause: GoneCause, origin: Origin, options?: { readonly onlyDeleted?: boolean }) {
    const which = options?.onlyDeleted === true ? 'only-deleted' : 'all';
    return this.#submit(expungeCommand(box, checkedRuns(uids), cause, originOf(origin), which, origin.guest));
  }

  async beginTransfer(box: MailboxId, note: string, origin: Origin): Promise<void> {
    await this.#submit(beginTransferCommand(box, note, originOf(origin), origin.guest));
  }

  async endTransfer(box: MailboxId, uids: UidRuns, note: string, origin: Origin): Promise<Seq> {
    return this.#submit(endTransferCommand(box, checkedRuns(uids), note, originOf(origin)));
  }

  async replace(box: MailboxId, uid: number, to: MailboxId, item: AppendItem, origin: Origin, limits: Limits) {
    if (!(Number.isInteger(uid) && uid >= 1 && uid <= 0xffff_ffff)) throw new MailError('invalid', 'Not a UID');
    return this.#submit(replaceCommand(box, uid, to, item, originOf(origin), limits, origin.guest));
  }

  async createMailbox(
    name: string,
    origin: Origin,
    options?: { readonly specialUse?: readonly string[]; readonly limits?: Limits },
  ): Promise<MailboxId> {
    const plan: MailboxPlan = { name, specialUse: options?.specialUse ?? [] };
    const [id] = await this.#submit(createCommand([plan], originOf(origin), options?.limits?.mailboxes, [], origin.guest));
    if (id === undefined) throw new MailError('bug', 'Mailbox was not created');
    return id;
  }

  async createMailboxes(plans: readonly MailboxPlan[], origin: Origin, records: readonly RecordWrite[] = []): Promise<void> {
    await this.#submit(createCommand(plans, originOf(origin), undefined, records));
  }

  async deleteMailbox(id: MailboxId, origin: Origin): Promise<void> {
    await this.#submit(deleteCommand(id, originOf(origin), origin.guest));
  }

  async renameMailbox(id: MailboxId, newName: string, origin: Origin): Promise<void> {
    await this.#submit(renameCommand(id, newName, originOf(origin), origin.guest));
  }

  async setSpecialUse(id: MailboxId, specialUse: readonly string[], origin: Origin): Promise<void> {
    await this.#submit(specialUseCommand(id, specialUse, originOf(origin)));
  }

  async subscribe(name: string, on: 'subscribe' | 'unsubscribe', origin: Origin): Promise<void> {
    await this.#submit(subscriptionCommand(name, on, originOf(origin)));
  }

  async setAcl(box: MailboxId, change: AclChange, origin: Origin): Promise<void> {
    await this.#submit(aclCommand(this.account, box, change, originOf(origin), origin.guest));
  }

  async setNote(name: string, value: string | null, origin: Origin): Promise<void> {
    await this.#submit(noteCommand(name, value, originOf(origin)));
  }

  async annotate(
    box: MailboxId | 0,
    entries: ReadonlyMap<string, string | null>,
    origin: Origin,
    options: { readonly atMost: number; readonly specialUse?: readonly string[] | undefined },
  ): Promise<void> {
    await this.#submit(annotateCommand(box, entries, originOf(origin), { ...options, guest: origin.guest }));
  }

  async writeRecords(records: readonly RecordWrite[], origin: Origin, word?: AccountWord): Promise<void> {
    await this.#submit(recordsCommand(records, originOf(origin), word));
  }

  async submission(change: SubmissionChange, origin: Origin): Promise<void> {
    await this.#submit(submissionCommand(change, originOf(origin)));
  }

  /** Settles when nothing waits and nothing is in flight. */
  async settled(): Promise<void> {
    while (this.#running) await this.exclusive(async () => undefined);
  }

  /* ── The queue ── */

  #submit<Answer>(command: Command<Answer>): Promise<Answer> {
    if (this.#isAbandoned) throw new MailError('no-such-mailbox', 'No such mailbox');
    if (this.context.draining) throw new MailError('unavailable', 'The server is shutting down');
    if ((this.#waiting?.length ?? 0) >= MAX_WAITING) throw new MailError('unavailable', 'Too many commands wait for this account');
    return new Promise<Answer>((resolve, reject) => {
      this.#waiting ??= [];
      this.#waiting.push({ command, resolve, reject, rechecked: false });
      if (this.#running) return;
      this.#running = true;
      this.#run().catch((error: unknown) =>
        this.context.log.error({ err: error, account: this.account }, 'the queue of an account failed'),
      );
    });
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting !== undefined) {
        await this.exclusive(async () => {
          const batch = this.#takeBatch();
          try {
            await this.#commit(batch);
          } catch (error) {
            this.context.log.error({ err: error, account: this.account }, 'an entry could not be made');
            this.stale = true;
            fail(batch, new MailError('bug', 'Internal error', { cause: error }));
          }
        });
      }
    } finally {
      this.#running = false;
    }
  }

  /** From the front, in order, as long as they go together. */
  #takeBatch(): Waiting[] {
    const waiting = this.#waiting ?? [];
    const first = waiting[0];
    let count = 0;
    if (first !== undefined) {
      const touched = new TouchedMessages();
      let octets = 0;
      for (const { command } of waiting) {
        if (count > 0) {
          if (count >= MAX_BATCH_COMMANDS || first.command.alone || command.alone) break;
          if (octets + command.weight > MAX_BATCH_OCTETS || command.origin !== first.command.origin) break;
        }
        if (!touched.take(command.touches)) break;
        octets += command.weight;
        count++;
      }
    }
    if (count === waiting.length) {
      this.#waiting = undefined;
      return waiting;
    }
    return waiting.splice(0, count);
  }

  async #commit(batch: Waiting[]): Promise<void> {
    const pinned = new Set<MailboxRecord>();
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS && batch.length > 0; attempt++) {
        try {
          if (this.stale) await this.reload();
          if (this.unsavedEntries >= MAX_UNSAVED_ENTRIES) throw new MailError('unavailable', 'State cannot be saved now, try again');
          await this.#loadTouched(batch, pinned);
        } catch (error) {
          return fail(batch, error);
        }
        if ((await this.#attempt(batch)) === 'settled') return;
      }
      fail(batch, new MailError('unavailable', 'Too many others write to this account, try again'));
    } finally {
      for (const record of pinned) this.context.residency.unpin(record);
    }
  }

  /** Loads what the commands look at, and keeps it until the entry is reduced. Mailboxes that are missing are for `compute` to judge. */
  async #loadTouched(batch: Waiting[], pinned: Set<MailboxRecord>): Promise<void> {
    for (const { command } of batch) {
      if (command.touches === undefined) continue;
      const record = this.accountState.byId(command.touches.box);
      if (record === undefined || !record.selectable) continue;
      if (!pinned.has(record)) {
        pinned.add(record);
        this.context.residency.pin(record);
      }
      if (record.packed === undefined) await this.load(record, 'in-turn');
    }
  }

  async #attempt(batch: Waiting[]): Promise<'settled' | 'again'> {
    const head = this.head;
    const { draft, answers, failures } = this.#compute(batch);
    if (failures.length > 0 && failures.some(({ waiting }) => !waiting.rechecked)) {
      // What fails here may be right at the store's head: another instance may have made the mailbox, or room.
      for (const { waiting } of failures) waiting.rechecked = true;
      try {
        await this.pull();
      } catch (error) {
        fail(batch, error);
        return 'settled';
      }
      if (this.head !== head) return 'again';
    }
    for (const { waiting, error } of failures) {
      waiting.reject(error);
      batch.splice(batch.indexOf(waiting), 1);
    }
    if (draft.isEmpty) {
      settle(batch, answers);
      return 'settled';
    }
    const origin = batch[0]?.command.origin ?? '';
    const entry = draft.entry(this.context.newToken(), origin);
    // Nobody else changes this account meanwhile, but other accounts need not wait for both halves.
    if (isLarge(entry)) await turn();
    let outcome: Outcome;
    try {
      outcome = await this.context.store.commit({
        account: this.account,
        entry: encodeEntry(entry),
        contents: draft.contents,
        dead: draft.dead,
        records: draft.records,
      });
    } catch (error) {
      await this.#afterFailedCommit(batch, answers, entry, error);
      return 'settled';
    }
    if (!outcome.done) {
      if (outcome.conflict !== undefined) {
        fail(batch, conflictOf(outcome.conflict, draft.records));
        return 'settled';
      }
      try {
        await this.pull();
      } catch (error) {
        fail(batch, error);
        return 'settled';
      }
      return 'again';
    }
    try {
      this.take(entry);
    } catch (error) {
      // It is durable, so it is answered; memory is not to be trusted.
      this.stale = true;
      this.context.log.error({ err: error, account: this.account, seq: entry.seq }, 'an entry could not be reduced');
    }
    this.context.bus.beacon(this.account, entry.seq);
    settle(batch, answers);
    return 'settled';
  }

  /** A command that fails behind a change of its own spoils the draft: the others are computed again without it. */
  #compute(batch: readonly Waiting[]) {
    const failures: { readonly waiting: Waiting; readonly error: unknown }[] = [];
    const failed = new Set<Waiting>();
    for (;;) {
      const draft = new Draft(this.accountState, this.context.clock.now());
      const answers: unknown[] = [];
      let spoilt = false;
      for (const waiting of batch) {
        if (failed.has(waiting)) continue;
        const before = draft.changes;
        try {
          answers.push(waiting.command.compute(draft));
        } catch (error) {
          failed.add(waiting);
          failures.push({ waiting, error: this.#judged(error) });
          spoilt = draft.changes !== before;
          if (spoilt) break;
        }
      }
      if (!spoilt) return { draft, answers, failures };
    }
  }

  #judged(error: unknown): unknown {
    if (error instanceof MailError) return error;
    this.context.log.error({ err: error, account: this.account }, 'a command failed');
    return new MailError('bug', 'Internal error', { cause: error });
  }

  async #afterFailedCommit(batch: Waiting[], answers: readonly unknown[], entry: Entry, error: unknown): Promise<void> {
    if (error instanceof StoreUnavailable || error instanceof RecordConflict) {
      const nothing = error instanceof StoreUnavailable;
      return fail(batch, nothing ? new MailError('unavailable', 'Storage is not available, try again', { cause: error }) : error);
    }
    if (!(error instanceof OutcomeUnknown))
      this.context.log.error({ err: error, account: this.account }, 'a commit failed in an unknown way');
    this.stale = true;
    let landed = false;
    try {
      await this.reload();
      const [stored] = await this.context.store.tail(this.account, entry.seq - 1, 1);
      landed = stored !== undefined && stored.token === entry.token;
    } catch (reloading) {
      // Pruned already, or the store is down: it stays unknown, and the client is told to try again.
      if (!(reloading instanceof JournalPruned)) this.context.log.warn({ err: reloading, account: this.account }, 'state not reloaded');
    }
    if (!landed) return fail(batch, new MailError('unavailable', 'The outcome is unknown, try again', { cause: error }));
    this.context.bus.beacon(this.account, entry.seq);
    settle(batch, answers);
  }

  #selectable(box: MailboxId): MailboxRecord {
    const record = this.accountState.byId(box);
    if (record === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    if (!record.selectable) throw new MailError('not-selectable', 'Mailbox cannot be selected');
    return record;
  }
}

class OpenHandle implements OpenMailbox {
  readonly #queue: AccountQueue;
  readonly #record: MailboxRecord;
  readonly #listener: MailboxListener;
  #state: 'awake' | 'rests' | 'closed' = 'awake';

  constructor(queue: AccountQueue, record: MailboxRecord, listener: MailboxListener) {
    this.#queue = queue;
    this.#record = record;
    this.#listener = listener;
  }

  get state(): MailboxState {
    const { packed } = this.#record;
    if (packed !== undefined) return packed;
    if (this.#state === 'awake') this.#queue.recover(this.#record);
    throw new MailError('unavailable', 'Mailbox is not in memory, try again');
  }

  rest(): void {
    if (this.#state !== 'awake') return;
    this.#state = 'rests';
    this.#queue.unpin(this.#record);
  }

  async wake(): Promise<MailboxState> {
    if (this.#state === 'closed') throw new MailError('bug', 'Mailbox is closed');
    if (this.#state === 'rests') {
      this.#state = 'awake';
      this.#queue.pin(this.#record);
    }
    return this.#queue.load(this.#record, 'outside');
  }

  close(): void {
    if (this.#state === 'awake') this.#queue.unpin(this.#record);
    if (this.#state !== 'closed') this.#queue.removeListener(this.#record, this.#listener);
    this.#state = 'closed';
  }
}

/** Computing it took some ms, and writing it down takes as many again. */
function isLarge({ ops }: Entry): boolean {
  let messages = 0;
  for (const op of ops) messages += op.op === 'add' ? op.messages.length : op.op === 'gone' ? op.contents.length : 0;
  return messages > LARGE_ENTRY;
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function originOf({ by, actor }: Origin): string {
  return (actor === '' ? by : `${by} ${actor}`).slice(0, MAX_ORIGIN_LENGTH);
}

function checkedRuns(uids: UidRuns): UidRuns {
  if (!areRuns(uids)) throw new MailError('invalid', 'Not a set of UIDs');
  return uids;
}

/** The driver says which precondition failed as `table/key`. */
function conflictOf(conflict: string, records: readonly RecordWrite[]): RecordConflict {
  const record = records.find(({ table, key }) => conflict === `${table}/${key}`) ?? records.find(({ key }) => conflict.endsWith(key));
  return new RecordConflict(record?.table ?? '', record?.key ?? conflict);
}

function fail(batch: readonly Waiting[], error: unknown): void {
  for (const { reject } of batch) reject(error);
}

function settle(batch: readonly Waiting[], answers: readonly unknown[]): void {
  for (const [n, { resolve }] of batch.entries()) resolve(answers[n] as never);
}
