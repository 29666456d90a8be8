/** Clients that keep a ledger of everything that a server acknowledged, for tests that kill it. */
import type { CrashLedger, FoundMailbox, FoundMessage, LedgerMessage, Place, Places } from './crash-ledger.ts';
import { ImapScript } from './imap-script.ts';
import { Dice, mixedMail, sha256, TOKEN_FIELD } from './sample-mail.ts';
import { SmtpScript } from './smtp-script.ts';

export const PASSWORD = 'correct horse';
const FLAG_CHOICES = ['\\Seen', '\\Flagged', '\\Answered', '\\Draft', '$Label1', 'Work'];
/** From so many messages on a writer rather removes than adds. */
const MANY = 80;

/** Thrown where the server's own words break a rule; everything else that goes wrong is the kill. */
export class RuleBroken extends Error {
  override readonly name = 'RuleBroken';
}

interface Pending {
  readonly token: string;
  readonly raw: Buffer;
  readonly from: string;
  readonly recipients: readonly string[];
  readonly entries: readonly LedgerMessage[];
}

/** Delivers until the connection breaks; sends what was not acknowledged again, octet for octet, after the restart. */
export class DeliveringClient {
  readonly protocol: 'smtp' | 'lmtp';
  readonly name: string;
  readonly #ledgers: ReadonlyMap<string, CrashLedger>;
  readonly #dice: Dice;
  #count = 0;
  #pending: Pending | undefined;
  readonly delivered: string[] = [];
  refused = 0;
  retried = 0;

  constructor(name: string, protocol: 'smtp' | 'lmtp', ledgers: ReadonlyMap<string, CrashLedger>, seed: number) {
    this.name = name;
    this.protocol = protocol;
    this.#ledgers = ledgers;
    this.#dice = new Dice(seed);
  }

  async run(port: number): Promise<void> {
    const script = await SmtpScript.open(undefined, port, this.protocol === 'lmtp' ? 'LHLO' : 'EHLO');
    try {
      if (this.#pending !== undefined) {
        this.retried += 1;
        for (const entry of this.#pending.entries) if (entry.possible[0]?.length === 0) entry.possible = [[], [{ flags: '' }]];
        await this.#send(script, this.#pending);
      }
      for (;;) await this.#send(script, this.#next());
    } finally {
      script.close();
    }
  }

  #next(): Pending {
    this.#count += 1;
    const token = `${this.name}-${this.#count}`;
    const raw = mixedMail(token, this.#dice);
    const all = [...this.#ledgers.keys()];
    const recipients = this.#dice.next() < 0.2 ? all : [this.#dice.pick(all)];
    const entries = recipients.map((recipient) => {
      const ledger = this.#ledgers.get(recipient);
      if (ledger === undefined) throw new Error('no ledger');
      return ledger.offer(token, sha256(raw));
    });
    return { token, raw, from: `${this.name}@example.org`, recipients, entries };
  }

  async #send(script: SmtpScript, pending: Pending): Promise<void> {
    this.#pending = pending;
    const replies = await script.deliver(
      pending.from,
      pending.recipients,
      pending.raw,
      this.protocol === 'lmtp' ? pending.recipients.length : 1,
    );
    this.#pending = undefined;
    for (const [i, entry] of pending.entries.entries()) {
      const reply = replies[i] ?? replies[0];
      const recipient = pending.recipients[i] ?? '';
      if (reply?.code === 250) {
        // After a retry it may be known already where the first attempt has left it.
        const known = entry.possible.length === 1 && entry.possible[0]?.length === 1 ? entry.possible[0] : [{ flags: '' }];
        this.#ledgers.get(recipient)?.settle(entry, known);
        if (recipient.startsWith('ada')) this.delivered.push(pending.token);
      } else this.refused += 1;
    }
  }
}

/** What several writers know together of one account's mailboxes: names change under way. */
export interface SharedNames {
  /** The mailbox that a writer renames. */
  readonly moving: { name: string };
}

interface Selected {
  readonly uidValidity: number;
  readonly name: string;
}

/** Appends, stores, copies, moves, expunges, creates, renames until the connection breaks; touches its own messages only. */
export class ImapWriter {
  readonly name: string;
  readonly #ledger: CrashLedger;
  readonly #dice: Dice;
  readonly #names: SharedNames;
  readonly #claims: () => string | undefined;
  readonly #own: LedgerMessage[] = [];
  #count = 0;
  #mailboxCount = 0;
  #isRenamer: boolean;
  readonly done = new Map<string, number>();
  refused: string[] = [];

