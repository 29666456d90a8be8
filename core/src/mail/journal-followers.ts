/**
 * Runs the `journal` taps: each with a stored cursor, in order within an account, at least once. What fails is set aside, tried again
 * ever later, and after three days only listed; the cursor moves on for everybody else meanwhile.
 */
import { type Account, type Actor, Locked, type Session } from '@pochard/plugin-sdk';
import type { Follower } from '../plugins/hook-calls.ts';
import { createActor } from '../plugins/identities.ts';
import { type AccountId, type Bus, JournalPruned, type Lease, type Seq } from '../store/store.ts';
import type { AccountRemovals } from './accounts/account-removals.ts';
import type { Entry } from './journal/entry.ts';
import { decodeEntry } from './journal/entry-codec.ts';
import type { JournalEvents } from './journal-events.ts';
import { accountOf, type MailParts } from './mail-parts.ts';
import { sdkAccountId } from './sdk-values.ts';

/** Entries asked for at a time. */
const PAGE = 100;
/** Between looks when nobody calls {@link JournalFollowers.poke}: another instance's commits, and what is due again. */
const LOOK_MS = 2_000;
/** Of several instances one follows for an observer; when it dies, another goes on after so long. */
const LEASE_MS = 15_000;
const SET_ASIDE_AFTER_MS = 3 * 86_400_000;
const BACKOFF_MS = [1_000, 5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000];
/** Who waits for an unlock is asked again then; this is for unlocks that nobody told of. */
const LOCKED_RETRY_MS = 3_600_000;

