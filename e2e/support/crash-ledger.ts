/**
 * What an account must hold after a crash: of every message the places that it may be in, of every mailbox the name that it may have.
 * One place when the last change was acknowledged; two while a change is under way: before and after it, and nothing between.
 */

export interface Place {
  /** Absent: not told yet; any mailbox will do. */
  readonly uidValidity?: number;
  readonly uid?: number;
  /** Sorted, joined by spaces, without \Recent. */
  readonly flags: string;
}
export type Places = readonly Place[];

export interface LedgerMessage {
  readonly token: string;
  readonly digest: string;
  /** The possible ones; the first is how it was before the change that is under way. */
  possible: readonly Places[];
  /** Changes of several messages that must have happened to all of them or to none. */
  together: string | undefined;
  isVerified: boolean;
}
export interface FoundMessage {
  readonly token: string;
  readonly uidValidity: number;
  readonly uid: number;
  readonly flags: string;
}
export interface FoundMailbox {
  readonly name: string;
  readonly uidValidity: number;
  readonly uidNext: number;
  readonly highestModSeq: number;
}
interface MailboxFacts {
  highestUid: number;
  highestModSeq: number;
  uidNext: number;
}
/** `names`: where it may be; '' stands for nowhere. */
interface NamedMailbox {
  names: readonly string[];
  uidValidity: number | undefined;
}

export class CrashLedger {
  readonly messages = new Map<string, LedgerMessage>();
  readonly mailboxes: NamedMailbox[] = [];
  readonly #facts = new Map<number, MailboxFacts>();
  /** Whose UID it is, for ever. */
  readonly #owners = new Map<string, string>();
  acknowledged = 0;

  /** A message is being sent: it may be there or not. */
  offer(token: string, digest: string, flags = ''): LedgerMessage {
    const message: LedgerMessage = { token, digest, possible: [[], [{ flags }]], together: undefined, isVerified: false };
    this.messages.set(token, message);
    return message;
  }
  settle(message: LedgerMessage, places: Places): void {
    message.possible = [places];
    message.together = undefined;
    this.acknowledged += 1;
    for (const { uidValidity, uid } of places)
      if (uidValidity !== undefined && uid !== undefined) this.own(uidValidity, uid, message.token);
  }
  /** @throws Error if the UID was another message's */
  own(uidValidity: number, uid: number, token: string): void {
    const key = `${uidValidity}:${uid}`;
    const owner = this.#owners.get(key);
    if (owner !== undefined && owner !== token) throw new Error(`UID ${uid} of ${uidValidity} was ${owner} and is ${token}`);
    this.#owners.set(key, token);
    const facts = this.facts(uidValidity);
    facts.highestUid = Math.max(facts.highestUid, uid);
  }
  facts(uidValidity: number): MailboxFacts {
    let facts = this.#facts.get(uidValidity);
    if (facts === undefined) this.#facts.set(uidValidity, (facts = { highestUid: 0, highestModSeq: 0, uidNext: 1 }));
    return facts;
  }

  /**
   * Compares with what is there and takes it over as the truth.
   * @returns the faults, in words; empty when all is as it must be
   */
  reconcile(mailboxes: readonly FoundMailbox[], messages: readonly FoundMessage[]): string[] {
    const faults = [...this.#reconcileMailboxes(mailboxes)];
    const found = new Map<string, FoundMessage[]>();
    for (const one of messages) {
      const same = found.get(one.token);
      if (same === undefined) found.set(one.token, [one]);
      else same.push(one);
      try {
        this.own(one.uidValidity, one.uid, one.token);
      } catch (error) {
        faults.push(String(error));
      }
      if (!this.messages.has(one.token)) faults.push(`${one.token} was never sent`);
    }
    const outcomes = new Map<string, number>();
    for (const message of this.messages.values()) {
      const places = found.get(message.token) ?? [];
      const at = message.possible.findIndex((wanted) => isSame(wanted, places));
      if (at === -1) {
        faults.push(`${message.token}: is ${JSON.stringify(places)}, may be ${JSON.stringify(message.possible)}`);
        continue;
      }
      if (message.together !== undefined) {
        const other = outcomes.get(message.together);
        if (other !== undefined && other !== at)
          faults.push(`${message.together}: happened to some of its messages only (${message.token})`);
        outcomes.set(message.together, at);
      }
      message.possible = [places.map(({ uidValidity, uid, flags }) => ({ uidValidity, uid, flags }))];
      message.together = undefined;
    }
    return faults;
  }

  *#reconcileMailboxes(found: readonly FoundMailbox[]): Generator<string> {
    const byName = new Map(found.map((mailbox) => [mailbox.name, mailbox]));
    for (const mailbox of this.mailboxes) {
      const there = mailbox.names.filter((name) => name !== '' && byName.has(name));
      const mayBeGone = mailbox.names.includes('');
      if (there.length > 1 || (there.length === 0 && !mayBeGone)) {
        yield `mailbox ${mailbox.names.join(' or ')}: found ${there.join(', ') || 'nowhere'}`;
        continue;
      }
      const now = byName.get(there[0] ?? '');
      if (now !== undefined && mailbox.uidValidity !== undefined && now.uidValidity !== mailbox.uidValidity)
        yield `mailbox ${now.name}: UIDVALIDITY was ${mailbox.uidValidity}, is ${now.uidValidity}`;
      mailbox.names = [now?.name ?? ''];
      mailbox.uidValidity = now?.uidValidity;
    }
    const seen = new Set<number>();
    for (const { name, uidValidity, uidNext, highestModSeq } of found) {
      if (seen.has(uidValidity)) yield `mailbox ${name}: UIDVALIDITY ${uidValidity} is another mailbox's`;
      seen.add(uidValidity);
      const facts = this.facts(uidValidity);
      if (uidNext <= facts.highestUid || uidNext < facts.uidNext)
        yield `mailbox ${name}: UIDNEXT ${uidNext} after UID ${facts.highestUid}, UIDNEXT ${facts.uidNext}`;
      if (highestModSeq < facts.highestModSeq) yield `mailbox ${name}: HIGHESTMODSEQ fell from ${facts.highestModSeq} to ${highestModSeq}`;
      facts.uidNext = uidNext;
      facts.highestModSeq = highestModSeq;
    }
  }
}

function isSame(wanted: Places, found: readonly FoundMessage[]): boolean {
  if (wanted.length !== found.length) return false;
  const left = [...found];
  // The known ones first, so that an unknown one does not take their place.
  for (const place of [...wanted].sort((a, b) => Number(a.uid === undefined) - Number(b.uid === undefined))) {
    const at = left.findIndex(
      ({ uidValidity, uid, flags }) =>
        (place.uidValidity ?? uidValidity) === uidValidity && (place.uid ?? uid) === uid && place.flags === flags,
    );
    if (at === -1) return false;
    left.splice(at, 1);
  }
  return true;
}
