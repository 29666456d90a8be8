/** What an entry of the journal means to plugins and subscribers: the SDK's events. References and names only, as the journal has no more. */
import type { ExpungeCause, Flag, JournalEvent, MailboxRef, MessageRef, ModSeq, Origin, Uid } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import { type AccountId, type ContentId, JournalPruned, type MailboxId } from '../store/store.ts';
import type { AccountMail, MailboxInfo } from './journal/account-mail.ts';
import { ACCOUNT_NOTE, type Entry, type FlagBits, type Op, type Placed, SEEN } from './journal/entry.ts';
import { SUBSCRIPTION } from './journal/tree-commands.ts';
import { iterateUids } from './journal/uid-runs.ts';
import { emailIdText, mailboxIdText, mailboxRef, messageRef, sdkAccountId } from './sdk-values.ts';

/** Messages that one event names; more come in slices. */
const SLICE = 1000;
/** Percent of the quota at which `quota.crossed` is told. */
const QUOTA_MARKS = [80, 95, 100];
const SYSTEM_FLAGS = ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft'];

type Body = JournalEvent extends infer E ? (E extends JournalEvent ? Omit<E, 'id' | 'seq' | 'at'> : never) : never;
interface BoxName {
  readonly parent: MailboxId | 0;
  readonly name: string;
  readonly specialUse: readonly string[];
}
/** Names as of one entry. */
interface Tree {
  readonly at: number;
  readonly boxes: Map<MailboxId, BoxName>;
}

export interface EventsOptions {
  /** Quota in octets, when there is one. */
  readonly quotaOf: (account: AccountId) => Promise<number | undefined>;
}

