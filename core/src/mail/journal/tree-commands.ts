/** Commands on the tree, notes and records. Each is alone in its entry, so the state at the head is all that it has to look at. */
import type { AccountId, MailboxId, RecordWrite } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AclChange } from './account-mail.ts';
import type { MailboxRecord } from './account-state.ts';
import { noteOctets } from './account-state.ts';
import {
  aclEntries,
  aclNotes,
  aclValue,
  type Guest,
  hasRight,
  MAX_ACL_ENTRIES,
  NO_RIGHTS,
  requireRights,
  rightsOf,
  SHARES,
  shareKey,
} from './acl.ts';
import { ANNOTATIONS, annotationNotes, SHARED_SEEN_ENTRY } from './annotation-notes.ts';
import type { Command } from './command.ts';
import type { Draft } from './draft.ts';
import { ACCOUNT_NOTE, type AccountWord } from './entry.ts';
import { FIRST_KEYWORD_BIT } from './flag-names.ts';
import { carryMarks } from './guest-flags.ts';
import { canonicalName, checkedName, checkLength, leafOf, parentOf } from './mailbox-names.ts';
import { placements, pushGone } from './message-commands.ts';
import { runOf } from './uid-runs.ts';

/** Mailboxes of an account, whatever the configuration says: the tree lies in memory and in each snapshot. */
export const MAX_MAILBOXES = 20_000;
export const MAX_NOTES = 50_000;
export const MAX_NOTE_NAME_OCTETS = 2_048;
export const MAX_NOTE_VALUE_OCTETS = 65_536;
export const MAX_NOTES_OCTETS = 4 * 1024 * 1024;
const MAX_SPECIAL_USES = 16;
const SPECIAL_USE = /^\\[A-Za-z][A-Za-z0-9-]{0,31}$/;
export const SUBSCRIPTION = 'sub/';

export interface MailboxPlan {
  readonly name: string;
  readonly specialUse?: readonly string[];
  readonly subscribed?: boolean;
}

/** Answers the ids in the order of plans. Missing superiors are created as ordinary mailboxes. */
export function createCommand(
  plans: readonly MailboxPlan[],
  origin: string,
  maxMailboxes: number | undefined,
  records: readonly RecordWrite[],
  guest?: Guest,
): Command<readonly MailboxId[]> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      if (guest !== undefined) for (const { name } of plans) requireCreate(draft, checkedName(name), guest);
      const tree = new TreeDraft(draft, Math.min(maxMailboxes ?? MAX_MAILBOXES, MAX_MAILBOXES));
      const ids = plans.map((plan) => tree.create(checkedName(plan.name), checkedUses(plan.specialUse ?? [])));
      for (const plan of plans) if (plan.subscribed === true) pushNote(draft, SUBSCRIPTION + canonicalName(plan.name), '');
      draft.records.push(...records);
      return ids;
    },
  };
}

/**
 * The right `k` on the nearest superior that there is (RFC 4314 §4). Without one, or without the right to see it, the answer is the same.
 * @throws MailError forbidden
 */
function requireCreate(draft: Draft, name: string, guest: Guest): void {
  let above = parentOf(name);
  while (above !== '' && draft.state.byName(above) === undefined) above = parentOf(above);
  const record = above === '' ? undefined : draft.state.byName(above);
  if (record === undefined || !hasRight(rightsOf(draft.state.notes, record.id, guest), 'k'))
    throw new MailError('forbidden', 'You may not create mailboxes there');
}

/** Needs the mailbox in memory (`touches`) for the contents of its messages. */
export function deleteCommand(box: MailboxId, origin: string, guest?: Guest): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: { box, uids: runOf(1, 0xffff_ffff) },
    compute(draft) {
      if (guest !== undefined) requireRights(rightsOf(draft.state.notes, box, guest), 'x');
      const record = existing(draft, box);
      if (record.name === 'INBOX') throw new MailError('forbidden', 'INBOX cannot be deleted');
      if (!record.selectable && record.hasChildren) throw new MailError('has-children', 'The name has only inferiors left');
      if (record.messages > 0) pushGone(draft, box, draft.source(box).packed.planGone(runOf(1, 0xffff_ffff), 0), 'mailbox-deleted');
      for (const name of [...notesOf(draft, box)]) pushNote(draft, name, null);
      if (!record.hasChildren) return draft.push({ op: 'unbox', box });
      draft.push({ ...boxOp(record), selectable: false, specialUse: [] });
    },
  };
}

/** What leaves with the mailbox: annotations, those of guests too, and the access control list. */
function* notesOf(draft: Draft, box: MailboxId): Generator<string> {
  const prefixes = [`${annotationNotes(box)}/`, `${annotationNotes(box)}!`, aclNotes(box)];
  for (const name of draft.state.notes?.keys() ?? []) if (prefixes.some((prefix) => name.startsWith(prefix))) yield name;
}