  constructor(options: {
    readonly name: string;
    readonly ledger: CrashLedger;
    readonly seed: number;
    readonly names: SharedNames;
    /** A delivered message that this writer may have, by token. */
    readonly claims: () => string | undefined;
    readonly isRenamer: boolean;
  }) {
    this.name = options.name;
    this.#ledger = options.ledger;
    this.#dice = new Dice(options.seed);
    this.#names = options.names;
    this.#claims = options.claims;
    this.#isRenamer = options.isRenamer;
  }

  async run(port: number): Promise<void> {
    const imap = await ImapScript.login(undefined, port, 'ada@example.test', PASSWORD);
    try {
      for (;;) await this.#round(imap);
    } finally {
      imap.close();
    }
  }

  async #round(imap: ImapScript): Promise<void> {
    if (this.#isRenamer && this.#dice.next() < 0.3) await this.#rename(imap);
    if (this.#dice.next() < 0.15) await this.#mailbox(imap);
    const selected = await this.#select(imap, this.#dice.pick([...this.#targets(), 'INBOX']));
    if (selected === undefined) return;
    if (selected.name === 'INBOX') await this.#claim(imap, selected);
    const steps = this.#dice.between(1, 5);
    for (let i = 0; i < steps; i++) await this.#step(imap, selected);
  }

  #targets(): string[] {
    return ['Shared', 'Shared/Deep', this.#names.moving.name, this.name];
  }

  async #select(imap: ImapScript, name: string): Promise<Selected | undefined> {
    const { untagged, done } = await imap.command(`SELECT "${name}"`);
    if (!done.startsWith('OK')) return undefined;
    const text = untagged.join('\n');
    const uidValidity = numberIn(text, /\[UIDVALIDITY (\d+)\]/);
    const facts = this.#ledger.facts(uidValidity);
    const highestModSeq = numberIn(text, /\[HIGHESTMODSEQ (\d+)\]/);
    facts.highestModSeq = Math.max(facts.highestModSeq, highestModSeq);
    return { uidValidity, name };
  }

