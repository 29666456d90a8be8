/**
 * What a session is told because of NOTIFY SET (RFC 5465): of other mailboxes STATUS, of the tree LIST, of annotations METADATA; of the
 * selected mailbox what RFC 9051 has, but at once. Only what changed is kept, not each change, so a slow client costs no memory. The selected
 * mailbox is never told less than without NOTIFY: sequence numbers could not be trusted otherwise.
 */
import type { MailboxInfo } from '../mail/journal/account-mail.ts';
import { ANNOTATIONS } from '../mail/journal/annotation-notes.ts';
import type { Entry, UidRuns } from '../mail/journal/entry.ts';
import { SUBSCRIPTION } from '../mail/journal/tree-commands.ts';
import { NO_UIDS, runOf } from '../mail/journal/uid-runs.ts';
import type { LoggedIn } from '../mail/services.ts';
import type { MailboxId } from '../store/store.ts';
import { CommandContext } from './command.ts';
import { ImapNo, isFault } from './errors.ts';
import { planFetch } from './fetch/fetch-plan.ts';
import { FetchRun } from './fetch/fetch-run.ts';
import type { NotifyGroup } from './grammar/notify.ts';
import { atomOrString, mailbox } from './grammar/write.ts';
import { type FilterWorld, nameFilter } from './mailbox-filters.ts';
import { replyTo } from './replies.ts';
import type { SelectedMailbox } from './selected-mailbox.ts';
import type { ImapSession } from './session.ts';

/** When news are told: at the end of a command that may show EXPUNGE or not, in IDLE, or with no command running. */
export type Moment = 'may-expunge' | 'no-expunge' | 'idle' | 'between';

/** What the events are called in responses. */
export const NOTIFY_EVENTS = [
  'MessageNew',
  'MessageExpunge',
  'FlagChange',
  'MailboxName',
  'SubscriptionChange',
  'MailboxMetadataChange',
  'ServerMetadataChange',
] as const;

const NEW_OR_GONE = 1;
const FLAGS = 2;
/** Names of subscriptions and annotations that wait to be told; with more the client is told that it has to look itself. */
const MAX_WAITING_NAMES = 1_000;
const LINES = 256;
const EVERY_UID = 0xffff_ffff;

interface Known {
  readonly name: string;
  readonly selectable: boolean;
}
const NOTHING: ReadonlySet<string> = new Set();
/** Events of the group that a mailbox of this name falls under: the first that matches (RFC 5465 §6). */
type EventsOf = (name: string) => ReadonlySet<string>;

export class NotificationWatch {
  readonly #session: ImapSession;
  readonly #login: LoggedIn;
  readonly #selected: NotifyGroup | undefined;
  readonly #others: readonly NotifyGroup[];
  readonly #wanted: ReadonlySet<string>;
  readonly #unlisten: () => void;
  readonly #dirty = new Map<MailboxId, number>();
  /** The tree as it was told, when MailboxName was asked for. */
  #known: ReadonlyMap<MailboxId, Known>;
  #treeChanged = false;
  readonly #subscriptions = new Set<string>();
  /** Notes that changed, without what all annotations begin with. */
  readonly #annotations = new Set<string>();
  #isOverflown = false;

  constructor(session: ImapSession, login: LoggedIn, groups: readonly NotifyGroup[]) {
    this.#session = session;
    this.#login = login;
    this.#selected = groups.find(({ filter }) => filter.kind.startsWith('SELECTED'));
    this.#others = groups.filter((group) => group !== this.#selected);
    this.#wanted = new Set(this.#others.flatMap(({ events }) => [...events]));
    this.#known = this.#tree();
    this.#unlisten = login.access.mail.listen((entry) => this.#hear(entry));
  }

  close(): void {
    this.#unlisten();
  }