export function renameCommand(box: MailboxId, newName: string, origin: string, guest?: Guest): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: { box, uids: runOf(1, 0xffff_ffff) },
    compute(draft) {
      if (guest !== undefined) requireRights(rightsOf(draft.state.notes, box, guest), 'x');
      const record = existing(draft, box);
      const name = checkedName(newName);
      if (guest !== undefined) {
        if (record.name === 'INBOX') throw new MailError('forbidden', 'INBOX is renamed by its owner only');
        requireCreate(draft, name, guest);
      }
      if (draft.state.byName(name) !== undefined) throw new MailError('mailbox-exists', 'Mailbox exists already');
      const tree = new TreeDraft(draft, MAX_MAILBOXES);
      if (record.name === 'INBOX') return renameInbox(draft, tree, record, name);
      if (name.startsWith(`${record.name}/`)) throw new MailError('invalid-name', 'A mailbox cannot be moved under itself');
      const below = draft.state.below(record);
      const newNameOf = (one: MailboxRecord): string => name + one.name.slice(record.name.length);
      for (const one of below) checkLength(newNameOf(one));
      const parent = tree.superior(name);
      for (const one of [record, ...below]) {
        // Name, UIDVALIDITY and UID never mean two messages (RFC 9051 §6.3.6), so a name that had a higher one gets a new one.
        const former = draft.state.formerNames?.get(newNameOf(one)) ?? 0;
        if (one === record) {
          const uidValidity = former > one.uidValidity ? tree.nextUidValidity() : one.uidValidity;
          draft.push({ ...boxOp(one), parent, name: leafOf(name), uidValidity });
        } else if (former > one.uidValidity) draft.push({ ...boxOp(one), uidValidity: tree.nextUidValidity() });
      }
      moveSubscriptions(draft, record.name, name);
    },
  };
}

/** RFC 9051 §6.3.6: its messages move to the new mailbox; INBOX stays, empty, with what lies below it. */
function renameInbox(draft: Draft, tree: TreeDraft, inbox: MailboxRecord, name: string): void {
  const { packed } = draft.source(inbox.id);
  const to = tree.create(name, []);
  const plan = packed.planGone(runOf(1, 0xffff_ffff), 0);
  if (plan.contents.length === 0) return;
  const { messages, added } = placements(packed, plan.uids, [], false, 1, draft.seconds);
  for (const [n, keyword] of added.entries()) draft.push({ op: 'keyword', box: to, bit: FIRST_KEYWORD_BIT + n, name: keyword });
  draft.push({ op: 'add', box: to, messages, from: inbox.id, fromUids: plan.uids, moved: true });
  carryMarks(draft, inbox.id, plan.uids, to, 1);
  pushGone(draft, inbox.id, plan, 'move');
}

export function specialUseCommand(box: MailboxId, specialUse: readonly string[], origin: string): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      const record = existing(draft, box);
      const uses = checkedUses(specialUse);
      if (uses.length === record.specialUse.length && uses.every((use) => record.specialUse.includes(use))) return;
      draft.push({ ...boxOp(record), specialUse: uses });
    },
  };
}

/** Subscriptions, ACL, METADATA: no entry when nothing changes. */
export function noteCommand(name: string, value: string | null, origin: string): Command<void> {
  return { origin, alone: true, weight: 0, touches: undefined, compute: (draft) => pushNote(draft, name, value) };
}

/** All or nothing. `specialUse` is set in the same entry. @throws MailError limit when more than `atMost` annotations would be there */
export function annotateCommand(
  box: MailboxId | 0,
  entries: ReadonlyMap<string, string | null>,
  origin: string,
  options: { readonly atMost: number; readonly specialUse?: readonly string[] | undefined; readonly guest?: Guest | undefined },
): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      const { guest } = options;
      if (guest !== undefined) requireAnnotate(draft, box, entries, guest);
      const noteOf = (entry: string): string => annotationNotes(box, entry.startsWith('/private/') ? guest?.id : undefined) + entry;
      const record = box === 0 ? undefined : existing(draft, box);
      const names = new Set(annotationNames(draft, box, guest));
      for (const [entry, value] of entries) {
        if (value === null) names.delete(noteOf(entry));
        else names.add(noteOf(entry));
      }
      if (names.size > options.atMost) throw new MailError('limit', 'Too many annotations');
      const uses = options.specialUse === undefined ? undefined : checkedUses(options.specialUse);
      for (const [entry, value] of entries) pushNote(draft, noteOf(entry), value);
      if (record === undefined || uses === undefined) return;
      if (uses.length !== record.specialUse.length || !uses.every((use) => record.specialUse.includes(use)))
        draft.push({ ...boxOp(record), specialUse: uses });
    },
  };
}

