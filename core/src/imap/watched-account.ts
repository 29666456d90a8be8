/**
 * What a session is to be told of one account because of NOTIFY (RFC 5465): STATUS of mailboxes whose messages have changed, LIST of what the
 * tree is now. Of somebody else's account: what this user may see of it when it is told. Only what changed is kept, not each change.
 */
import type { MailboxInfo } from '../mail/journal/account-mail.ts';
import type { Entry } from '../mail/journal/entry.ts';
import type { MailAccess } from '../mail/services.ts';
import type { MailboxId } from '../store/store.ts';
import { mailbox } from './grammar/write.ts';
import { mayIn } from './guest-view.ts';
import { nameIn } from './mailboxes.ts';
import type { ImapSession } from './session.ts';

const NEW_OR_GONE = 1;
const FLAGS = 2;

interface Known {
  /** As this user writes it. */
  readonly name: string;
  readonly selectable: boolean;
}
/** Events of the group that a mailbox of this name falls under: the first that matches (RFC 5465 §6). */
export type EventsOf = (name: string) => ReadonlySet<string>;

export class WatchedAccount {
  readonly access: MailAccess;
  readonly #session: ImapSession;
  readonly #wanted: ReadonlySet<string>;
  readonly #dirty = new Map<MailboxId, number>();
  /** The tree as it was told, when MailboxName was asked for. */
  #known: ReadonlyMap<MailboxId, Known>;
  #treeChanged = false;

  /** `wanted`: events that any group names. */
  constructor(session: ImapSession, access: MailAccess, wanted: ReadonlySet<string>) {
    this.#session = session;
    this.access = access;
    this.#wanted = wanted;
    this.#known = this.#tree();
  }

  /** Of an account that is the user's own. */
  hear({ ops }: Entry): void {
    for (const op of ops) {
      if (op.op === 'add' || op.op === 'gone') this.messages(op.box);
      else if (op.op === 'flag') this.flags(op.box);
      else if (op.op === 'box' || op.op === 'unbox') this.tree();
    }
  }

  messages(box: MailboxId): void {
    this.#mark(box, NEW_OR_GONE, 'MESSAGENEW');
  }
  flags(box: MailboxId): void {
    this.#mark(box, FLAGS, 'FLAGCHANGE');
  }
  tree(): void {
    this.#treeChanged ||= this.#wanted.has('MAILBOXNAME');
  }

  #mark(box: MailboxId, bit: number, event: string): void {
    if (this.#wanted.has(event)) this.#dirty.set(box, (this.#dirty.get(box) ?? 0) | bit);
  }

  get isWaiting(): boolean {
    return this.#treeChanged || this.#dirty.size > 0;
  }

  /** RFC 5465 §5.4: what the tree is now against what was told. */
  *treeLines(eventsOf: EventsOf): Generator<string> {
    if (!this.#treeChanged) return;
    this.#treeChanged = false;
    const before = this.#known;
    this.#known = this.#tree();
    const isWanted = (name: string): boolean => eventsOf(name).has('MAILBOXNAME');
    for (const [id, { name }] of before) if (!this.#known.has(id) && isWanted(name)) yield this.listLine(name, undefined, []);
    for (const [id, { name, selectable }] of this.#known) {
      const was = before.get(id);
      if (was?.name === name && was.selectable === selectable) continue;
      const info = this.access.mail.byId(id);
      if (was === undefined || was.name === name) {
        if (isWanted(name)) yield this.listLine(name, info, []);
      } else if (isWanted(name) || isWanted(was.name)) yield this.listLine(name, info, [], was.name);
    }
  }

  /** STATUS of the mailboxes that have changed, but for the selected one. */
  *statusLines(eventsOf: EventsOf): Generator<string> {
    for (const [box, bits] of this.#dirty) {
      const info = this.access.mail.byId(box);
      if (info === undefined || !this.#mayTell(info)) continue;
      const line = this.#statusLine(info, bits, eventsOf(nameIn(this.access, info.name)));
      if (line !== undefined) yield line;
    }
    this.#dirty.clear();
  }

  /** Of all whose messages were asked about, changed or not: NOTIFY SET STATUS. */
  *allStatusLines(eventsOf: EventsOf): Generator<string> {
    for (const info of this.access.mail.mailboxes()) {
      const events = eventsOf(nameIn(this.access, info.name));
      if (!events.has('MESSAGENEW') || !this.#mayTell(info)) continue;
      const line = this.#statusLine(info, NEW_OR_GONE | FLAGS, new Set([...events, 'UIDVALIDITY']));
      if (line !== undefined) yield line;
    }
    this.#dirty.clear();
  }

  /** `name`: as this user writes it. */
  listLine(name: string, info: MailboxInfo | undefined, more: readonly string[], oldName?: string): string {
    const { names } = this.#session;
    const attributes: string[] = info?.selectable === true ? [] : ['\\NonExistent'];
    if (info !== undefined) attributes.push(info.hasChildren ? '\\HasChildren' : '\\HasNoChildren', ...info.specialUse);
    const extended = oldName === undefined ? '' : ` ("OLDNAME" (${mailbox(oldName, names)}))`;
    return `* LIST (${[...attributes, ...more].join(' ')}) "/" ${mailbox(name, names)}${extended}\r\n`;
  }

  #tree(): ReadonlyMap<MailboxId, Known> {
    const known = new Map<MailboxId, Known>();
    if (!this.#wanted.has('MAILBOXNAME')) return known;
    for (const { id, name, selectable } of this.access.mail.mailboxes()) known.set(id, { name: nameIn(this.access, name), selectable });
    return known;
  }

  #mayTell({ id, selectable }: MailboxInfo): boolean {
    return selectable && id !== this.#session.selectedIn(this.access)?.box && mayIn(this.access, id, 'r');
  }

  #statusLine(info: MailboxInfo, bits: number, events: ReadonlySet<string>): string | undefined {
    const items: string[] = [];
    const wantsFlags = events.has('FLAGCHANGE');
    if ((bits & NEW_OR_GONE) !== 0 && events.has('MESSAGENEW')) items.push(`MESSAGES ${info.messages} UIDNEXT ${info.uidNext}`);
    else if ((bits & FLAGS) === 0 || !wantsFlags) return undefined;
    if (wantsFlags || events.has('UIDVALIDITY')) items.push(`UIDVALIDITY ${info.uidValidity}`);
    if (wantsFlags) items.push(`UNSEEN ${info.unseen}`);
    if (wantsFlags || this.#session.isCondstore) items.push(`HIGHESTMODSEQ ${info.highestModSeq}`);
    return `* STATUS ${mailbox(nameIn(this.access, info.name), this.#session.names)} (${items.join(' ')})\r\n`;
  }
}