  #tree(): ReadonlyMap<MailboxId, Known> {
    const known = new Map<MailboxId, Known>();
    if (!this.#wanted.has('MAILBOXNAME')) return known;
    for (const { id, name, selectable } of this.#login.access.mail.mailboxes()) known.set(id, { name, selectable });
    return known;
  }

  /* ── What happens ──────────────────────────────────────────────────────────────────────────────────────────── */

  #hear({ ops }: Entry): void {
    for (const op of ops) {
      if (op.op === 'add' || op.op === 'gone') this.#mark(op.box, NEW_OR_GONE, 'MESSAGENEW');
      else if (op.op === 'flag') this.#mark(op.box, FLAGS, 'FLAGCHANGE');
      else if (op.op === 'box' || op.op === 'unbox') this.#treeChanged = this.#wanted.has('MAILBOXNAME');
      else if (op.op === 'note') this.#noted(op.name);
    }
    if (this.#waiting) this.#session.wire.wake();
  }

  #mark(box: MailboxId, bit: number, event: string): void {
    if (this.#wanted.has(event)) this.#dirty.set(box, (this.#dirty.get(box) ?? 0) | bit);
  }

  #noted(name: string): void {
    if (name.startsWith(SUBSCRIPTION)) {
      if (this.#wanted.has('SUBSCRIPTIONCHANGE')) this.#subscriptions.add(name.slice(SUBSCRIPTION.length));
    } else if (name.startsWith(ANNOTATIONS)) {
      if (this.#wanted.has('MAILBOXMETADATACHANGE') || this.#wanted.has('SERVERMETADATACHANGE'))
        this.#annotations.add(name.slice(ANNOTATIONS.length));
    }
    this.#isOverflown ||= this.#subscriptions.size + this.#annotations.size > MAX_WAITING_NAMES;
  }

  get #waiting(): boolean {
    return this.#treeChanged || this.#isOverflown || this.#dirty.size + this.#subscriptions.size + this.#annotations.size > 0;
  }

  /* ── What is told ──────────────────────────────────────────────────────────────────────────────────────────── */

  /** Undefined when all of it was said at once. @throws OutputClosed, BrokenReply */
  announce(moment: Moment): undefined | Promise<void> {
    const { selected } = this.#session;
    const telling = selected === undefined ? undefined : this.#announceSelected(selected, moment);
    return telling === undefined ? this.#announceOthers() : telling.then(() => this.#announceOthers());
  }

  #announceSelected(view: SelectedMailbox, moment: Moment): undefined | Promise<void> {
    const { respond } = this.#session;
    const asked = this.#selected;
    const isAsked = asked?.events.has('MESSAGENEW') === true;
    if (moment === 'between' && !isAsked) return undefined;
    const lastUid = view.lastUid;
    const telling =
      moment === 'between'
        ? view.announce(
            respond,
            asked?.filter.kind === 'SELECTED' ? 'tell' : 'keep',
            asked?.events.has('FLAGCHANGE') === true ? 'tell' : 'keep',
          )
        : view.announce(respond, moment === 'no-expunge' ? 'keep' : 'tell');
    if (!isAsked || asked.fetchItems.length === 0) return telling;
    const fetchNew = (): undefined | Promise<void> => {
      const fresh = view.isLost ? NO_UIDS : view.living(runOf(lastUid + 1, EVERY_UID));
      return fresh.length === 0 ? undefined : this.#fetch(view, fresh);
    };
    return telling === undefined ? fetchNew() : telling.then(fetchNew);
  }

  /** The items of MessageNew for messages that were just told by EXISTS (RFC 5465 §5.2). \Seen stays as it is. */
  async #fetch(view: SelectedMailbox, uids: UidRuns): Promise<void> {
    const items = this.#selected?.fetchItems ?? [];
    const plan = planFetch({ items, changedSince: undefined, vanished: false, partial: undefined }, { uid: 'asked' });
    try {
      await view.access.authorize(view.box, uids, plan.needsContent || plan.columns.length > 0 ? 'content' : 'metadata');
      const context = new CommandContext(this.#session, '*', false, []);
      await new FetchRun(context, view, plan, { changedSince: undefined, seenNow: NO_UIDS }).run(uids);
    } catch (error) {
      const reply = replyTo(error);
      // Of our own making and no answer: the connection's business. Else some could not be shown, and there is no command to say NO to.
      if (!(reply instanceof ImapNo) || reply.code === 'SERVERBUG') throw error;
      if (isFault(reply.cause)) {
        this.#session.env.log.error({ err: reply.cause, session: this.#session.info.id }, 'a new message could not be shown');
      }
    }
  }