/** Those that the owner or the guest sees. */
function* annotationNames(draft: Draft, box: MailboxId | 0, guest: Guest | undefined): Generator<string> {
  const prefixes = [annotationNotes(box) + (guest === undefined ? '/' : '/shared/')];
  if (guest !== undefined) prefixes.push(`${annotationNotes(box, guest.id)}/`);
  for (const name of draft.state.notes?.keys() ?? []) if (prefixes.some((prefix) => name.startsWith(prefix))) yield name;
}

/** Annotations of guests are in the owner's notes, and must leave room there: of one guest, and of all. */
const MAX_GUEST_NOTES_OCTETS = 32_768;
const MAX_GUESTS_NOTES_OCTETS = 1024 * 1024;
const GUEST_ANNOTATION = /^meta\/[0-9]+!/;

function requireGuestRoom(draft: Draft, entries: ReadonlyMap<string, string | null>, guest: Guest): void {
  let his = 0;
  let all = 0;
  for (const [name, value] of draft.state.notes ?? []) {
    if (!GUEST_ANNOTATION.test(name)) continue;
    all += noteOctets(name, value);
    if (name.slice(name.indexOf('!') + 1, name.indexOf('/', ANNOTATIONS.length)) === guest.id) his += noteOctets(name, value);
  }
  let more = 0;
  for (const [entry, value] of entries) if (value !== null) more += noteOctets(entry, value);
  if (more > 0 && (his + more > MAX_GUEST_NOTES_OCTETS || all + more > MAX_GUESTS_NOTES_OCTETS))
    throw new MailError('limit', 'Too many annotations');
}

/** RFC 5464 §3.3: private ones belong to the guest; shared ones need `w`, and the one that says whose \Seen is needs `a`. */
function requireAnnotate(draft: Draft, box: MailboxId | 0, entries: ReadonlyMap<string, string | null>, guest: Guest): void {
  const rights = box === 0 ? NO_RIGHTS : rightsOf(draft.state.notes, box, guest);
  for (const entry of entries.keys()) {
    if (!entry.startsWith('/private/')) requireRights(rights, entry === SHARED_SEEN_ENTRY ? 'lra' : 'lrw');
  }
  requireRights(rights, 'lr');
  requireGuestRoom(draft, entries, guest);
}

/**
 * SETACL and DELETEACL (RFC 4314 §3.1, §3.2): a change without rights left removes the entry. `owner` names the row of who shares with whom.
 */
export function aclCommand(owner: AccountId, box: MailboxId, change: AclChange, origin: string, guest: Guest | undefined): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      if (guest !== undefined) requireRights(rightsOf(draft.state.notes, box, guest), 'a');
      if (!existing(draft, box).selectable) throw new MailError('not-selectable', 'This name holds no messages');
      const { identifier, who, mode } = change;
      const note = aclNotes(box) + identifier;
      const before = draft.state.notes?.get(note);
      const entries = aclEntries(draft.state.notes, box);
      const isSame = before?.slice(before.indexOf(' ') + 1) === (who ?? '');
      const had = isSame ? (entries.find(([one]) => one === identifier)?.[1] ?? NO_RIGHTS) : NO_RIGHTS;
      const rights = mode === 'replace' ? change.rights : mode === 'add' ? had | change.rights : had & ~change.rights;
      if (before === undefined && rights !== NO_RIGHTS && entries.length >= MAX_ACL_ENTRIES)
        throw new MailError('limit', 'The access control list is full');
      pushNote(draft, note, rights === NO_RIGHTS ? null : aclValue(rights, who));
      if (identifier.startsWith('-')) return;
      const key = shareKey(identifier, owner);
      if (rights !== NO_RIGHTS) draft.records.push({ table: SHARES, key, value: { owner } });
      else if (before !== undefined && !isSharedElsewhere(draft, box, identifier))
        draft.records.push({ table: SHARES, key, value: undefined });
    },
  };
}

function isSharedElsewhere(draft: Draft, box: MailboxId, identifier: string): boolean {
  return draft.state.boxes.some(({ id }) => id !== box && draft.state.notes?.has(aclNotes(id) + identifier) === true);
}

export function subscriptionCommand(name: string, on: 'subscribe' | 'unsubscribe', origin: string): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      // Any name may be dropped, also one that is not valid any more.
      if (on === 'subscribe') pushNote(draft, SUBSCRIPTION + checkedName(name), '');
      else pushNote(draft, SUBSCRIPTION + canonicalName(name), null);
    },
  };
}

export function recordsCommand(records: readonly RecordWrite[], origin: string, word?: AccountWord): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      draft.records.push(...records);
      // Also when it says what the last one said: it is another event.
      if (word !== undefined) draft.push({ op: 'note', name: ACCOUNT_NOTE, value: word });
    },
  };
}