  async #step(imap: ImapScript, selected: Selected): Promise<void> {
    const here = this.#own.filter((message) => placeIn(message, selected.uidValidity) !== undefined);
    const kind = this.#dice.next();
    if (here.length === 0 || (kind < 0.4 && this.#own.length < MANY)) return this.#append(imap, this.#dice.pick(this.#targets()));
    const some = new Set(Array.from({ length: this.#dice.between(1, 4) }, () => this.#dice.pick(here)));
    const messages = [...some];
    if (kind < 0.6) return this.#store(imap, messages, selected);
    if (kind < 0.7 && this.#own.length < MANY) return this.#copy(imap, messages, selected, 'COPY');
    if (kind < 0.85) return this.#copy(imap, messages, selected, 'MOVE');
    return this.#expunge(imap, messages, selected);
  }

  async #append(imap: ImapScript, mailbox: string): Promise<void> {
    this.#count += 1;
    const token = `${this.name}-${this.#count}`;
    const raw = mixedMail(token, this.#dice);
    const flags = this.#dice.next() < 0.5 ? [] : [this.#dice.pick(FLAG_CHOICES)];
    const message = this.#ledger.offer(token, sha256(raw), flags.join(' '));
    const before = new Map(this.#highestUids());
    const done = await imap.append(mailbox, raw, `(${flags.join(' ')})`);
    const code = /^OK \[APPENDUID (\d+) (\d+)\]/.exec(done);
    if (code === null) {
      this.#notDone('APPEND', done);
      this.#ledger.settle(message, []);
      return;
    }
    const uidValidity = Number(code[1]);
    this.#rises(before, uidValidity, [Number(code[2])]);
    this.#ledger.settle(message, [{ uidValidity, uid: Number(code[2]), flags: flags.join(' ') }]);
    this.#own.push(message);
    this.#count1('APPEND');
  }

  async #store(imap: ImapScript, messages: readonly LedgerMessage[], selected: Selected): Promise<void> {
    const kind = this.#dice.pick(['+FLAGS', '-FLAGS', 'FLAGS']);
    const named = [...new Set([this.#dice.pick(FLAG_CHOICES), this.#dice.pick(FLAG_CHOICES)])];
    const after = (place: Place): Place => {
      const old = place.flags === '' ? [] : place.flags.split(' ');
      if (kind === 'FLAGS') return { ...place, flags: flagText(named) };
      if (kind === '+FLAGS') return { ...place, flags: flagText([...old, ...named]) };
      return { ...place, flags: flagText(old.filter((flag) => !named.includes(flag))) };
    };
    const set = uidSet(messages, selected);
    const wanted = this.#begin(messages, (places) =>
      places.map((place) => (place.uidValidity === selected.uidValidity ? after(place) : place)),
    );
    const { done } = await imap.command(`UID STORE ${set} ${kind}.SILENT (${named.join(' ')})`);
    this.#end('STORE', done, messages, wanted);
  }

  async #copy(imap: ImapScript, messages: readonly LedgerMessage[], selected: Selected, command: 'COPY' | 'MOVE'): Promise<void> {
    const target = this.#dice.pick(this.#targets());
    if (target === selected.name) return;
    const uids = new Map(messages.map((message) => [placeIn(message, selected.uidValidity)?.uid ?? 0, message]));
    const set = uidSet(messages, selected);
    const rest = (places: Places): Places =>
      command === 'COPY' ? places : places.filter(({ uidValidity }) => uidValidity !== selected.uidValidity);
    const flagsOf = (places: Places): string => places.find(({ uidValidity }) => uidValidity === selected.uidValidity)?.flags ?? '';
    this.#begin(messages, (places) => [...rest(places), { flags: flagsOf(places) }], `${command} ${this.name} ${set} ${Date.now()}`);
    const before = new Map(this.#highestUids());
    const { untagged, done } = await imap.command(`UID ${command} ${set} "${target}"`);
    const code = /\[COPYUID (\d+) (\S+) (\S+)\]/.exec([...untagged, done].join('\n'));
    if (!done.startsWith('OK') || code === null) {
      this.#end(command, done.startsWith('OK') ? `NO without COPYUID: ${done}` : done, messages, new Map());
      return;
    }
    const uidValidity = Number(code[1]);
    const from = numbersOf(code[2] ?? '');
    const to = numbersOf(code[3] ?? '');
    if (from.length !== messages.length || to.length !== from.length) throw new RuleBroken(`${command} of ${set}: ${code[0]}`);
    this.#rises(before, uidValidity, to);
    const wanted = new Map<LedgerMessage, Places>();
    for (const [i, uid] of from.entries()) {
      const message = uids.get(uid);
      const old = message?.possible[0];
      if (message === undefined || old === undefined) throw new RuleBroken(`${command} of ${set}: ${code[0]}`);
      wanted.set(message, [...rest(old), { uidValidity, uid: to[i] ?? 0, flags: flagsOf(old) }]);
    }
    this.#end(command, done, messages, wanted);
  }

  async #expunge(imap: ImapScript, messages: readonly LedgerMessage[], selected: Selected): Promise<void> {
    const set = uidSet(messages, selected);
    const deleted = (place: Place): Place => ({
      ...place,
      flags: flagText([...place.flags.split(' ').filter((f) => f !== ''), '\\Deleted']),
    });
    const marked = this.#begin(messages, (places) =>
      places.map((place) => (place.uidValidity === selected.uidValidity ? deleted(place) : place)),
    );
    const { done } = await imap.command(`UID STORE ${set} +FLAGS.SILENT (\\Deleted)`);
    this.#end('STORE', done, messages, marked);
    const gone = this.#begin(messages, (places) => places.filter(({ uidValidity }) => uidValidity !== selected.uidValidity));
    const reply = await imap.command(`UID EXPUNGE ${set}`);
    this.#end('EXPUNGE', reply.done, messages, gone);
    for (const message of messages) if (message.possible[0]?.length === 0) this.#own.splice(this.#own.indexOf(message), 1);
  }

  /** Takes a delivered message of INBOX over: from now on this writer changes it. */
  async #claim(imap: ImapScript, selected: Selected): Promise<void> {
    const token = this.#claims();
    const message = token === undefined ? undefined : this.#ledger.messages.get(token);
    if (token === undefined || message === undefined) return;
    const { untagged } = await imap.command(`UID SEARCH HEADER ${TOKEN_FIELD} "${token}"`);
    const uids = numbersOf((/^\* SEARCH(.*)$/m.exec(untagged.join('\n'))?.[1] ?? '').trim().split(' ').join(','));
    for (const uid of uids) {
      const { untagged: fetched } = await imap.command(`UID FETCH ${uid} (BODY.PEEK[HEADER.FIELDS (${TOKEN_FIELD})])`);
      if (!fetched.join('\n').includes(`${TOKEN_FIELD}: ${token}\r\n`)) continue; // the search finds longer ones too
      this.#ledger.settle(message, [{ uidValidity: selected.uidValidity, uid, flags: '' }]);
      this.#own.push(message);
      return;
    }
    throw new RuleBroken(`acknowledged ${token} is not in INBOX (${uids.join(',')})`);
  }

  async #mailbox(imap: ImapScript): Promise<void> {
    const mine = this.#ledger.mailboxes.filter(({ names }) => names.length === 1 && names[0]?.startsWith(`${this.name}/`));
    if (mine.length > 5) {
      const mailbox = this.#dice.pick(mine);
      const old = mailbox.names;
      mailbox.names = [old[0] ?? '', ''];
      const { done } = await imap.command(`DELETE "${old[0]}"`);
      if (!done.startsWith('OK')) this.#notDone('DELETE', done);
      else this.#count1('DELETE');
      mailbox.names = done.startsWith('OK') ? [''] : old;
      return;
    }
    this.#mailboxCount += 1;
    const name = `${this.name}/m${this.#mailboxCount}`;
    const mailbox: CrashLedger['mailboxes'][number] = { names: [name, ''], uidValidity: undefined };
    this.#ledger.mailboxes.push(mailbox);
    const { done } = await imap.command(`CREATE "${name}"`);
    if (!done.startsWith('OK')) {
      this.#notDone('CREATE', done);
      return;
    }
    mailbox.names = [name];
    this.#count1('CREATE');
    const { untagged } = await imap.command(`STATUS "${name}" (UIDVALIDITY)`);
    mailbox.uidValidity = numberIn(untagged.join('\n'), /UIDVALIDITY (\d+)/);
  }

  async #rename(imap: ImapScript): Promise<void> {
    const { moving } = this.#names;
    const mailbox = this.#ledger.mailboxes.find(({ names }) => names.includes(moving.name));
    if (mailbox === undefined) throw new Error('the mailbox that moves is not in the ledger');
    const old = moving.name;
    const name = old === 'Shared/There' ? 'Here' : 'Shared/There';
    mailbox.names = [old, name];
    const { done } = await imap.command(`RENAME "${old}" "${name}"`);
    if (!done.startsWith('OK')) throw new RuleBroken(`RENAME ${old} to ${name}: ${done}`);
    mailbox.names = [name];
    moving.name = name;
    this.#count1('RENAME');
  }

  #begin(messages: readonly LedgerMessage[], change: (places: Places) => Places, together?: string): Map<LedgerMessage, Places> {
    const wanted = new Map<LedgerMessage, Places>();
    for (const message of messages) {
      const before = message.possible[0] ?? [];
      const after = change(before);
      message.possible = [before, after];
      message.together = together;
      wanted.set(message, after);
    }
    return wanted;
  }
  #end(command: string, done: string, messages: readonly LedgerMessage[], wanted: ReadonlyMap<LedgerMessage, Places>): void {
    const isDone = done.startsWith('OK');
    for (const message of messages) this.#ledger.settle(message, (isDone ? wanted.get(message) : message.possible[0]) ?? []);
    if (isDone) this.#count1(command);
    else this.#notDone(command, done);
  }
  #count1(command: string): void {
    this.done.set(command, (this.done.get(command) ?? 0) + 1);
  }
  /** TRYCREATE: the target was renamed by another session. All else is told by the test. */
  #notDone(command: string, done: string): void {
    if (!/^NO \[(TRYCREATE|NONEXISTENT)\]/.test(done)) this.refused.push(`${command}: ${done}`);
  }
  *#highestUids(): Generator<[number, number]> {
    for (const { uidValidity } of this.#ledger.mailboxes)
      if (uidValidity !== undefined) yield [uidValidity, this.#ledger.facts(uidValidity).highestUid];
  }
  /** New UIDs are above all that were acknowledged before the command was sent. */
  #rises(before: ReadonlyMap<number, number>, uidValidity: number, uids: readonly number[]): void {
    const low = before.get(uidValidity) ?? 0;
    for (const uid of uids) if (uid <= low) throw new RuleBroken(`UID ${uid} given in ${uidValidity} after ${low}`);
  }
}

