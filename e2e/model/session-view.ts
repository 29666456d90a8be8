/** One session as a careful client: what it was told, and every rule that a server must keep while it tells. */
import { readFetch } from '../support/fetch-response.ts';
import type { ImapScript } from '../support/imap-script.ts';
import { checkResponse } from '../support/response-grammar.ts';
import { changedFlags, flagText, idOf, MAILBOXES } from './truth.ts';

export interface KnownMessage {
  uid: number | undefined;
  flags: string | undefined;
  modSeq: number;
}
export interface Answer {
  /** `OK`, `NO`, `BAD`, with what follows. */
  readonly done: string;
  readonly untagged: readonly string[];
  /** By UID, as the last FETCH of this command said. */
  readonly fetched: ReadonlyMap<number, { readonly items: ReadonlyMap<string, unknown> }>;
  readonly vanishedEarlier: readonly number[];
}
/** What is known for good of a message: UIDs never change hands. */
export type Registry = Map<string, number>;

/** A rule that the server has broken. */
export class RuleBroken extends Error {
  override readonly name = 'RuleBroken';
}

/** What a session has asked for beyond IMAP4rev1. */
export interface Modes {
  readonly condstore: boolean;
  readonly qresync: boolean;
  /** No sequence number goes either way (RFC 9586). */
  readonly uidOnly: boolean;
  /** News between commands (RFC 5465): `delayed` keeps EXPUNGE for commands that may have it, `at once` makes sequence numbers useless. */
  readonly notify: 'no' | 'delayed' | 'at once';
}
/** What NOTIFY told of a mailbox, by the names of STATUS. */
export type ToldStatus = ReadonlyMap<string, number>;

/** Commands in which no EXPUNGE and no VANISHED may come (RFC 9051 §7.5.1). */
const KEEPS_NUMBERS = /^(?:FETCH|STORE|SEARCH|SORT|THREAD) /;

export class SessionView {
  readonly name: string;
  readonly script: ImapScript;
  readonly isQresync: boolean;
  isCondstore: boolean;
  /** Selected mailbox, by UIDVALIDITY too, as its name may change. */
  selected: { name: string; uidValidity: number; readOnly: boolean } | undefined;
  messages: KnownMessage[] = [];
  keywords = new Set<string>();
  /** What a client may resynchronise from (RFC 7162 §3.1.2.1, §3.2.7). */
  cacheModSeq = 0;
  isIdling = false;
  /** The command that runs asks for all messages without a UID. */
  isIdentifying = false;
  readonly modes: Modes;
  /** Whose mailboxes they are, for a guest; it may use INBOX only, with all rights and the owner's \Seen (RFC 4314, decision 12). */
  readonly guestOf: string | undefined;
  /** Result of SEARCH with SAVE (RFC 5182), undefined where others ran beside it. `isExact`: nothing was found that may have gone. */
  saved: { readonly uids: Set<number>; readonly isExact: boolean } | undefined = { uids: new Set(), isExact: true };
  /** Of mailboxes that were not selected since, by UIDVALIDITY. */
  readonly toldStatus = new Map<number, Map<string, number>>();
  readonly #registry: Registry;
  readonly #log: (line: string) => void;
  #seenModSeq = 0;

  constructor(
    name: string,
    script: ImapScript,
    modes: Modes & { readonly guestOf?: string },
    registry: Registry,
    log: (line: string) => void,
  ) {
    this.name = name;
    this.script = script;
    this.modes = modes;
    this.guestOf = modes.guestOf;
    this.isCondstore = modes.condstore || modes.qresync;
    this.isQresync = modes.qresync;
    this.#registry = registry;
    this.#log = log;
  }

  get uids(): (number | undefined)[] {
    return this.messages.map(({ uid }) => uid);
  }
  /** Of the owner's mailboxes, those that the session may use. */
  get mailboxes(): readonly string[] {
    return this.guestOf === undefined ? MAILBOXES : ['INBOX'];
  }
  /** The name as the session says it. */
  wire(name: string): string {
    return this.guestOf === undefined ? name : `user/${this.guestOf}/${name}`;
  }
  /** Sequence numbers say nothing, or cannot be relied on. */
  get usesUids(): boolean {
    return this.modes.uidOnly || this.modes.notify === 'at once';
  }
  get notifies(): boolean {
    return this.modes.notify !== 'no';
  }
  get knowsAllUids(): boolean {
    return this.messages.every(({ uid }) => uid !== undefined);
  }
  indexOf(uid: number): number {
    return this.messages.findIndex((message) => message.uid === uid);
  }