/** Creates mailboxes and their missing superiors within one draft. */
class TreeDraft {
  readonly #draft: Draft;
  readonly #max: number;
  readonly #created = new Map<string, MailboxId>();
  /** Entries of the access control lists of what was created here. */
  readonly #inherited = new Map<MailboxId, (readonly [identifier: string, value: string])[]>();

  constructor(draft: Draft, maxMailboxes: number) {
    this.#draft = draft;
    this.#max = maxMailboxes;
  }

  /** @throws MailError mailbox-exists, limit */
  create(name: string, specialUse: readonly string[]): MailboxId {
    const there = this.#draft.state.byName(name);
    if (this.#created.has(name) || there?.selectable === true) throw new MailError('mailbox-exists', 'Mailbox exists already');
    if (there !== undefined) {
      this.#created.set(name, there.id);
      this.#draft.push({ ...boxOp(there), selectable: true, uidValidity: this.nextUidValidity(), specialUse });
      this.#inherit(there.parent, there.id);
      return there.id;
    }
    const parent = this.superior(name);
    if (this.#draft.lastBox + 1 - this.#draft.state.lastBox + this.#draft.state.boxes.length > this.#max)
      throw new MailError('limit', 'The account has too many mailboxes');
    const box = ++this.#draft.lastBox as MailboxId;
    this.#created.set(name, box);
    const uidValidity = this.nextUidValidity();
    this.#draft.push({ op: 'box', box, parent, name: leafOf(name), uidValidity, selectable: true, specialUse });
    this.#inherit(parent, box);
    return box;
  }

  /** A new mailbox begins with the access control list of the one above it (RFC 4314 §4, CREATE). */
  #inherit(parent: MailboxId | 0, box: MailboxId): void {
    if (parent === 0) return;
    const prefix = aclNotes(parent);
    const inherited = this.#inherited.get(parent) ?? [];
    if (inherited.length === 0) {
      for (const [note, value] of this.#draft.state.notes ?? [])
        if (note.startsWith(prefix)) inherited.push([note.slice(prefix.length), value]);
    }
    if (inherited.length === 0) return;
    this.#inherited.set(box, inherited);
    for (const [identifier, value] of inherited) pushNote(this.#draft, aclNotes(box) + identifier, value);
  }

  /** Id of the name above, created when it is missing; 0 at the top. */
  superior(name: string): MailboxId | 0 {
    const above = parentOf(name);
    if (above === '') return 0;
    return this.#draft.state.byName(above)?.id ?? this.#created.get(above) ?? this.create(above, []);
  }

  nextUidValidity(): number {
    this.#draft.uidValidity = Math.max(this.#draft.uidValidity + 1, this.#draft.seconds);
    return this.#draft.uidValidity;
  }
}

function existing(draft: Draft, box: MailboxId): MailboxRecord {
  const record = draft.state.byId(box);
  if (record === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
  return record;
}

function boxOp(record: MailboxRecord) {
  const { id: box, parent, uidValidity, selectable, specialUse } = record;
  return { op: 'box' as const, box, parent, name: leafOf(record.name), uidValidity, selectable, specialUse };
}

function checkedUses(uses: readonly string[]): readonly string[] {
  if (uses.length > MAX_SPECIAL_USES || !uses.every((use) => SPECIAL_USE.test(use))) throw new MailError('invalid', 'Not a special use');
  return [...new Set(uses)];
}

function moveSubscriptions(draft: Draft, from: string, to: string): void {
  const exact = SUBSCRIPTION + from;
  for (const [note, value] of draft.state.notes ?? []) {
    if (note !== exact && !note.startsWith(`${exact}/`)) continue;
    pushNote(draft, note, null);
    pushNote(draft, SUBSCRIPTION + to + note.slice(exact.length), value);
  }
}

/** @throws MailError invalid, limit */
function pushNote(draft: Draft, name: string, value: string | null): void {
  const { state } = draft;
  const before = state.notes?.get(name);
  if ((before ?? null) === value) return;
  if (value !== null) {
    if (name.length === 0 || Buffer.byteLength(name) > MAX_NOTE_NAME_OCTETS)
      throw new MailError('invalid', 'Note name is empty or too long');
    if (Buffer.byteLength(value) > MAX_NOTE_VALUE_OCTETS) throw new MailError('limit', 'Value is too long');
    const grows = noteOctets(name, value) - (before === undefined ? 0 : noteOctets(name, before));
    if (state.notesOctets + grows > MAX_NOTES_OCTETS || (state.notes?.size ?? 0) >= MAX_NOTES)
      throw new MailError('limit', 'The account has too many notes');
  }
  draft.push({ op: 'note', name, value });
}