export interface FollowersOptions {
  readonly parts: MailParts;
  readonly events: JournalEvents;
  readonly removals: AccountRemovals;
  readonly bus: Pick<Bus, 'lease'>;
  /** Open sessions of an account here, for content that only its owner can open. */
  readonly sessionsOf: (account: AccountId) => readonly Session[];
  /** Settles after `ms`, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}
/** Kept in the feed's error text, so that it survives a restart. */
interface Failure {
  readonly since: number;
  readonly attempts: number;
  readonly isLocked: boolean;
}

export class JournalFollowers {
  readonly #options: FollowersOptions;
  readonly #running = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  #poked = new AbortController();
  #unlisten: (() => void) | undefined;

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** Registers every follower, so that nothing committed from now on is missed, then begins. Before listeners open. */
  async start(): Promise<void> {
    const { hooks, log } = this.#options.parts;
    this.#unlisten = hooks.onReload(() => {
      this.#adapt().catch((error: unknown) => log.error({ err: error }, 'followers of the journal could not be changed'));
    });
    await this.#adapt();
    await this.#options.removals.resume(new Set(hooks.followers().map(({ id }) => id)));
  }

  /** Calls in flight end first. */
  async stop(): Promise<void> {
    this.#unlisten?.();
    const all = [...this.#running.values()];
    this.#running.clear();
    for (const { stop } of all) stop.abort();
    await Promise.all(all.map(({ done }) => done));
  }

  /** Something was committed here. */
  poke(): void {
    if (this.#running.size === 0) return;
    this.#poked.abort();
    this.#poked = new AbortController();
  }

  /** The account's mail can be opened now: what waited for that is due. */
  async unlocked(account: AccountId): Promise<void> {
    const { hooks, store, now } = this.#options.parts;
    for (const { id } of hooks.followers()) {
      for (const { account: waiting, seq, error, retryAt } of await store.feed.parked(id)) {
        if (waiting !== account || retryAt === undefined || !readFailure(error, now()).isLocked) continue;
        await store.feed.park(id, account, seq, error, now(), 'account');
      }
    }
    this.poke();
  }

  async #adapt(): Promise<void> {
    const { hooks, store } = this.#options.parts;
    const wanted = new Map(hooks.followers().map((follower) => [follower.id, follower]));
    const former = new Map(this.#running);
    for (const { stop } of former.values()) stop.abort(); // the functions of the former generation are not called again
    this.#running.clear();
    for (const [id, follower] of wanted) {
      await store.feed.register(id, follower.from);
      const stop = new AbortController();
      const before = former.get(id)?.done ?? Promise.resolve();
      this.#running.set(id, { stop, done: before.then(() => this.#run(follower, stop.signal)) });
    }
  }

  /** Never rejects. */
  async #run(follower: Follower, signal: AbortSignal): Promise<void> {
    const { parts, sleep, bus } = this.#options;
    let lease: Lease | undefined;
    while (!signal.aborted) {
      const poked = this.#poked.signal;
      try {
        if (lease?.held !== true) lease = await bus.lease(`follow/${follower.id}`, LEASE_MS);
        if (lease !== undefined) {
          const isBusy = (await this.#retryDue(follower, lease, signal)) || (await this.#page(follower, lease, signal));
          if (isBusy) continue;
        }
      } catch (error) {
        parts.log.error({ follower: follower.id, err: error }, 'the journal could not be followed');
      }
      // Who follows elsewhere is not made quicker by what is committed here.
      await sleep(LOOK_MS, lease === undefined ? signal : AbortSignal.any([signal, poked]));
    }
    await lease?.release();
  }

  async #page(follower: Follower, lease: Lease, signal: AbortSignal): Promise<boolean> {
    const { feed } = this.#options.parts.store;
    const rows = await feed.next(follower.id, PAGE);
    const held = new Set<AccountId>();
    for (const { position, account, entry } of rows) {
      if (signal.aborted || !lease.held) return true;
      // Parked by an earlier row of this page: the feed will offer the rest again when it is freed.
      if (!held.has(account)) {
        const failure = await this.#deliver(follower, account, decodeEntry(entry), { since: 0, attempts: 0, isLocked: false });
        if (failure !== undefined) {
          await this.#park(follower, account, entry.seq, failure);
          held.add(account);
        }
      }
      await feed.done(follower.id, position);
    }
    return rows.length > 0;
  }

  /** @returns whether anything was due */
  async #retryDue(follower: Follower, lease: Lease, signal: AbortSignal): Promise<boolean> {
    const { store, now, mails } = this.#options.parts;
    let wasDue = false;
    for (const { account, seq, error, retryAt } of await store.feed.parked(follower.id)) {
      if (retryAt === undefined || retryAt > now() || signal.aborted || !lease.held) continue;
      wasDue = true;
      let entry: Entry | undefined;
      try {
        for await (const candidate of (await mails.get(account)).changes(seq - 1)) {
          entry = candidate;
          break;
        }
      } catch (problem) {
        if (!(problem instanceof JournalPruned)) throw problem;
      }
      const before = readFailure(error, now());
      const failure = entry?.seq === seq ? await this.#deliver(follower, account, entry, before) : undefined;
      if (failure === undefined) await store.feed.unpark(follower.id, account, seq);
      else await this.#park(follower, account, seq, failure);
    }
    return wasDue;
  }

  /** Set aside: in the way of the account's later entries while it is tried again, out of it when it is given up. */
  async #park(follower: Follower, account: AccountId, seq: Seq, failure: Failure & { readonly error: unknown }): Promise<void> {
    const { store, now, log } = this.#options.parts;
    const { since, attempts, isLocked, error } = failure;
    const text = `${since} ${attempts} ${isLocked ? 'locked' : 'failed'} ${error instanceof Error ? error.message : 'unknown'}`.slice(
      0,
      500,
    );
    const isGivenUp = !isLocked && now() - since >= SET_ASIDE_AFTER_MS;
    if (isGivenUp) {
      log.error({ follower: follower.id, account, seq, err: error }, 'a journal event is set aside after three days');
      // Freed first, so that it holds nobody up; then listed.
      await store.feed.unpark(follower.id, account, seq);
      await store.feed.park(follower.id, account, seq, text, undefined);
      return this.#options.removals.passed(account, follower.id);
    }
    const delay = isLocked ? LOCKED_RETRY_MS : (BACKOFF_MS[Math.min(attempts, BACKOFF_MS.length) - 1] ?? 1_000);
    await store.feed.park(follower.id, account, seq, text, now() + delay, 'account');
  }

  /** `undefined`: done. */
  async #deliver(
    follower: Follower,
    accountId: AccountId,
    entry: Entry,
    before: Failure,
  ): Promise<(Failure & { readonly error: unknown }) | undefined> {
    const { parts, events, removals } = this.#options;
    if (entry.origin.split(' ', 1)[0] === `plugin:${follower.plugin}`) return undefined; // nobody hears an echo
    const known = await parts.directory.get(accountId);
    const record = known ?? (await removals.record(accountId));
    if (record === undefined) return undefined; // deleted since
    const account = await accountOf(parts, record);
    const attempt = before.attempts + 1;
    try {
      const mail = await parts.mails.get(accountId);
      const actor = actorOf(entry.origin, account, accountId);
      const session = await this.#sessionFor(account, accountId, actor);
      const context = { actor, account, attempt, session };
      for (const event of await events.of(mail, record.username, entry)) {
        // Of the mail of an account that is gone nothing is told.
        if (known === undefined && !event.type.startsWith('account.')) continue;
        if (follower.types.has(event.type) && follower.inScope(event, context)) await follower.deliver(event, context);
        if (event.type === 'account.deleted') await removals.passed(accountId, follower.id);
      }
      return undefined;
    } catch (error) {
      const isLocked = error instanceof Locked;
      const since = before.since === 0 || before.isLocked !== isLocked ? parts.now() : before.since;
      return { since, attempts: attempt, isLocked, error };
    }
  }

  /** The owner's session serves what the owner or a delivery did, never an administrator's act. */
  async #sessionFor(account: Account, id: AccountId, actor: Actor): Promise<Session | undefined> {
    const isOwners = actor.type === 'delivery' || (actor.type === 'user' && actor.accountId === account.id);
    if (!isOwners || !account.sealed) return undefined;
    for (const session of this.#options.sessionsOf(id)) {
      if (await this.#options.parts.codecs.canOpen(account, session)) return session;
    }
    return undefined;
  }
}

function readFailure(text: string, now: number): Failure {
  const [since, attempts, kind] = text.split(' ', 3);
  const first = Number(since);
  return { since: Number.isSafeInteger(first) && first > 0 ? first : now, attempts: Number(attempts) || 0, isLocked: kind === 'locked' };
}

/** Who acted, from what the entry says: `<by> <actor name>`. */
function actorOf(origin: string, account: Account, id: AccountId): Actor {
  const space = origin.indexOf(' ');
  const by = space < 0 ? origin : origin.slice(0, space);
  const name = space < 0 ? '' : origin.slice(space + 1);
  if (by === 'lmtp' || by === 'smtp') return createActor({ type: 'delivery', name });
  if (by.startsWith('plugin:')) return createActor({ type: 'plugin', name: by.slice(7) });
  if (name === account.username) return createActor({ type: 'user', name, accountId: sdkAccountId(id) });
  return createActor({ type: by === 'api' || by === 'import' ? 'admin' : 'system', name });
}