  #announceOthers(): undefined | Promise<void> {
    if (!this.#waiting) return undefined;
    if (this.#isOverflown) {
      this.#session.respond.ok('NOTIFICATIONOVERFLOW', 'Too much has changed; look at the mailboxes, and NOTIFY again');
      this.#session.endWatch();
      return undefined;
    }
    const eventsOf = this.#eventsOf();
    const lines = [...this.#treeLines(eventsOf), ...this.#subscriptionLines(eventsOf), ...this.#annotationLines(eventsOf)];
    for (const [box, bits] of this.#dirty) {
      const info = this.#login.access.mail.byId(box);
      if (info === undefined || !info.selectable || box === this.#session.selectedIn(this.#login.access)?.box) continue;
      const line = this.#statusLine(info, bits, eventsOf(info.name));
      if (line !== undefined) lines.push(line);
    }
    this.#dirty.clear();
    return this.#say(lines);
  }

  /** STATUS of every mailbox but the selected whose messages were asked about: NOTIFY SET STATUS. @throws OutputClosed */
  async tellStatus(): Promise<void> {
    const eventsOf = this.#eventsOf();
    const lines: string[] = [];
    for (const info of this.#login.access.mail.mailboxes()) {
      const events = eventsOf(info.name);
      if (!info.selectable || !events.has('MESSAGENEW') || info.id === this.#session.selectedIn(this.#login.access)?.box) continue;
      const line = this.#statusLine(info, NEW_OR_GONE | FLAGS, new Set([...events, 'UIDVALIDITY']));
      if (line !== undefined) lines.push(line);
    }
    this.#dirty.clear();
    await this.#say(lines);
  }

  #say(lines: readonly string[]): undefined | Promise<void> {
    const { respond } = this.#session;
    if (lines.length > LINES) return this.#sayMuch(lines);
    if (lines.length > 0) respond.lines(lines.join(''));
    return undefined;
  }

  async #sayMuch(lines: readonly string[]): Promise<void> {
    const { respond } = this.#session;
    for (let at = 0; at < lines.length; at += LINES) {
      respond.lines(lines.slice(at, at + LINES).join(''));
      if (respond.isFull) await respond.drained();
    }
  }

  #eventsOf(): EventsOf {
    const world: FilterWorld = { access: this.#login.access, isRouted: this.#session.env.hooks.has('delivery.route') };
    const groups = this.#others.map(({ filter, events }) => ({ events, matches: nameFilter(filter, world) }));
    return (name) => groups.find(({ matches }) => matches(name))?.events ?? NOTHING;
  }

  #statusLine(info: MailboxInfo, bits: number, events: ReadonlySet<string>): string | undefined {
    const items: string[] = [];
    const wantsFlags = events.has('FLAGCHANGE');
    if ((bits & NEW_OR_GONE) !== 0 && events.has('MESSAGENEW')) items.push(`MESSAGES ${info.messages} UIDNEXT ${info.uidNext}`);
    else if ((bits & FLAGS) === 0 || !wantsFlags) return undefined;
    if (wantsFlags || events.has('UIDVALIDITY')) items.push(`UIDVALIDITY ${info.uidValidity}`);
    if (wantsFlags) items.push(`UNSEEN ${info.unseen}`);
    if (wantsFlags || this.#session.isCondstore) items.push(`HIGHESTMODSEQ ${info.highestModSeq}`);
    return `* STATUS ${mailbox(info.name, this.#session.names)} (${items.join(' ')})\r\n`;
  }

  /** RFC 5465 §5.4: what the tree is now against what was told. */
  *#treeLines(eventsOf: EventsOf): Generator<string> {
    if (!this.#treeChanged) return;
    this.#treeChanged = false;
    const before = this.#known;
    this.#known = this.#tree();
    const isWanted = (name: string): boolean => eventsOf(name).has('MAILBOXNAME');
    for (const [id, { name }] of before) if (!this.#known.has(id) && isWanted(name)) yield this.#listLine(name, undefined, []);
    for (const [id, { name, selectable }] of this.#known) {
      const was = before.get(id);
      if (was?.name === name && was.selectable === selectable) continue;
      const info = this.#login.access.mail.byId(id);
      if (was === undefined || was.name === name) {
        if (isWanted(name)) yield this.#listLine(name, info, []);
      } else if (isWanted(name) || isWanted(was.name)) yield this.#listLine(name, info, [], was.name);
    }
  }

  *#subscriptionLines(eventsOf: EventsOf): Generator<string> {
    if (this.#subscriptions.size === 0) return;
    const { mail } = this.#login.access;
    const subscribed = new Set(mail.subscriptions());
    for (const name of this.#subscriptions) {
      // A filter `subscribed` must hear of the end of a subscription too.
      const isWanted = eventsOf(name).has('SUBSCRIPTIONCHANGE') || this.#others.some(isOfSubscribed);
      if (isWanted) yield this.#listLine(name, mail.byName(name), subscribed.has(name) ? ['\\Subscribed'] : []);
    }
    this.#subscriptions.clear();
  }

  #listLine(name: string, info: MailboxInfo | undefined, more: readonly string[], oldName?: string): string {
    const { names } = this.#session;
    const attributes: string[] = info?.selectable === true ? [] : ['\\NonExistent'];
    if (info !== undefined) attributes.push(info.hasChildren ? '\\HasChildren' : '\\HasNoChildren', ...info.specialUse);
    const extended = oldName === undefined ? '' : ` ("OLDNAME" (${mailbox(oldName, names)}))`;
    return `* LIST (${[...attributes, ...more].join(' ')}) "/" ${mailbox(name, names)}${extended}\r\n`;
  }

  /** RFC 5465 §5.6, §5.7: names without values. */
  *#annotationLines(eventsOf: EventsOf): Generator<string> {
    for (const note of this.#annotations) {
      const slash = note.indexOf('/');
      const box = Number(note.slice(0, slash));
      const entry = note.slice(slash);
      if (box === 0) {
        if (this.#wanted.has('SERVERMETADATACHANGE')) yield `* METADATA "" ${atomOrString(entry, this.#session.names)}\r\n`;
        continue;
      }
      const info = this.#login.access.mail.byId(box as MailboxId);
      if (info === undefined || !eventsOf(info.name).has('MAILBOXMETADATACHANGE')) continue;
      yield `* METADATA ${mailbox(info.name, this.#session.names)} ${atomOrString(entry, this.#session.names)}\r\n`;
    }
    this.#annotations.clear();
  }
}

function isOfSubscribed({ filter, events }: NotifyGroup): boolean {
  return filter.kind === 'SUBSCRIBED' && events.has('SUBSCRIPTIONCHANGE');
}
