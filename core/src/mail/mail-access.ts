/**
 * One account's mail for one actor: the hooks of DESIGN §4 around an AccountMail, in their order. A hook that nobody taps costs a look
 * at a list.
 */
import type { Account, Actor, MessageRef, Origin as SdkOrigin, SearchQuery, Session, SpecialUse } from '@pochard/plugin-sdk';
import type { AccountId, MailboxId } from '../store/store.ts';
import { octetLimit } from './accounts/quota.ts';
import { annotationValue, MAX_ANNOTATION_OCTETS, MAX_ANNOTATIONS, SPECIAL_USE_ENTRY } from './annotations.ts';
import { messageView } from './content/message-view.ts';
import type { ParsedSource } from './content/parsed-source.ts';
import { AccountContentReader } from './content/reader.ts';
import { MailError } from './errors.ts';
import { asMailError, guarded } from './hook-errors.ts';
import type {
  AccountMail,
  AclChange,
  AppendItem,
  FlagChange,
  Limits,
  MailboxInfo,
  MailboxListener,
  MailboxState,
  OpenMailbox,
  Origin,
  Relocated,
} from './journal/account-mail.ts';
import { ALL_RIGHTS, NO_RIGHTS, type RightSet } from './journal/acl.ts';
import { DELETED, type GoneCause, type UidRuns } from './journal/entry.ts';
import { FLAGS } from './journal/layout.ts';
import { countUids, intersectUids, NO_UIDS, runOf, runsOf, subtractUids, unionUids } from './journal/uid-runs.ts';
import type { MailParts } from './mail-parts.ts';
import { accountIdOf, isSpecialUse, mailboxRef, messageRef, uidRanges } from './sdk-values.ts';
import { expandFuzzy } from './search/fuzzy.ts';
import { searchMailbox } from './search/search.ts';
import type { AppendMessage, ContentReader, MailAccess, SearchProgress } from './services.ts';
import type { GuestAccess } from './sharing/sharing.ts';

/** Messages that `expunge.before` is asked about at a time. */
const EXPUNGE_SLICE = 1000;

export interface AccessOptions {
  readonly account: Account;
  readonly mail: AccountMail;
  readonly actor: Actor;
  readonly session: Session | undefined;
  /** What the journal says caused the changes: `imap`, `api`, `plugin:<name>`... */
  readonly by: string;
  /** Given when `mail` is another's. */
  readonly guest?: GuestAccess;
}

/** Who asks, as every hook's context says it. */
interface Context {
  readonly actor: Actor;
  readonly session: Session | undefined;
  readonly account: Account;
  readonly signal?: AbortSignal;
}

export class HookedMailAccess implements MailAccess {
  readonly account: Account;
  readonly mail: AccountMail;
  readonly content: ContentReader;
  readonly guest: GuestAccess | undefined;
  readonly #parts: MailParts;
  readonly #id: AccountId;
  readonly #context: Context;
  readonly #origin: Origin;

  constructor(parts: MailParts, options: AccessOptions) {
    const { account, mail, actor, session, by } = options;
    this.account = account;
    this.mail = mail;
    this.guest = options.guest;
    this.#parts = parts;
    this.#id = accountIdOf(account.id);
    this.#context = { actor, session, account };
    this.#origin = { by, actor: actor.name };
    this.content = new AccountContentReader({ store: parts.store, codecs: parts.codecs, cache: parts.cache, account, actor, session });
  }

  open(box: MailboxId, listener: MailboxListener): Promise<OpenMailbox> {
    return this.mail.open(box, listener);
  }

  /* ── The tree ── */

