/**
 * What a session is told because of NOTIFY SET (RFC 5465): of other mailboxes STATUS, of the tree LIST, of annotations METADATA; of the
 * selected mailbox what RFC 9051 has, but at once. Only what changed is kept, not each change, so a slow client costs no memory. The selected
 * mailbox is never told less than without NOTIFY: sequence numbers could not be trusted otherwise.
 */
import { ANNOTATIONS } from '../mail/journal/annotation-notes.ts';
import type { Entry, UidRuns } from '../mail/journal/entry.ts';
import { SUBSCRIPTION } from '../mail/journal/tree-commands.ts';
import { NO_UIDS, runOf } from '../mail/journal/uid-runs.ts';
import type { LoggedIn, MailAccess } from '../mail/services.ts';
import type { MailboxId } from '../store/store.ts';
import { CommandContext } from './command.ts';
import { ImapNo, isFault } from './errors.ts';
import { planFetch } from './fetch/fetch-plan.ts';
import { FetchRun } from './fetch/fetch-run.ts';
import type { NotifyGroup } from './grammar/notify.ts';
import { atomOrString, mailbox } from './grammar/write.ts';
import { type FilterWorld, nameFilter, othersFilter } from './mailbox-filters.ts';
import { ownersOf } from './others-listing.ts';
import { replyTo } from './replies.ts';
import type { SelectedMailbox } from './selected-mailbox.ts';
import type { ImapSession } from './session.ts';
import { type EventsOf, WatchedAccount } from './watched-account.ts';

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

/** Other users whose mailboxes one session is told of. */
const MAX_OWNERS = 64;
/** Names of subscriptions and annotations that wait to be told; with more the client is told that it has to look itself. */
const MAX_WAITING_NAMES = 1_000;
const LINES = 256;
const EVERY_UID = 0xffff_ffff;

const NOTHING: ReadonlySet<string> = new Set();

export class NotificationWatch {
  readonly #session: ImapSession;
  readonly #login: LoggedIn;
  readonly #selected: NotifyGroup | undefined;
  readonly #others: readonly NotifyGroup[];
  readonly #wanted: ReadonlySet<string>;
  readonly #own: WatchedAccount;
  /** Of other users, those that a filter named when it was set. */
  readonly #guests: readonly WatchedAccount[];
  readonly #unlisten: readonly (() => void)[];
  readonly #subscriptions = new Set<string>();
  /** Notes that changed, without what all annotations begin with. */
  readonly #annotations = new Set<string>();
  #isOverflown = false;

  private constructor(session: ImapSession, login: LoggedIn, groups: readonly NotifyGroup[], owners: readonly MailAccess[]) {
    this.#session = session;
    this.#login = login;
    this.#selected = groups.find(({ filter }) => filter.kind.startsWith('SELECTED'));
    this.#others = groups.filter((group) => group !== this.#selected);
    this.#wanted = new Set(this.#others.flatMap(({ events }) => [...events]));
    this.#own = new WatchedAccount(session, login.access, this.#wanted);
    const unlisten = [login.access.mail.listen((entry) => this.#hear(entry))];
    this.#guests = owners.map((access) => {
      const watched = new WatchedAccount(session, access, this.#wanted);
      const heard = (): void => {
        if (watched.isWaiting) session.wire.wake();
      };
      const stop = access.guest?.hear({
        messages: (box) => {
          watched.messages(box);
          heard();
        },
        flags: (box) => {
          watched.flags(box);
          heard();
        },
        tree: () => {
          watched.tree();
          heard();
        },
      });
      if (stop !== undefined) unlisten.push(stop);
      return watched;
    });
    this.#unlisten = unlisten;
  }

  /** @throws ImapNo LIMIT when mailboxes of too many users are named */
  static async open(session: ImapSession, login: LoggedIn, groups: readonly NotifyGroup[]): Promise<NotificationWatch> {
    const filters = groups.map(({ filter }) => filter);
    const owners = await ownersOf(session, login.access, filters);
    session.signal.throwIfAborted(); // a session that ended meanwhile would never end the watch
    if (owners.length > MAX_OWNERS) throw new ImapNo('LIMIT', 'Mailboxes of too many users');
    return new NotificationWatch(session, login, groups, owners);
  }

  close(): void {
    for (const unlisten of this.#unlisten) unlisten();
  }

  /* ── What happens ──────────────────────────────────────────────────────────────────────────────────────────── */

  #hear(entry: Entry): void {
    this.#own.hear(entry);
    for (const op of entry.ops) if (op.op === 'note') this.#noted(op.name);
    if (this.#waiting) this.#session.wire.wake();
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
    if (this.#own.isWaiting || this.#isOverflown || this.#subscriptions.size + this.#annotations.size > 0) return true;
    return this.#guests.some(({ isWaiting }) => isWaiting);
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
    const lines = [...this.#own.treeLines(eventsOf), ...this.#subscriptionLines(eventsOf), ...this.#annotationLines(eventsOf)];
    lines.push(...this.#own.statusLines(eventsOf));
    if (this.#guests.some(({ isWaiting }) => isWaiting)) {
      const ofOthers = this.#eventsOfOthers();
      for (const guest of this.#guests) lines.push(...guest.treeLines(ofOthers), ...guest.statusLines(ofOthers));
    }
    return this.#say(lines);
  }

  /** STATUS of every mailbox but the selected whose messages were asked about: NOTIFY SET STATUS. @throws OutputClosed */
  async tellStatus(): Promise<void> {
    const lines = [...this.#own.allStatusLines(this.#eventsOf())];
    const ofOthers = this.#eventsOfOthers();
    for (const guest of this.#guests) lines.push(...guest.allStatusLines(ofOthers));
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

  #eventsOfOthers(): EventsOf {
    const { access } = this.#login;
    const groups = this.#others.map(({ filter, events }) => ({ events, matches: othersFilter(filter, access) }));
    return (name) => groups.find(({ matches }) => matches(name))?.events ?? NOTHING;
  }

  *#subscriptionLines(eventsOf: EventsOf): Generator<string> {
    if (this.#subscriptions.size === 0) return;
    const { mail } = this.#login.access;
    const subscribed = new Set(mail.subscriptions());
    for (const name of this.#subscriptions) {
      // A filter `subscribed` must hear of the end of a subscription too.
      const isWanted = eventsOf(name).has('SUBSCRIPTIONCHANGE') || this.#others.some(isOfSubscribed);
      if (isWanted) yield this.#own.listLine(name, mail.byName(name), subscribed.has(name) ? ['\\Subscribed'] : []);
    }
    this.#subscriptions.clear();
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