export class JournalEvents {
  readonly #options: EventsOptions;
  readonly #trees = new LRUCache<AccountId, Tree>({ max: 1000 });

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /** In order; `id` is the same on every call. What the messages are now is read at the head: those that are gone are left out. */
  async of(mail: AccountMail, username: string, entry: Entry): Promise<readonly JournalEvent[]> {
    const bodies: Body[] = [];
    if (entry.seq === 1) bodies.push({ type: 'account.created', username });
    const needsTree = entry.ops.some(({ op }) => op === 'box' || op === 'unbox');
    const tree = needsTree ? await this.#treeBefore(mail, entry) : this.#trees.get(mail.account);
    for (const op of entry.ops) {
      switch (op.op) {
        case 'add':
          bodies.push(...this.#added(mail, op, entry, tree));
          bodies.push(...(await this.#quota(mail, op)));
          break;
        case 'flag':
          bodies.push(...(await this.#flagged(mail, op)));
          break;
        case 'gone':
          if (op.cause !== 'move') bodies.push(...(await this.#expunged(mail, op, op.cause, tree)));
          break;
        case 'box':
          if (tree !== undefined) bodies.push(boxed(mail, op, tree));
          break;
        case 'unbox':
          if (tree !== undefined) {
            bodies.push({ type: 'mailbox.deleted', mailbox: refOf(mail, op.box, tree) });
            tree.boxes.delete(op.box);
          }
          break;
        case 'note':
          bodies.push(...(op.name === ACCOUNT_NOTE ? accountEvents(op.value, username) : subscribed(mail, op)));
          break;
        case 'outcome': {
          const { submission: submissionId, recipient, outcome, reply } = op;
          bodies.push({ type: 'submission.outcome', submissionId, recipient, outcome, ...(reply === '' ? {} : { reply }) });
          break;
        }
        default:
          break;
      }
    }
    if (needsTree && tree !== undefined) this.#trees.set(mail.account, { at: entry.seq, boxes: tree.boxes });
    const at = new Date(entry.at);
    return bodies.map(
      (body, index) => ({ ...body, id: `${mail.account}:${entry.seq}:${index}`, seq: entry.seq as ModSeq, at }) as JournalEvent,
    );
  }

  #added(mail: AccountMail, op: Op & { op: 'add' }, entry: Entry, tree: Tree | undefined): readonly Body[] {
    const target = refOf(mail, op.box, tree);
    const refs = op.messages.map((placed) => placedRef(mail.account, target, placed));
    if (op.from !== undefined && op.fromUids !== undefined) {
      const source = refOf(mail, op.from, tree);
      const from = [...iterateUids(op.fromUids)];
      const messages = refs.map((to, n) => ({ from: (from[n] ?? 0) as Uid, to }));
      const type = op.moved === true ? 'message.moved' : 'message.copied';
      const events: Body[] = slices(messages).map((some) => ({ type, source, target, messages: some }));
      return [...events, ...judgedByPlace(source, target, refs, op.moved === true ? 'move' : 'copy')];
    }
    const origin = originOf(entry.origin);
    const keywords = mail.byId(op.box)?.keywords ?? [];
    const events: Body[] = refs.map((message, n) => ({
      type: 'message.stored',
      message,
      flags: flagNames(op.messages[n]?.flags ?? 0, keywords),
      origin,
    }));
    // A delivery into Junk is a scanner's judgement, not the user's.
    const isByUser = origin === 'append' && target.specialUse.includes('\\Junk');
    return isByUser ? [...events, ...feedback(refs, 'spam', 'append', false)] : events;
  }

  async #flagged(mail: AccountMail, op: Op & { op: 'flag' }): Promise<readonly Body[]> {
    const info = mail.byId(op.box);
    if (info === undefined || !info.selectable) return [];
    const messages = await refsAt(mail, info, op.uids);
    if (messages.length === 0) return [];
    const added = flagNames(op.set, info.keywords);
    const removed = flagNames(op.clear, info.keywords);
    const events: Body[] = slices(messages).map((some) => ({ type: 'message.flagged', messages: some, added, removed }));
    for (const [flags, undo] of [
      [added, false],
      [removed, true],
    ] as const) {
      const lower = flags.map((flag) => flag.toLowerCase());
      if (lower.includes('$junk')) events.push(...feedback(messages, 'spam', 'keyword', undo));
      if (lower.includes('$notjunk') || lower.includes('nonjunk')) events.push(...feedback(messages, 'ham', 'keyword', undo));
    }
    return events;
  }

  async #expunged(mail: AccountMail, op: Op & { op: 'gone' }, cause: ExpungeCause, tree: Tree | undefined): Promise<readonly Body[]> {
    const mailbox = refOf(mail, op.box, tree);
    const live = await mail.liveContents();
    const pairs = [...iterateUids(op.uids)].map((uid, n) => ({ uid, content: op.contents[n] }));
    return slices(pairs).map((some) => ({
      type: 'message.expunged',
      mailbox,
      uids: some.map(({ uid }) => uid as Uid),
      gone: [...new Set(some.flatMap(({ content }) => (content === undefined || live.has(content) ? [] : [emailIdText(content)])))],
      cause,
    }));
  }

  async #quota(mail: AccountMail, op: Op & { op: 'add' }): Promise<readonly Body[]> {
    if (op.moved === true) return [];
    const limit = await this.#options.quotaOf(mail.account);
    if (limit === undefined || limit === 0) return [];
    let octets = 0;
    for (const { size } of op.messages) octets += size;
    const usedOctets = mail.usage.octets;
    const percent = QUOTA_MARKS.findLast((mark) => usedOctets >= (limit * mark) / 100 && usedOctets - octets < (limit * mark) / 100);
    return percent === undefined ? [] : [{ type: 'quota.crossed', percent, usedOctets }];
  }

  /** The tree just before the entry, from the journal (or what it is now, where the journal no longer reaches). */
  async #treeBefore(mail: AccountMail, entry: Entry): Promise<Tree> {
    const known = this.#trees.get(mail.account);
    const isUsable = known !== undefined && known.at < entry.seq;
    const boxes = new Map(isUsable ? known.boxes : []);
    let after = isUsable ? known.at : 0;
    for (;;) {
      try {
        for await (const earlier of mail.changes(after)) {
          if (earlier.seq >= entry.seq) break;
          for (const op of earlier.ops) {
            if (op.op === 'box') boxes.set(op.box, op);
            else if (op.op === 'unbox') boxes.delete(op.box);
          }
        }
        return { at: entry.seq - 1, boxes };
      } catch (error) {
        if (!(error instanceof JournalPruned) || error.floor <= after) throw error;
        // What was made before the floor has no op to tell its name; it is asked for what it is called now.
        const newest = Math.max(0, ...entry.ops.flatMap((op) => (op.op === 'box' ? [op.box] : [])));
        for (const info of mail.mailboxes()) {
          if (info.id < newest) boxes.set(info.id, { parent: info.parent, name: leafOf(info.name), specialUse: info.specialUse });
        }
        after = error.floor;
      }
    }
  }
}

function boxed(mail: AccountMail, op: Op & { op: 'box' }, tree: Tree): Body {
  const before = tree.boxes.has(op.box) ? pathIn(tree, op.box) : undefined;
  tree.boxes.set(op.box, op);
  const mailbox = refOf(mail, op.box, tree);
  return before === undefined || before === mailbox.name
    ? { type: 'mailbox.created', mailbox }
    : { type: 'mailbox.renamed', mailbox, formerName: before };
}

function accountEvents(word: string | null, username: string): readonly Body[] {
  return word === 'updated' || word === 'suspended' || word === 'deleted' ? [{ type: `account.${word}`, username }] : [];
}

function subscribed(mail: AccountMail, op: Op & { op: 'note' }): readonly Body[] {
  if (!op.name.startsWith(SUBSCRIPTION)) return [];
  const info = mail.byName(op.name.slice(SUBSCRIPTION.length));
  if (info === undefined) return []; // a subscription to a name that is no mailbox (RFC 9051 §6.3.7) points at nothing
  return [{ type: op.value === null ? 'mailbox.unsubscribed' : 'mailbox.subscribed', mailbox: mailboxRef(mail.account, info) }];
}

/** The mailbox as it is called in `tree`, else now. */
function refOf(mail: AccountMail, box: MailboxId, tree: Tree | undefined): MailboxRef {
  const then = tree?.boxes.get(box);
  if (tree !== undefined && then !== undefined) {
    return mailboxRef(mail.account, { id: box, name: pathIn(tree, box), specialUse: then.specialUse });
  }
  const info = mail.byId(box);
  return info === undefined
    ? { id: mailboxIdText(box), accountId: sdkAccountId(mail.account), name: '', specialUse: [] } // gone before anybody asked for its name
    : mailboxRef(mail.account, info);
}

function pathIn(tree: Tree, box: MailboxId): string {
  const levels: string[] = [];
  for (let id: MailboxId | 0 = box; id !== 0 && levels.length < 64; ) {
    const found: BoxName | undefined = tree.boxes.get(id);
    if (found === undefined) break;
    levels.unshift(found.name);
    id = found.parent;
  }
  return levels.join('/');
}

function leafOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function placedRef(account: AccountId, mailbox: MailboxRef, placed: Placed): MessageRef {
  return {
    accountId: sdkAccountId(account),
    mailbox,
    uid: placed.uid as Uid,
    emailId: emailIdText(placed.content satisfies ContentId),
    sizeOctets: placed.size,
    internalDate: new Date(placed.date * 1000),
  };
}

async function refsAt(mail: AccountMail, info: MailboxInfo, uids: Uint32Array): Promise<readonly MessageRef[]> {
  const mailbox = mailboxRef(mail.account, info);
  const refs: MessageRef[] = [];
  (await mail.state(info.id)).visit(uids, (words, at, uid) => {
    refs.push(messageRef(mail.account, mailbox, uid, words, at));
  });
  return refs;
}

function flagNames(bits: FlagBits, keywords: readonly string[]): readonly Flag[] {
  const names: Flag[] = [];
  for (const [n, name] of [...SYSTEM_FLAGS, ...keywords].entries()) if (((bits >>> n) & SEEN) !== 0) names.push(name);
  return names;
}

/** Into Junk is spam; out of it is ham, unless it goes to the bin. */
function judgedByPlace(source: MailboxRef, target: MailboxRef, refs: readonly MessageRef[], cause: 'move' | 'copy'): readonly Body[] {
  const fromJunk = source.specialUse.includes('\\Junk');
  const toJunk = target.specialUse.includes('\\Junk');
  if (toJunk && !fromJunk) return feedback(refs, 'spam', cause, false);
  if (fromJunk && !toJunk && !target.specialUse.includes('\\Trash')) return feedback(refs, 'ham', cause, false);
  return [];
}

function feedback(
  refs: readonly MessageRef[],
  judged: 'spam' | 'ham',
  cause: 'move' | 'copy' | 'append' | 'keyword',
  undo: boolean,
): readonly Body[] {
  return slices(refs).map((messages) => ({ type: 'spam.feedback', messages, judged, undo, cause }));
}

function slices<T>(items: readonly T[]): readonly (readonly T[])[] {
  const out: (readonly T[])[] = [];
  for (let at = 0; at < items.length; at += SLICE) out.push(items.slice(at, at + SLICE));
  return out;
}

/** `imap ada@example.test` and the like. */
function originOf(origin: string): Origin {
  switch (origin.split(' ', 1)[0]) {
    case 'smtp':
      return 'smtp';
    case 'lmtp':
      return 'lmtp';
    case 'imap':
      return 'append';
    case 'import':
      return 'import';
    case 'sent-copy':
    case 'submission':
      return 'sent-copy';
    default:
      return 'api';
  }
}