  async create(name: string, options: { readonly specialUse?: readonly SpecialUse[] } = {}): Promise<MailboxInfo> {
    await this.#mailboxBefore({ change: 'create', name });
    const id = await this.#committed(
      this.mail.createMailbox(name, this.#origin, {
        ...(options.specialUse === undefined ? {} : { specialUse: options.specialUse }),
        limits: await this.#limits('status'),
      }),
    );
    const info = this.mail.byId(id);
    if (info === undefined) throw new MailError('no-such-mailbox', 'The mailbox was deleted again');
    return info;
  }

  async delete(name: string): Promise<void> {
    const info = this.#named(name);
    await this.#mailboxBefore({ change: 'delete', name: info.name });
    if (this.#parts.hooks.has('expunge.before') && info.messages > 0) {
      const { kept, text } = await this.keptOf(info, runOf(1, 0xffff_ffff), 'mailbox-deleted', 'all');
      if (kept.length > 0) throw new MailError('held', text ?? 'Messages in it may not be removed');
    }
    await this.#committed(this.mail.deleteMailbox(info.id, this.#origin));
  }

  async rename(name: string, newName: string): Promise<void> {
    const info = this.#named(name);
    await this.#mailboxBefore({ change: 'rename', name: info.name, newName });
    await this.#committed(this.mail.renameMailbox(info.id, newName, this.#origin));
  }

  async subscribe(name: string, on: 'subscribe' | 'unsubscribe'): Promise<void> {
    await this.#mailboxBefore({ change: on, name });
    await this.#committed(this.mail.subscribe(name, on, this.#origin));
  }

  acl(box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[] {
    return this.mail.acl(this.#known(box).id);
  }

  async setAcl(box: MailboxId, change: AclChange): Promise<void> {
    // Nobody but the owner can open sealed mail (design/encryption.md §4).
    if (this.account.sealed && change.rights !== NO_RIGHTS && change.mode !== 'remove')
      throw new MailError('unsupported', 'Encrypted mail cannot be shared');
    if (change.identifier === this.account.username || change.identifier === `-${this.account.username}`) {
      const isNoChange = change.identifier.startsWith('-')
        ? change.rights === NO_RIGHTS
        : change.mode !== 'remove' && change.rights === ALL_RIGHTS;
      if (isNoChange) return;
      throw new MailError('unsupported', 'The rights of the owner are always all');
    }
    await this.#committed(this.mail.setAcl(box, change, this.#origin));
  }

  async annotate(box: MailboxId | undefined, entries: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const values = new Map<string, string | null>();
    let specialUse: readonly string[] | undefined;
    for (const [entry, octets] of entries) {
      if (box === undefined && !entry.startsWith('/private/') && this.#context.actor.type !== 'admin')
        throw new MailError('forbidden', 'Shared annotations of the server are set by the administrator');
      if (octets !== null && octets.length > MAX_ANNOTATION_OCTETS) throw new MailError('limit', 'Annotation is too long');
      if (box === undefined || entry !== SPECIAL_USE_ENTRY) {
        values.set(entry, octets === null ? null : annotationValue(octets));
        continue;
      }
      specialUse = octets === null ? [] : Buffer.from(octets).toString('latin1').split(' ').filter(Boolean);
      if (!specialUse.every(isSpecialUse)) throw new MailError('invalid', 'Special use is not known');
    }
    await this.#committed(this.mail.annotate(box ?? 0, values, this.#origin, { atMost: MAX_ANNOTATIONS, specialUse }));
  }

  #mailboxBefore(
    change:
      | { readonly change: 'create' | 'delete' | 'subscribe' | 'unsubscribe'; readonly name: string }
      | { readonly change: 'rename'; readonly name: string; readonly newName: string },
  ): void | Promise<void> {
    const { hooks } = this.#parts;
    if (hooks.has('mailbox.before')) return guarded(() => hooks.gate('mailbox.before', change, this.#context));
  }

  /* ── In ── */

  async mayAppend(box: MailboxId, sizeOctets: number): Promise<void> {
    const { hooks, settings } = this.#parts;
    const info = this.#target(box);
    this.guest?.require(box, 'i', 'no-such-target');
    if (sizeOctets > settings.messageOctets) throw new MailError('too-big', 'Message is too large');
    if (hooks.has('append.before')) {
      await guarded(() => hooks.gate('append.before', { mailbox: mailboxRef(this.#id, info), sizeOctets }, this.#context));
    }
    const { octets } = await this.#limits(this.#wayIn());
    if (octets !== undefined && this.mail.usage.octets + sizeOctets > octets) throw new MailError('over-quota', 'Over quota');
  }

  async append(
    box: MailboxId,
    messages: readonly AppendMessage[],
    signal: AbortSignal,
  ): Promise<{ readonly uidValidity: number; readonly uids: readonly number[] }> {
    const way = this.#wayIn();
    this.guest?.require(box, 'i', 'no-such-target');
    const items: AppendItem[] = [];
    for (const message of messages) items.push(await this.received(box, message, way, signal));
    const { uidValidity, uids } = await this.#commitAppend(box, items, way);
    return { uidValidity, uids };
  }

  /** Parse and {@link prepareItem}; nothing is stored yet. */
  async received(box: MailboxId, { source, flags, internalDate }: AppendMessage, way: SdkOrigin, signal: AbortSignal): Promise<AppendItem> {
    if (source.sizeOctets > this.#parts.settings.messageOctets) throw new MailError('too-big', 'Message is too large');
    const message = await this.#parts.ingest.parse(source, 'parse', signal);
    return this.prepareItem(box, message, { flags, date: internalDate ?? Math.floor(this.#parts.now() / 1000), way, signal });
  }

  /** `append.match`, `store.before`, codecs: everything before the commit of one message. `key` is its idempotency key, if it has one. */
  async prepareItem(
    box: MailboxId,
    message: ParsedSource,
    options: {
      readonly flags: readonly string[];
      readonly date: number;
      readonly way: SdkOrigin;
      readonly signal: AbortSignal;
      readonly prefix?: Uint8Array;
      readonly key?: string | undefined;
    },
  ): Promise<AppendItem> {
    const { hooks, ingest, matches } = this.#parts;
    const { flags, date, way, signal, prefix = NOTHING } = options;
    const info = this.#target(box);
    let { key } = options;
    if (key === undefined && hooks.has('append.match')) {
      const policy = await guarded(() => hooks.decide('append.match', { mailbox: mailboxRef(this.#id, info), flags }, this.#context));
      if (policy !== undefined) key = await matches.keyFor(this.#id, box, message, policy.sameWithinMs, this.#digestSecret());
    }
    if (hooks.has('store.before')) {
      const { head } = message.parsed;
      const view = await messageView(message, prefix.length === 0 ? head : Buffer.concat([prefix, head]));
      const request = { mailbox: mailboxRef(this.#id, info), sizeOctets: view.sizeOctets, origin: way, message: view };
      await guarded(() => hooks.gate('store.before', request, { ...this.#context, signal }));
    }
    const { account, actor, session } = this.#context;
    try {
      const content = await ingest.prepare(message, prefix, { account, actor, session, signal });
      return key === undefined ? { content, flags, date } : { content, flags, date, key };
    } catch (error) {
      throw asMailError(error);
    }
  }

  /** Commits what {@link prepareItem} made. */
  async appendItems(
    box: MailboxId,
    items: readonly AppendItem[],
    way: SdkOrigin,
    note?: readonly [name: string, value: string],
  ): ReturnType<AccountMail['append']> {
    return this.#commitAppend(box, items, way, note);
  }

  async #commitAppend(
    box: MailboxId,
    items: readonly AppendItem[],
    way: SdkOrigin,
    note?: readonly [name: string, value: string],
  ): ReturnType<AccountMail['append']> {
    try {
      const limits = await this.#limits(way);
      return await this.#committed(this.mail.append(box, items, this.#origin, limits, note === undefined ? {} : { note }));
    } catch (error) {
      throw asMailError(error);
    }
  }

  /** A plain digest of a sealed account's mail would confirm guesses (design/journal.md row 21). */
  #digestSecret(): Uint8Array | undefined {
    return this.account.sealed ? this.#parts.digestKey : undefined;
  }

  /* ── Changes ── */

  store(
    box: MailboxId,
    uids: UidRuns,
    change: FlagChange,
    options?: { readonly unchangedSince?: number },
  ): Promise<{ readonly seq: number; readonly changed: UidRuns; readonly modified: UidRuns }> {
    return this.#committed(this.mail.store(box, uids, change, this.#origin, options));
  }

  async copy(box: MailboxId, uids: UidRuns, to: MailboxId): Promise<Relocated> {
    await this.#copyBefore('copy', box, uids, to);
    return this.#committed(this.mail.copy(box, uids, to, this.#origin, await this.#limits('copy')));
  }

  async move(box: MailboxId, uids: UidRuns, to: MailboxId): Promise<Relocated> {
    await this.#copyBefore('move', box, uids, to);
    return this.#committed(this.mail.move(box, uids, to, this.#origin));
  }

  #copyBefore(as: 'copy' | 'move', box: MailboxId, uids: UidRuns, to: MailboxId): void | Promise<void> {
    const { hooks } = this.#parts;
    const target = this.#target(to);
    if (!hooks.has('copy.before')) return;
    const source = mailboxRef(this.#id, this.#known(box));
    const request = { as, source, uids: uidRanges(uids), target: mailboxRef(this.#id, target) };
    return guarded(() => hooks.gate('copy.before', request, this.#context));
  }

  /**
   * Before messages are copied or moved into another account: rights, `copy.before`, and for MOVE `expunge.before`, as they leave this account.
   * @throws MailError forbidden, held, locked, policy, no-such-mailbox, no-such-target
   */
  async mayTransfer(as: 'copy' | 'move', box: MailboxId, uids: UidRuns, to: HookedMailAccess, target: MailboxId): Promise<void> {
    const info = this.#known(box);
    const there = to.#target(target);
    if (as === 'move') this.guest?.require(box, 'rte');
    await this.authorize(box, uids, 'content');
    to.guest?.require(target, 'i', 'no-such-target');
    if (this.#parts.hooks.has('copy.before')) {
      const request = { as, source: mailboxRef(this.#id, info), uids: uidRanges(uids), target: mailboxRef(to.#id, there) };
      await guarded(() => this.#parts.hooks.gate('copy.before', request, this.#context));
    }
    if (as === 'copy' || !this.#parts.hooks.has('expunge.before')) return;
    const { kept, text } = await this.keptOf(info, uids, 'expunge', 'all');
    if (kept.length > 0) throw new MailError('held', text ?? 'Some messages may not be removed');
  }

  /**
   * Before a message of this account is replaced by one in another: rights, `expunge.before`.
   * @throws MailError forbidden, held, locked, policy, no-such-mailbox, no-such-target
   */
  async mayReplaceElsewhere(box: MailboxId, uid: number, to: HookedMailAccess, target: MailboxId): Promise<void> {
    const info = this.#known(box);
    to.#target(target);
    this.guest?.require(box, 'te');
    to.guest?.require(target, 'i', 'no-such-target');
    if (!this.#parts.hooks.has('expunge.before')) return;
    const { kept, text } = await this.keptOf(info, runOf(uid, uid), 'replace', 'all');
    if (kept.length > 0) throw new MailError('held', text ?? 'The message may not be removed');
  }

  /** See `AccountMail.beginTransfer`. */
  beginTransfer(box: MailboxId, note: string): Promise<void> {
    return this.#committed(this.mail.beginTransfer(box, note, this.#origin));
  }

  endTransfer(box: MailboxId, uids: UidRuns, note: string): Promise<number> {
    return this.#committed(this.mail.endTransfer(box, uids, note, this.#origin));
  }

  async expunge(
    box: MailboxId,
    uids: UidRuns,
    cause: GoneCause,
    options?: { readonly onlyDeleted?: boolean },
  ): Promise<{ readonly seq: number; readonly gone: UidRuns; readonly kept: UidRuns; readonly keptText: string | undefined }> {
    if (!this.#parts.hooks.has('expunge.before')) {
      const { seq, gone } = await this.#committed(this.mail.expunge(box, uids, cause, this.#origin, options));
      return { seq, gone, kept: NO_UIDS, keptText: undefined };
    }
    const which = options?.onlyDeleted === true ? 'deleted' : 'all';
    const { asked, kept, text } = await this.keptOf(this.#known(box), uids, cause, which);
    // What was not asked about (it came, or got \Deleted, meanwhile) stays.
    const { seq, gone } = await this.#committed(this.mail.expunge(box, subtractUids(asked, kept), cause, this.#origin, options));
    return { seq, gone, kept, keptText: text };
  }

  async replace(
    box: MailboxId,
    uid: number,
    to: MailboxId,
    message: AppendMessage,
    signal: AbortSignal,
  ): Promise<{ readonly seq: number; readonly uidValidity: number; readonly uid: number }> {
    const way = this.#wayIn();
    if (this.#parts.hooks.has('expunge.before')) {
      const { kept, text } = await this.keptOf(this.#known(box), runOf(uid, uid), 'replace', 'all');
      if (kept.length > 0) throw new MailError('held', text ?? 'The message may not be removed');
    }
    const { content, flags, date } = await this.received(to, message, way, signal); // without its key: a draft that is equal replaces all the same
    return this.#committed(this.mail.replace(box, uid, to, { content, flags, date }, this.#origin, await this.#limits(way)));
  }

  /** `expunge.before`, in slices: which messages it was asked about, and which must stay. Removes nothing. */
  async keptOf(
    info: MailboxInfo,
    uids: UidRuns,
    cause: GoneCause,
    which: 'all' | 'deleted',
  ): Promise<{ readonly asked: UidRuns; readonly kept: UidRuns; readonly text: string | undefined }> {
    const { hooks } = this.#parts;
    if (cause === 'move') return { asked: uids, kept: NO_UIDS, text: undefined };
    const mailbox = mailboxRef(this.#id, info);
    const state = await this.mail.state(info.id);
    const asked: number[] = [];
    const kept = new Set<number>();
    let text: string | undefined;
    for (let after = 0; ; ) {
      const messages = sliceOf(state, intersectUids(uids, runOf(after + 1, 0xffff_ffff)), which, (words, at, uid) =>
        messageRef(this.#id, mailbox, uid, words, at),
      );
      const last = messages.at(-1);
      if (last === undefined) break;
      after = last.uid;
      for (const { uid } of messages) asked.push(uid);
      const request = {
        messages,
        cause,
        keep(some: readonly MessageRef[], publicText: string) {
          for (const { uid } of some) kept.add(uid);
          text ??= publicText.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ').slice(0, 200);
        },
      };
      await guarded(() => hooks.gate('expunge.before', request, this.#context));
    }
    const askedRuns = runsOf(asked);
    return { asked: askedRuns, kept: intersectUids(runsOf(kept), askedRuns), text };
  }

  /* ── Out ── */

  async authorize(box: MailboxId, uids: UidRuns, wants: 'metadata' | 'content'): Promise<void> {
    const { hooks, codecs } = this.#parts;
    if (this.guest !== undefined) {
      await this.mail.refresh();
      this.guest.require(box, 'r');
    }
    if (hooks.has('fetch.authorize')) {
      const mailbox = mailboxRef(this.#id, this.#known(box));
      await guarded(() => hooks.gate('fetch.authorize', { mailbox, uids: uidRanges(uids), wants }, this.#context));
    }
    if (wants === 'content' && this.account.sealed && !(await codecs.canOpen(this.account, this.#context.session))) {
      throw new MailError('locked', 'This mail cannot be opened in this session');
    }
  }

  async search(
    box: MailboxId,
    query: SearchQuery,
    options: { readonly within: UidRuns; readonly signal: AbortSignal; readonly progress?: SearchProgress | undefined },
  ): Promise<Uint32Array> {
    const { hooks, log, searchIndex } = this.#parts;
    const info = this.#known(box);
    const context = { ...this.#context, signal: options.signal };
    let asked = query;
    if (hooks.has('search.rewrite')) {
      const mailboxes = [mailboxRef(this.#id, info)];
      asked = await guarded(() => hooks.transform('search.rewrite', query, { ...context, mailboxes }));
    }
    await this.authorize(box, options.within, looksInside(asked) ? 'content' : 'metadata');
    const exact = expandFuzzy(asked, 'stems');
    const deps = { content: this.content, log, progress: options.progress };
    const find = async (within: UidRuns) => {
      const state = await this.mail.state(box);
      // Mail of a sealed account is in no index.
      const isIndexed = searchIndex !== undefined && !this.account.sealed;
      const narrowed = isIndexed ? await searchIndex.narrow(this.#id, exact, state, within, options.signal) : exact;
      return searchMailbox(deps, narrowed, state, within, options.signal);
    };
    if (!hooks.has('search.plan')) return find(options.within);
    const mailbox = mailboxRef(this.#id, info);
    const plan = await guarded(() => hooks.decide('search.plan', { query: asked, mailbox }, context));
    if (plan === undefined) return find(options.within);
    const state = await this.mail.state(box);
    // The plan speaks of what was there up to its MODSEQ; what changed since is searched here.
    const since = intersectUids(state.changedSince(plan.upTo), options.within);
    const planned = subtractUids(state.existing(intersectUids(runsOf(plan.uids), options.within)), since);
    if (!plan.exact) return find(unionUids(planned, since));
    const found = countUids(since) === 0 ? new Uint32Array(0) : await find(since);
    return uidsOf(unionUids(planned, runsOf(found)));
  }

  limits(): Promise<Limits> {
    return this.#limits('status');
  }

  /** What may be held, for mail that comes in this way. */
  limitsFor(way: SdkOrigin): Promise<Limits> {
    return this.#limits(way);
  }

  async #limits(origin: SdkOrigin | 'status'): Promise<Limits> {
    const { directory, hooks, settings } = this.#parts;
    const record = directory.cached(this.#id) ?? (await directory.get(this.#id));
    const answer = hooks.has('quota.limits') ? await guarded(() => hooks.decide('quota.limits', { origin }, this.#context)) : undefined;
    const octets = octetLimit(answer?.octets, record?.quotaOctets, settings.defaultQuotaOctets);
    const { octets: _octets, ...others } = answer ?? {};
    return octets === undefined ? others : { ...others, octets };
  }

  /** Followers of the journal need not wait for their next look. */
  async #committed<T>(change: Promise<T>): Promise<T> {
    const answer = await change;
    this.#parts.committed();
    return answer;
  }

  #wayIn(): SdkOrigin {
    return this.#origin.by === 'imap' ? 'append' : this.#origin.by === 'import' ? 'import' : 'api';
  }

  #named(name: string): MailboxInfo {
    const info = this.mail.byName(name);
    if (info === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    return info;
  }

  #known(box: MailboxId): MailboxInfo {
    const info = this.mail.byId(box);
    if (info === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    return info;
  }

  #target(box: MailboxId): MailboxInfo {
    const info = this.mail.byId(box);
    if (info === undefined || !info.selectable) throw new MailError('no-such-target', 'No such mailbox');
    return info;
  }
}

const NOTHING = new Uint8Array(0);

/** The first messages of `uids`, at most a slice. */
function sliceOf(
  state: MailboxState,
  uids: UidRuns,
  which: 'all' | 'deleted',
  make: (words: Uint32Array, at: number, uid: number) => MessageRef,
): readonly MessageRef[] {
  const slice: MessageRef[] = [];
  state.visit(uids, (words, at, uid) => {
    if (which === 'deleted' && ((words[at + FLAGS] ?? 0) & DELETED) === 0) return;
    slice.push(make(words, at, uid));
    return slice.length < EXPUNGE_SLICE;
  });
  return slice;
}

function uidsOf(runs: UidRuns): Uint32Array {
  const uids = new Uint32Array(countUids(runs));
  let n = 0;
  for (let at = 0; at + 1 < runs.length; at += 2) {
    for (let uid = runs[at] ?? 1; uid <= (runs[at + 1] ?? 0); uid += 1) uids[n++] = uid;
  }
  return uids;
}

/** Whether a query reads header fields or text. Iterative: depth is the client's choice. */
function looksInside(query: SearchQuery): boolean {
  const stack: SearchQuery[] = [query];
  for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
    switch (part.op) {
      case 'and':
      case 'or':
        for (const inner of part.of) stack.push(inner);
        break;
      case 'not':
      case 'fuzzy':
        stack.push(part.of);
        break;
      case 'text':
      case 'body':
      case 'subject':
      case 'from':
      case 'to':
      case 'cc':
      case 'bcc':
      case 'header':
        return true;
      case 'date':
        if (part.field === 'sent') return true;
        break;
      default:
        break;
    }
  }
  return false;
}