  /** Sends a command and takes in everything up to its end. */
  async run(line: string, ...literals: readonly Buffer[]): Promise<Answer> {
    if (/^(?:SELECT|EXAMINE) /.test(line)) this.#deselected();
    if (/MODSEQ|CHANGEDSINCE|UNCHANGEDSINCE|CONDSTORE|QRESYNC/.test(line)) this.isCondstore = true;
    this.#log(`${this.name} C: ${line}`);
    this.script.socket.write(`${this.script.takeTag()} ${line}\r\n`, 'latin1');
    return this.#collect(line, literals);
  }

  async idle(): Promise<void> {
    this.#log(`${this.name} C: IDLE`);
    this.script.socket.write(`${this.script.takeTag()} IDLE\r\n`);
    const answer = await this.#collect('IDLE', []);
    if (!answer.done.startsWith('+')) throw new RuleBroken(`IDLE: ${answer.done}`);
    this.isIdling = true;
  }
  async done(): Promise<Answer> {
    this.#log(`${this.name} C: DONE`);
    this.script.socket.write('DONE\r\n');
    this.isIdling = false;
    return this.#collect('IDLE', []);
  }

  async #collect(line: string, literals: readonly Buffer[]): Promise<Answer> {
    const untagged: string[] = [];
    const fetched = new Map<number, { items: ReadonlyMap<string, unknown> }>();
    const vanishedEarlier: number[] = [];
    let sent = 0;
    for (;;) {
      const response = await this.script.response();
      this.#log(`${this.name} S: ${response.slice(0, 300)}`);
      checkResponse(response);
      if (response.startsWith('+')) {
        const literal = literals[sent++];
        if (literal === undefined) return { done: response, untagged, fetched, vanishedEarlier };
        this.script.socket.write(literal);
        continue;
      }
      if (!response.startsWith('* ')) {
        const done = response.slice(response.indexOf(' ') + 1);
        this.#finished(line, done);
        return { done, untagged, fetched, vanishedEarlier };
      }
      untagged.push(response);
      this.#told(response, line, fetched, vanishedEarlier);
    }
  }

  #told(response: string, line: string, fetched: Map<number, { items: ReadonlyMap<string, unknown> }>, earlier: number[]): void {
    const numbered = /^\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH|UIDFETCH)/.exec(response);
    const number = Number(numbered?.[1]);
    switch (numbered?.[2]) {
      case 'EXISTS':
        if (number < this.messages.length) throw new RuleBroken(`EXISTS ${number} while ${this.messages.length} are known`);
        while (this.messages.length < number) this.messages.push({ uid: undefined, flags: undefined, modSeq: 0 });
        return;
      case 'RECENT':
        if (number > this.messages.length) throw new RuleBroken(`RECENT ${number} of ${this.messages.length}`);
        return;
      case 'EXPUNGE':
        this.#mayRemove(line);
        if (this.#tellsVanished) throw new RuleBroken('EXPUNGE where VANISHED was enabled');
        if (number > this.messages.length) throw new RuleBroken(`EXPUNGE ${number} of ${this.messages.length}`);
        this.#remove(number - 1);
        return;
      case 'FETCH':
        if (this.modes.uidOnly) throw new RuleBroken('FETCH with a sequence number under UIDONLY');
        this.#fetch(response, number, line, fetched);
        return;
      case 'UIDFETCH':
        if (!this.modes.uidOnly) throw new RuleBroken('UIDFETCH where UIDONLY is not enabled');
        this.#uidFetch(response, number, line, fetched);
        return;
      default:
        break;
    }
    const vanished = /^\* VANISHED (\(EARLIER\) )?([\d,:]+)$/.exec(response);
    if (vanished !== null) {
      if (!this.#tellsVanished) throw new RuleBroken('VANISHED where QRESYNC is not enabled');
      if (vanished[1] !== undefined) earlier.push(...numbersOf(vanished[2] ?? ''));
      else this.#vanished(numbersOf(vanished[2] ?? ''), line);
      return;
    }
    this.#status(response);
    if (response.startsWith('* FLAGS (')) this.keywords = new Set(response.slice(9, -1).toLowerCase().split(' '));
    const highest = /^\* OK \[HIGHESTMODSEQ (\d+)\]/.exec(response);
    if (highest !== null && /^(?:SELECT|EXAMINE) /.test(line)) this.cacheModSeq = Number(highest[1]);
    if (response.startsWith('* BYE')) throw new RuleBroken(`${this.name}: ${response}`);
  }

  get #tellsVanished(): boolean {
    return this.isQresync || this.modes.uidOnly;
  }

  #status(response: string): void {
    const told = /^\* STATUS \S+ \(([^)]*)\)$/.exec(response)?.[1];
    const items = new Map([...(told ?? '').matchAll(/([A-Z]+) (\d+)/g)].map(([, name = '', value]) => [name, Number(value)]));
    const uidValidity = items.get('UIDVALIDITY');
    if (uidValidity === undefined || uidValidity === this.selected?.uidValidity) return;
    const known = this.toldStatus.get(uidValidity);
    this.toldStatus.set(uidValidity, new Map([...(known ?? []), ...items]));
  }

  /** Those of the message's place among the others. */
  #uidFetch(response: string, uid: number, line: string, fetched: Map<number, { items: ReadonlyMap<string, unknown> }>): void {
    let at = this.indexOf(uid);
    if (at === -1) {
      // EXISTS said how many; in order, from the first that is not known, the answer to "who are they" says who.
      if (!this.isIdentifying) {
        fetched.set(uid, { items: readFetch(response.replace('UIDFETCH', 'FETCH')).items });
        return;
      }
      at = this.messages.findIndex((message) => message.uid === undefined);
      if (at === -1) throw new RuleBroken(`UIDFETCH of ${uid}, which the session does not know`);
    }
    const asFetch = response.replace(/^\* \d+ UIDFETCH \(/, `* ${at + 1} FETCH (`);
    if (/[ (]UID \d/.test(asFetch.slice(0, 40))) this.#fetch(asFetch, at + 1, line, fetched);
    else this.#fetch(asFetch.replace('FETCH (', `FETCH (UID ${uid} `), at + 1, line, fetched);
  }

  #mayRemove(line: string): void {
    if (this.modes.notify === 'at once') return; // the client has asked for it, and uses no sequence numbers
    if (KEEPS_NUMBERS.test(line)) throw new RuleBroken(`messages removed during ${line}`);
  }

  #vanished(uids: readonly number[], line: string): void {
    this.#mayRemove(line);
    for (const uid of uids) {
      let at = this.indexOf(uid);
      if (at === -1) at = this.#unidentified(uid);
      if (at === -1) throw new RuleBroken(`VANISHED ${uid}, which the session does not know`);
      this.#remove(at);
      this.saved?.uids.delete(uid);
    }
  }

  #remove(at: number): void {
    for (const { uid } of this.messages.splice(at, 1)) if (uid !== undefined) this.saved?.uids.delete(uid);
  }

  /** A message that only EXISTS has told of, where this UID would have its place; -1 if there is none. */
  #unidentified(uid: number): number {
    const after = this.messages.findIndex((message) => message.uid !== undefined && message.uid > uid);
    const last = (after === -1 ? this.messages.length : after) - 1;
    return this.messages[last] !== undefined && this.messages[last].uid === undefined ? last : -1;
  }

  #fetch(response: string, sequence: number, line: string, fetched: Map<number, { items: ReadonlyMap<string, unknown> }>): void {
    const { items } = readFetch(response);
    const message = this.messages[sequence - 1];
    if (message === undefined) throw new RuleBroken(`FETCH of ${sequence} while ${this.messages.length} are known`);
    const uid = items.get('UID');
    if (typeof uid === 'number') this.#identify(message, sequence, uid);
    const date = items.get('INTERNALDATE');
    if (typeof date === 'string' && message.uid !== undefined) this.identity(message.uid, idOf(date));
    const flags = items.get('FLAGS');
    const modSeq = items.get('MODSEQ');
    if (Array.isArray(flags)) {
      const names = flags.map((flag) => (typeof flag === 'object' && flag !== null && 'atom' in flag ? flag.atom : String(flag)));
      for (const name of names) {
        if (!this.keywords.has(name.toLowerCase()) && name !== '\\Recent')
          throw new RuleBroken(`${name} is shown before it is in FLAGS (RFC 9051 §7.3.5)`);
      }
      message.flags = flagText(names);
      const isAsked = /^(?:UID )?FETCH /.test(line);
      if (this.isCondstore && modSeq === undefined && !isAsked) throw new RuleBroken('flags without MODSEQ (RFC 7162 §3.2.4)');
      if (this.isQresync && uid === undefined && !isAsked) throw new RuleBroken('FETCH without UID under QRESYNC (RFC 7162 §3.2.4)');
    }
    if (Array.isArray(modSeq) && typeof modSeq[0] === 'number') {
      if (modSeq[0] < message.modSeq) throw new RuleBroken(`MODSEQ of ${sequence} fell from ${message.modSeq} to ${modSeq[0]}`);
      message.modSeq = modSeq[0];
      this.#seenModSeq = Math.max(this.#seenModSeq, modSeq[0]);
    }
    if (message.uid !== undefined) fetched.set(message.uid, { items });
  }

  #identify(message: KnownMessage, sequence: number, uid: number): void {
    if (message.uid !== undefined && message.uid !== uid) throw new RuleBroken(`message ${sequence} was UID ${message.uid} and is ${uid}`);
    const before = this.messages[sequence - 2]?.uid ?? 0;
    const after = this.messages[sequence]?.uid ?? Number.POSITIVE_INFINITY;
    if (uid <= before || uid >= after) throw new RuleBroken(`UID ${uid} of message ${sequence} stands between ${before} and ${after}`);
    message.uid = uid;
  }

  /** @throws RuleBroken if the UID was another message's */
  identity(uid: number, id: number): void {
    const key = `${this.selected?.uidValidity ?? 0}:${uid}`;
    const known = this.#registry.get(key);
    if (known !== undefined && known !== id) throw new RuleBroken(`UID ${key} was message ${known} and is ${id}`);
    this.#registry.set(key, id);
  }

  #finished(line: string, done: string): void {
    const isDone = done.startsWith('OK');
    const select = /^(SELECT|EXAMINE) (\S+)/.exec(line);
    if (select !== null && !isDone) this.#deselected();
    if (/^(?:CLOSE|UNSELECT)/.test(line) && isDone) this.#deselected();
    const highest = /^OK \[HIGHESTMODSEQ (\d+)\]/.exec(done);
    if (highest !== null && this.selected !== undefined) this.cacheModSeq = Math.max(this.cacheModSeq, Number(highest[1]));
    // Everything was told now: MODSEQs that were shown hide nothing.
    if (/^(?:NOOP|CHECK|IDLE)/.test(line) && isDone) this.cacheModSeq = Math.max(this.cacheModSeq, this.#seenModSeq);
  }

  #deselected(): void {
    this.selected = undefined;
    this.messages = [];
    this.saved = { uids: new Set(), isExact: true }; // RFC 5182 §2.1
    this.#seenModSeq = 0;
    this.cacheModSeq = 0;
  }

  /** The client knows what its own silent STORE does. */
  assumeStored(uids: ReadonlySet<number>, mode: '' | '+' | '-', named: readonly string[]): void {
    for (const message of this.messages) {
      if (message.uid === undefined || !uids.has(message.uid)) continue;
      if (mode === '') message.flags = flagText(named);
      else if (message.flags !== undefined) message.flags = changedFlags(message.flags, mode, named);
    }
  }

  close(): void {
    this.script.close();
  }
}

/** A UID set without `*`. */
export function numbersOf(set: string): number[] {
  const numbers: number[] = [];
  for (const range of set.split(',')) {
    if (range === '') continue;
    const [from = 0, to = from] = range.split(':').map(Number);
    for (let number = Math.min(from, to); number <= Math.max(from, to); number += 1) numbers.push(number);
  }
  return numbers;
}