/** Everything that the account holds, as another session sees it. Bodies of the messages that `wantsBody` names are compared. */
export async function readAccount(
  imap: ImapScript,
  check: (token: string, raw: Buffer) => void,
  wantsBody: (token: string) => boolean,
): Promise<{ mailboxes: FoundMailbox[]; messages: FoundMessage[]; bodies: number }> {
  const mailboxes: FoundMailbox[] = [];
  const messages: FoundMessage[] = [];
  let bodies = 0;
  const listed = (await imap.command('LIST "" *')).untagged;
  for (const line of listed) {
    const [, attributes = '', name] = /^\* LIST \(([^)]*)\) "\/" "?([^"]*)"?$/.exec(line) ?? [];
    if (name === undefined) throw new RuleBroken(`LIST: ${line}`);
    if (/\\no(select|nexistent)/i.test(attributes)) continue;
    const opened = (await imap.command(`EXAMINE "${name}"`)).untagged.join('\n');
    const uidValidity = numberIn(opened, /\[UIDVALIDITY (\d+)\]/);
    mailboxes.push({
      name,
      uidValidity,
      uidNext: numberIn(opened, /\[UIDNEXT (\d+)\]/),
      highestModSeq: numberIn(opened, /\[HIGHESTMODSEQ (\d+)\]/),
    });
    if (numberIn(opened, /^\* (\d+) EXISTS/m) === 0) continue;
    const wanted: number[] = [];
    let last = 0;
    for (const row of (await imap.command(`FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (${TOKEN_FIELD})])`)).untagged) {
      const token = /X-Token: (\S+)/.exec(row)?.[1];
      if (token === undefined) {
        if (/^\* \d+ FETCH/.test(row)) throw new RuleBroken(`message without token: ${row.slice(0, 200)}`);
        continue;
      }
      const uid = numberIn(row, /UID (\d+)/);
      if (uid <= last) throw new RuleBroken(`UID ${uid} after ${last} in ${name}`);
      last = uid;
      const flags = (/FLAGS \(([^)]*)\)/.exec(row)?.[1] ?? '').split(' ').filter((flag) => flag !== '' && flag !== '\\Recent');
      messages.push({ token, uidValidity, uid, flags: flagText(flags) });
      if (wantsBody(token)) wanted.push(uid);
    }
    for (let at = 0; at < wanted.length; at += 20) {
      const page = wanted.slice(at, at + 20);
      for (const row of (await imap.command(`UID FETCH ${page.join(',')} (BODY.PEEK[])`)).untagged) {
        const literal = /BODY\[\] \{(\d+)\}\r\n/.exec(row.slice(0, 400));
        if (literal === null) continue;
        const raw = Buffer.from(
          row.slice(literal.index + literal[0].length, literal.index + literal[0].length + Number(literal[1])),
          'latin1',
        );
        const start = raw.indexOf(`${TOKEN_FIELD}: `); // trace fields stand before it
        check(/X-Token: (\S+)/.exec(raw.toString('latin1', start, start + 100))?.[1] ?? '', raw.subarray(start));
        bodies += 1;
      }
    }
  }
  return { mailboxes, messages, bodies };
}

function placeIn({ possible }: LedgerMessage, uidValidity: number): Place | undefined {
  const same = (possible[0] ?? []).filter((place) => place.uidValidity === uidValidity);
  // Twice in one mailbox: which copy a command is about would not be told apart by flags.
  return possible.length === 1 && same.length === 1 && same[0]?.uid !== undefined ? same[0] : undefined;
}
function uidSet(messages: readonly LedgerMessage[], { uidValidity }: Selected): string {
  return messages.map((message) => placeIn(message, uidValidity)?.uid ?? 0).join(',');
}
function flagText(flags: readonly string[]): string {
  return [...new Set(flags)].sort().join(' ');
}
function numberIn(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new RuleBroken(`no ${pattern} in: ${text.slice(0, 300)}`);
  return Number(found);
}
/** A UID set without `*` as numbers, in its order. */
function numbersOf(set: string): number[] {
  const numbers: number[] = [];
  for (const range of set.split(',')) {
    if (range === '') continue;
    const [from = 0, to = from] = range.split(':').map(Number);
    for (let n = from; n <= to; n++) numbers.push(n);
  }
  return numbers;
}
