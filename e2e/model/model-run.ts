/**
 * Random commands on several sessions of one account against a model (DESIGN §6): what the account holds is predicted from the commands,
 * what each session knows from what it was told. Alone, a command's answer is known exactly; of commands that run at once, some order of
 * them must explain what is there afterwards.
 */
import type { ImapScript } from '../support/imap-script.ts';
import { Dice } from '../support/sample-mail.ts';
import { append, catenate, replace } from './append-commands.ts';
import { boxOf, close, copy, expunge, fetch, isFull, type ModelCommand, search, status, store, tree, type World } from './commands.ts';
import { type Modes, type Registry, RuleBroken, SessionView } from './session-view.ts';
import {
  checkSuccession,
  difference,
  flagText,
  hasFlag,
  idOf,
  MAILBOXES,
  type TrueMailbox,
  type TrueMessage,
  type Truth,
  uidSet,
} from './truth.ts';

export interface ModelTransport {
  readonly instances: number;
  readonly owner: string;
  /** A session on one of the instances, logged in as the owner of the account, or as one who may do all in its INBOX. */
  connect(instance: number, as: 'owner' | 'guest'): Promise<ImapScript>;
  /** ms within which a session in IDLE hears of a change; 0 where everything is known at once. */
  readonly convergenceMs: number;
}
export interface ModelOptions {
  readonly seed: number;
  /** Session `n` is on instance `n % instances`. */
  readonly sessions: number;
  /** So many of them, the last ones, are a guest's. */
  readonly guests?: number;
  /** Ends after so many ms, or so many commands. */
  readonly forMs: number;
  readonly commands?: number;
  /** Called now and then, for those who wait. */
  onProgress?(result: ModelResult): void;
}
export interface ModelResult {
  readonly steps: number;
  readonly commands: number;
  /** Commands that ran while one on another instance had the same mailbox selected and ran as well. */
  readonly contended: number;
  readonly byName: ReadonlyMap<string, number>;
  /** Of a step, with everything that is looked at after it. */
  readonly slowestMs: number;
}

const LOG_LINES = 150;
const SNAPSHOTS = 60;
const PROGRESS_STEPS = 500;
/** Most commands of each session in a storm. */
const STORM = 12;
/** Octets of a set in a command. */
const LONGEST_SET = 30_000;

interface Snapshot {
  readonly highestModSeq: number;
  readonly messages: readonly TrueMessage[];
}

/** @throws Error with seed, step and the last lines when a rule is broken */
export async function runModel(transport: ModelTransport, options: ModelOptions): Promise<ModelResult> {
  const run = new ModelRun(transport, options);
  try {
    return await run.run();
  } catch (error) {
    throw new Error(
      `seed ${options.seed}, step ${run.steps}: ${error instanceof Error ? error.message : String(error)}\n${run.log.slice(-LOG_LINES).join('\n')}`,
      {
        cause: error,
      },
    );
  } finally {
    run.close();
  }
}

class ModelRun {
  readonly log: string[] = [];
  steps = 0;
  readonly #transport: ModelTransport;
  readonly #options: ModelOptions;
  readonly #dice: Dice;
  readonly #registry: Registry = new Map();
  readonly #history = new Map<number, Snapshot[]>();
  readonly #validities = new Map<string, number>();
  readonly #byName = new Map<string, number>();
  #sessions: SessionView[] = [];
  /** One on each instance: whichever looks must find the same. */
  #auditors: ImapScript[] = [];
  #truth: Truth = new Map();
  #ids = 0;
  #commands = 0;
  #contended = 0;
  #slowestMs = 0;

  constructor(transport: ModelTransport, options: ModelOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#dice = new Dice(options.seed);
  }

  close(): void {
    for (const auditor of this.#auditors) auditor.close();
    for (const session of this.#sessions) session.close();
  }

  async run(): Promise<ModelResult> {
    const { sessions, forMs, commands = Number.POSITIVE_INFINITY, onProgress } = this.#options;
    for (let instance = 0; instance < this.#transport.instances; instance += 1)
      this.#auditors.push(await this.#transport.connect(instance, 'owner'));
    for (let index = 0; index < sessions; index += 1) this.#sessions.push(await this.#connect(index));
    this.#truth = await this.#audit();
    this.#remember();
    const end = Date.now() + forMs;
    while (Date.now() < end && this.#commands < commands) {
      this.steps += 1;
      const began = performance.now();
      await this.#step();
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - began);
      if (this.steps % PROGRESS_STEPS === 0) onProgress?.(this.#result);
    }
    await this.#finish();
    return this.#result;
  }

  get #result(): ModelResult {
    return {
      steps: this.steps,
      commands: this.#commands,
      contended: this.#contended,
      byName: this.#byName,
      slowestMs: this.#slowestMs,
    };
  }

  async #connect(index: number): Promise<SessionView> {
    const { instances, owner } = this.#transport;
    const isGuest = index >= this.#options.sessions - (this.#options.guests ?? 0);
    const script = await this.#transport.connect(index % instances, isGuest ? 'guest' : 'owner');
    const kind = this.#dice.next();
    const more = this.#dice.next();
    const modes: Modes = {
      condstore: kind < 0.6,
      qresync: kind < 0.35,
      uidOnly: more < 0.2,
      notify: more < 0.1 || more > 0.8 ? 'at once' : more > 0.6 ? 'delayed' : 'no',
    };
    const enabled = [modes.qresync ? 'QRESYNC' : modes.condstore ? 'CONDSTORE' : '', modes.uidOnly ? 'UIDONLY' : ''].join(' ').trim();
    if (enabled !== '') await must(script, `ENABLE ${enabled}`);
    if (modes.notify !== 'no') {
      const events = '(MessageNew MessageExpunge FlagChange)';
      await must(script, `NOTIFY SET (selected${modes.notify === 'delayed' ? '-delayed' : ''} ${events}) (personal ${events})`);
    }
    const say = (line: string): void => {
      this.log.push(line);
      if (this.log.length > 4 * LOG_LINES) this.log.splice(0, 2 * LOG_LINES);
    };
    const marks = [
      modes.qresync ? 'q' : modes.condstore ? 'c' : '',
      modes.uidOnly ? 'u' : '',
      { no: '', delayed: 'd', 'at once': 'n' }[modes.notify],
    ];
    if (isGuest) marks.push('g');
    const whose = isGuest ? { ...modes, guestOf: owner } : modes;
    return new SessionView(`S${index}${marks.join('')}`, script, whose, this.#registry, say);
  }

  get #world(): World {
    return {
      dice: this.#dice,
      truth: this.#truth,
      modSeqs: (uidValidity) => (this.#history.get(uidValidity) ?? []).map(({ highestModSeq }) => highestModSeq),
      nextId: () => (this.#ids += 1),
    };
  }

  /* ── Steps ─────────────────────────────────────────────────────────────────────────────────────────────────── */

  async #step(): Promise<void> {
    const free = this.#sessions.filter(({ isIdling }) => !isIdling);
    const idling = this.#sessions.filter(({ isIdling }) => isIdling);
    const kind = this.#dice.next();
    if (idling.length > 0 && (kind < 0.15 || free.length === 0)) return this.#done(this.#dice.pick(idling));
    if (kind < 0.2) return this.#resynchronise();
    if (kind < 0.22) return this.#storm(free);
    if (kind < 0.4 && free.length > 1) return this.#burst(free);
    const session = this.#dice.pick(free);
    await this.#catchUp(session);
    if (kind < 0.43) return this.#reconnect(session);
    if (session.selected === undefined || kind < 0.47) return this.#select(session);
    if (kind < 0.52 && this.#sessions.length > 1) {
      this.#count('IDLE');
      return session.idle();
    }
    if (kind < 0.62) return this.#noop(session);
    if (kind < 0.66 && session.guestOf === undefined) return this.#alone(session, tree(this.#world));
    if (kind < 0.69) return this.#alone(session, close(this.#world, session));
    return this.#alone(session, this.#someCommand(session));
  }

  /** A client with NOTIFY reads what came between commands before it thinks of the next. */
  async #catchUp(session: SessionView): Promise<void> {
    if (!session.notifies) return;
    await session.run('NOOP');
    await this.#identify(session);
  }

  #someCommand(session: SessionView): ModelCommand {
    const world = this.#world;
    const kind = this.#dice.next();
    if (kind < 0.06 && !isFull(this.#truth)) return catenate(world, session);
    if (kind < 0.18 && !isFull(this.#truth)) return append(world, session);
    if (session.messages.length === 0) return kind < 0.6 && !isFull(this.#truth) ? append(world, session) : status(world, session);
    if (kind < 0.24) return replace(world, session);
    if (kind < 0.4) return store(world, session);
    if (kind < 0.55) return isFull(this.#truth) ? expunge(world, session) : copy(world, session);
    if (kind < 0.66) return expunge(world, session);
    if (kind < 0.82) return fetch(world, session);
    if (kind < 0.96) return search(world, session);
    return status(world, session);
  }

  /** One command while all others are silent: everything about it is known. */
  async #alone(session: SessionView, command: ModelCommand): Promise<void> {
    this.#count(command.line);
    const before = this.#truth;
    const answer = await session.run(command.line, ...(command.literals ?? []));
    if (answer.done.startsWith('BAD')) throw new RuleBroken(`${command.line}: ${answer.done}`);
    this.#followNames(command.line, answer.done);
    await this.#settle(command.outcomes?.(before) ?? [before]);
    command.check?.(answer, before, this.#truth);
    command.assume?.(answer);
    if (/^(?:DELETE|RENAME)/.test(command.line)) await this.#mourn(session, before);
    await this.#identify(session);
    if (/^CHECK|^NOOP/.test(command.line)) this.#agrees(session);
  }

  async #noop(session: SessionView): Promise<void> {
    await this.#alone(session, { line: this.#dice.next() < 0.7 || session.selected === undefined ? 'NOOP' : 'CHECK' });
  }

  async #done(session: SessionView): Promise<void> {
    this.#count('DONE');
    await session.done();
    await this.#identify(session);
    await this.#converge(session);
  }

  /** Several at once, one of each session. */
  async #burst(free: readonly SessionView[]): Promise<void> {
    const taking = free.filter(() => this.#dice.next() < 0.8).slice(0, 4);
    for (const session of taking) await this.#catchUp(session);
    const commands = taking.map((session) => {
      const { name } = session;
      const isSelected = session.selected !== undefined && session.messages.length > 0;
      const command = isSelected ? this.#commandForBurst(session) : append(this.#world, session);
      return { name, session, command };
    });
    if (isFull(this.#truth) && commands.some(({ command }) => command.line.startsWith('APPEND'))) return;
    const before = this.#truth;
    const outcomes = orders(commands.map(({ command }) => command)).flatMap((order) => {
      let truths: Truth[] = [before];
      for (const command of order)
        truths = truths.flatMap((truth) => (command.amongOthers ?? command.outcomes)?.call(command, truth) ?? [truth]);
      return truths;
    });
    this.#countContended(commands.map(({ session }) => session));
    this.log.push(`-- at once: ${commands.map(({ name, command }) => `${name} ${command.line}`).join(' | ')}`);
    const answers = await Promise.all(
      commands.map(async ({ session, command }) => {
        this.#count(command.line);
        return session.run(command.line, ...(command.literals ?? []));
      }),
    );
    for (const [index, answer] of answers.entries()) {
      if (answer.done.startsWith('BAD')) throw new RuleBroken(`${commands[index]?.command.line}: ${answer.done}`);
    }
    await this.#settle(outcomes);
    for (const [index, answer] of answers.entries()) {
      const one = commands[index];
      if (one === undefined) continue;
      one.command.assume?.(answer);
      await this.#identify(one.session);
    }
  }

  /** Many commands of each session, all at once: no order of them is guessed, but every session and every instance agrees on what came of it. */
  async #storm(free: readonly SessionView[]): Promise<void> {
    this.log.push('-- storm');
    const count = this.#dice.between(2, STORM);
    const rounds = free.map(async (session) => {
      for (let n = 0; n < count; n += 1) {
        const isSelected = session.selected !== undefined && session.messages.length > 0;
        const command = isSelected && this.#dice.next() < 0.9 ? this.#commandForBurst(session) : append(this.#world, session);
        this.#count(command.line);
        const answer = await session.run(command.line, ...(command.literals ?? []));
        if (answer.done.startsWith('BAD')) throw new RuleBroken(`${command.line}: ${answer.done}`);
        command.assume?.(answer);
        await this.#identify(session);
      }
    });
    for (let n = 0; n < count; n += 1) this.#countContended(free);
    const ended = await Promise.allSettled(rounds);
    for (const one of ended) if (one.status === 'rejected') throw one.reason;
    const found = await this.#audit();
    checkSuccession(this.#truth, found);
    this.#checkNames(found);
    this.#truth = found;
    this.#remember();
    await this.#tellAll();
    for (const session of free) await this.#noop(session);
  }

  #countContended(at: readonly SessionView[]): void {
    for (const session of at) {
      const instance = this.#instanceOf(session);
      const isContended = at.some(
        (other) => other.selected?.uidValidity === session.selected?.uidValidity && this.#instanceOf(other) !== instance,
      );
      if (session.selected !== undefined && isContended) this.#contended += 1;
    }
  }
  #instanceOf(session: SessionView): number {
    return this.#sessions.indexOf(session) % this.#transport.instances;
  }

  #commandForBurst(session: SessionView): ModelCommand {
    const world = this.#world;
    const kind = this.#dice.next();
    if (kind < 0.13) return append(world, session);
    if (kind < 0.2) return catenate(world, session);
    if (kind < 0.28) return replace(world, session);
    if (kind < 0.5) return store(world, session);
    if (kind < 0.65) return copy(world, session);
    if (kind < 0.85) return expunge(world, session);
    if (kind < 0.92) return { line: 'NOOP' };
    return search(world, session);
  }

  async #select(session: SessionView): Promise<void> {
    // Where another one is, more often than not: sessions that never meet have no news for each other.
    const others = this.#sessions.flatMap((other) => (other === session || other.selected === undefined ? [] : [other.selected.name]));
    const isNear = others.length > 0 && session.guestOf === undefined && this.#dice.next() < 0.5;
    const name = this.#dice.pick(isNear ? others : session.mailboxes);
    const readOnly = this.#dice.next() < 0.15;
    const line = `${readOnly ? 'EXAMINE' : 'SELECT'} ${session.wire(name)}`;
    this.#count(line);
    const answer = await session.run(line);
    const box = this.#truth.get(name);
    if (box === undefined) {
      if (!answer.done.startsWith('NO [NONEXISTENT]')) throw new RuleBroken(`${line}: ${answer.done}`);
      return;
    }
    const said = answer.untagged.join('\n');
    for (const wanted of [
      `* ${box.messages.length} EXISTS`,
      `[UIDVALIDITY ${box.uidValidity}]`,
      `[UIDNEXT ${box.uidNext}]`,
      `[HIGHESTMODSEQ ${box.highestModSeq}]`,
    ])
      if (!said.includes(wanted)) throw new RuleBroken(`${line} does not say ${wanted}`);
    session.selected = { name, uidValidity: box.uidValidity, readOnly };
    session.toldStatus.delete(box.uidValidity);
    await this.#identify(session);
    this.#agrees(session);
  }

  /* ── Resynchronisation (RFC 7162 §3.2.5) ───────────────────────────────────────────────────────────────────── */

  /** A client that was away since some moment of the past. */
  async #resynchronise(): Promise<void> {
    const name = this.#dice.pick([...this.#truth.keys()]);
    const box = this.#truth.get(name);
    const snapshots = this.#history.get(box?.uidValidity ?? 0) ?? [];
    if (box === undefined || snapshots.length === 0) return;
    const snapshot = this.#dice.pick(snapshots);
    const able = this.#sessions.filter((one) => one.isQresync && !one.isIdling && one.mailboxes.includes(name));
    const session = able.length === 0 ? undefined : this.#dice.pick(able);
    if (session === undefined) return;
    await this.#catchUp(session); // what is told before [CLOSED] is of the mailbox before
    const uids = snapshot.messages.map(({ uid }) => uid);
    const set = uidSet(uids);
    // Twice in a line, which the server reads up to `limits.imapLineOctets`.
    const known = this.#dice.next() < 0.5 || uids.length === 0 || set.length > LONGEST_SET ? '' : ` ${set}`;
    const match = known !== '' && !session.modes.uidOnly && this.#dice.next() < 0.5 ? ` (1:${uids.length} ${set})` : '';
    await this.#selectFrom(session, name, box, snapshot, `${known}${match}`);
  }

  /** The session's own connection breaks, and it comes back with what it knows. */
  async #reconnect(session: SessionView): Promise<void> {
    this.#count('reconnect');
    const { selected, cacheModSeq } = session;
    const index = this.#sessions.indexOf(session);
    const found = selected === undefined ? undefined : [...this.#truth].find(([, one]) => one.uidValidity === selected.uidValidity);
    session.close();
    const fresh = await this.#connect(index);
    this.#sessions[index] = fresh;
    if (found === undefined || !fresh.isQresync || !session.isQresync || cacheModSeq === 0) return;
    const messages = session.messages.flatMap(({ uid, flags }) =>
      uid === undefined ? [] : [{ uid, id: 0, flags: flags ?? '?', modSeq: 0 }],
    );
    await this.#selectFrom(fresh, found[0], found[1], { highestModSeq: cacheModSeq, messages }, '');
  }

  async #selectFrom(session: SessionView, name: string, box: TrueMailbox, from: Snapshot, more: string): Promise<void> {
    this.#count('QRESYNC');
    const answer = await session.run(`SELECT ${session.wire(name)} (QRESYNC (${box.uidValidity} ${from.highestModSeq}${more}))`);
    if (!answer.done.startsWith('OK')) throw new RuleBroken(`QRESYNC: ${answer.done}`);
    session.selected = { name, uidValidity: box.uidValidity, readOnly: false };
    session.toldStatus.delete(box.uidValidity);
    const knownFlags = new Map(from.messages.map(({ uid, flags }) => [uid, flags]));
    for (const uid of answer.vanishedEarlier) {
      if (box.messages.some((message) => message.uid === uid)) throw new RuleBroken(`VANISHED (EARLIER) ${uid}, which is there`);
      knownFlags.delete(uid);
    }
    const isLimited = more !== '';
    const isKnown = new Set(from.messages.map(({ uid }) => uid));
    for (const message of box.messages) {
      const told = answer.fetched.get(message.uid)?.items.get('FLAGS');
      const isDue = message.modSeq > from.highestModSeq && (!isLimited || isKnown.has(message.uid));
      if (isDue !== Array.isArray(told))
        throw new RuleBroken(
          `QRESYNC from ${from.highestModSeq}: UID ${message.uid} with MODSEQ ${message.modSeq} is ${isDue ? 'missing' : 'not asked for'}`,
        );
      if (Array.isArray(told)) knownFlags.set(message.uid, flagText(told.map((flag: { atom: string }) => flag.atom)));
      const flags = knownFlags.get(message.uid);
      knownFlags.delete(message.uid);
      if (flags === undefined ? !isLimited : flags !== '?' && flags !== message.flags)
        throw new RuleBroken(`QRESYNC from ${from.highestModSeq}: UID ${message.uid} has ${message.flags}, the client believes ${flags}`);
    }
    if (knownFlags.size > 0)
      throw new RuleBroken(`QRESYNC from ${from.highestModSeq}: UIDs ${[...knownFlags.keys()].join()} are gone, the client was not told`);
    await this.#identify(session);
    this.#agrees(session);
  }

  /* ── What is there ─────────────────────────────────────────────────────────────────────────────────────────── */

  /** The account must be as one of the outcomes says, whichever instance is asked. */
  async #settle(outcomes: readonly Truth[]): Promise<void> {
    const before = this.#truth;
    const found = await this.#audit();
    const differences = outcomes.map((outcome) => difference(outcome, found));
    if (!differences.includes(undefined))
      throw new RuleBroken(`the account is in no state that the commands explain:\n${[...new Set(differences)].slice(0, 6).join('\n')}`);
    checkSuccession(this.#truth, found);
    this.#checkNames(found);
    this.#truth = found;
    this.#remember();
    if (outcomes.length > 1 || outcomes[0] !== before) await this.#tellAll();
  }

  /** Before NOOP an instance reads what the others have done: what comes next is not answered from what was. */
  async #tellAll(): Promise<void> {
    if (this.#auditors.length > 1) await Promise.all(this.#auditors.map((auditor) => auditor.command('NOOP')));
  }

  /** Name, UIDVALIDITY and UID never mean two messages (RFC 9051 §2.3.1.1). */
  #checkNames(found: Truth): void {
    for (const [name, { uidValidity }] of found) {
      const highest = this.#validities.get(name) ?? 0;
      if (uidValidity < highest) throw new RuleBroken(`UIDVALIDITY of ${name} was ${highest} and is ${uidValidity}`);
      this.#validities.set(name, uidValidity);
    }
  }

  async #audit(): Promise<Truth> {
    const script = this.#dice.pick(this.#auditors);
    const truth = new Map<string, TrueMailbox>();
    const names = (await script.command('LIST "" *')).untagged.map((line) => /"\/" "?([^"]+)"?$/.exec(line)?.[1] ?? '');
    const present = names.filter((name) => MAILBOXES.includes(name));
    // In one go, as each takes its turn anyway; unselected at the end, or the auditor would have to go when that mailbox is deleted.
    const answers = await inOneGo(script, [
      ...present.flatMap((name) => [`EXAMINE ${name}`, 'UID FETCH 1:* (FLAGS INTERNALDATE MODSEQ)']),
      'UNSELECT',
    ]);
    for (const [index, name] of present.entries()) {
      const [examined, listed] = [answers[2 * index], answers[2 * index + 1]];
      if (examined?.done.startsWith('OK') !== true) throw new RuleBroken(`EXAMINE ${name}: ${examined?.done}`);
      const said = examined.untagged.join('\n');
      const number = (code: string): number => Number(new RegExp(`\\[${code} (\\d+)\\]`).exec(said)?.[1]);
      const messages = (listed?.untagged ?? []).flatMap((line) => trueMessage(line) ?? []);
      const uidValidity = number('UIDVALIDITY');
      truth.set(name, { uidValidity, uidNext: number('UIDNEXT'), highestModSeq: number('HIGHESTMODSEQ'), messages });
      for (const { uid, id } of messages) {
        const key = `${uidValidity}:${uid}`;
        const owner = this.#registry.get(key);
        if (owner !== undefined && owner !== id) throw new RuleBroken(`UID ${key} was message ${owner} and is ${id}`);
        this.#registry.set(key, id);
      }
    }
    return truth;
  }

  #remember(): void {
    const there = new Set([...this.#truth.values()].map(({ uidValidity }) => uidValidity));
    for (const uidValidity of this.#history.keys()) if (!there.has(uidValidity)) this.#history.delete(uidValidity);
    for (const { uidValidity, highestModSeq, messages } of this.#truth.values()) {
      const snapshots = this.#history.get(uidValidity) ?? [];
      this.#history.set(uidValidity, snapshots);
      if (snapshots.at(-1)?.highestModSeq === highestModSeq) snapshots.pop();
      snapshots.push({ highestModSeq, messages });
      if (snapshots.length > SNAPSHOTS) snapshots.splice(this.#dice.between(0, SNAPSHOTS - 1), 1);
    }
  }

  /** After a command that tells everything the session knows what is there. @throws RuleBroken */
  #agrees(session: SessionView): void {
    this.#agreesOnOthers(session);
    if (session.selected === undefined) return;
    const [name, box] = boxOf(this.#truth, session);
    const uids = box.messages.map(({ uid }) => uid).join(' ');
    const known = session.messages.map(({ uid }) => uid ?? '?').join(' ');
    if (known !== uids) throw new RuleBroken(`${session.name} believes that ${name} holds UIDs ${known}; it holds ${uids}`);
    for (const [index, message] of box.messages.entries()) {
      const flags = session.messages[index]?.flags;
      if (flags !== undefined && flags !== message.flags)
        throw new RuleBroken(`${session.name} believes that UID ${message.uid} of ${name} has (${flags}); it has (${message.flags})`);
    }
  }

  /** What NOTIFY told of mailboxes that are not selected. */
  #agreesOnOthers({ name: who, selected, toldStatus, notifies }: SessionView): void {
    if (!notifies) return;
    for (const [name, box] of this.#truth) {
      if (box.uidValidity === selected?.uidValidity) continue;
      const wanted = new Map([
        ['MESSAGES', box.messages.length],
        ['UIDNEXT', box.uidNext],
        ['UNSEEN', box.messages.filter(({ flags }) => !hasFlag(flags, '\\Seen')).length],
        ['HIGHESTMODSEQ', box.highestModSeq],
      ]);
      for (const [item, value] of toldStatus.get(box.uidValidity) ?? [])
        if (wanted.has(item) && wanted.get(item) !== value)
          throw new RuleBroken(`${who} was told that ${name} has ${item} ${value}; it has ${wanted.get(item)}`);
    }
  }

  /** As {@link #agrees}; on several instances news may take a moment. */
  async #converge(session: SessionView): Promise<void> {
    const deadline = Date.now() + this.#transport.convergenceMs;
    for (;;) {
      try {
        this.#agrees(session);
        return;
      } catch (error) {
        if (Date.now() >= deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20)); // until the beacon has come
        await session.run('NOOP');
        await this.#identify(session);
      }
    }
  }

  /** EXISTS told of messages: a client asks who they are. */
  async #identify(session: SessionView): Promise<void> {
    for (let round = 0; !session.knowsAllUids; round += 1) {
      if (round > 5) throw new RuleBroken(`${session.name}: messages without UID: ${session.uids.join()}`);
      const first = session.uids.indexOf(undefined) + 1;
      // Where numbers may change at any time a client asks for what is above the highest UID that it knows.
      const set = session.usesUids ? `UID FETCH ${(session.uids[first - 2] ?? 0) + 1}:*` : `FETCH ${first}:*`;
      session.isIdentifying = true;
      const answer = await session.run(`${set} (UID FLAGS INTERNALDATE${session.isCondstore ? ' MODSEQ' : ''})`);
      session.isIdentifying = false;
      if (!answer.done.startsWith('OK')) throw new RuleBroken(`FETCH of new messages: ${answer.done}`);
    }
  }

  #followNames(line: string, done: string): void {
    const renamed = /^RENAME (\S+) (\S+)/.exec(line);
    if (renamed === null || !done.startsWith('OK') || renamed[1] === 'INBOX') return;
    for (const session of this.#sessions)
      if (session.selected !== undefined && session.selected.name === renamed[1]) session.selected.name = renamed[2] ?? '';
  }

  /** Sessions that had selected what is gone, or has another UIDVALIDITY now, are told to go (RFC 2180 §3.3); who deletes its own deselects. */
  async #mourn(actor: SessionView, before: Truth): Promise<void> {
    const there = new Set([...this.#truth.values()].map(({ uidValidity }) => uidValidity));
    const gone = [...before.values()].map(({ uidValidity }) => uidValidity).find((uidValidity) => !there.has(uidValidity));
    if (gone === undefined) return;
    for (const [index, session] of this.#sessions.entries()) {
      if (session.selected?.uidValidity !== gone) continue;
      if (session === actor && this.#truth.size < before.size) {
        session.selected = undefined;
        session.messages = [];
        continue;
      }
      let last = '';
      try {
        for (;;) last = await session.script.response();
      } catch {
        if (!last.startsWith('* BYE')) throw new RuleBroken(`${session.name} lost its mailbox and was told ${last}`);
      }
      session.close();
      this.#sessions[index] = await this.#connect(index);
    }
  }

  async #finish(): Promise<void> {
    for (const session of this.#sessions) {
      if (session.isIdling) await session.done();
      if (session.selected === undefined) continue;
      await session.run('NOOP');
      await this.#identify(session);
      await this.#converge(session);
      if (session.messages.length > 0)
        await session.run(`${session.usesUids ? 'UID ' : ''}FETCH 1:* (UID FLAGS${session.isCondstore ? ' MODSEQ' : ''})`);
      this.#agrees(session);
    }
  }

  #count(line: string): void {
    const name = /^(?:UID )?\S+/.exec(line)?.[0] ?? line;
    this.#byName.set(name, (this.#byName.get(name) ?? 0) + 1);
    this.#commands += 1;
  }
}

function trueMessage(line: string): TrueMessage | undefined {
  const uid = /\bUID (\d+)/.exec(line)?.[1];
  const date = /INTERNALDATE "([^"]+)"/.exec(line)?.[1];
  const modSeq = /MODSEQ \((\d+)\)/.exec(line)?.[1];
  const flags = /FLAGS \(([^)]*)\)/.exec(line)?.[1];
  if (uid === undefined || date === undefined || modSeq === undefined || flags === undefined) return undefined;
  return { uid: Number(uid), id: idOf(date), flags: flagText(flags.split(' ')), modSeq: Number(modSeq) };
}

async function must(script: ImapScript, line: string): Promise<void> {
  const { done } = await script.command(line);
  if (!done.startsWith('OK')) throw new RuleBroken(`${line}: ${done}`);
}

/** Sends all, then reads all. */
async function inOneGo(script: ImapScript, lines: readonly string[]): Promise<{ readonly untagged: string[]; readonly done: string }[]> {
  const tags = lines.map(() => script.takeTag());
  script.socket.write(lines.map((line, index) => `${tags[index]} ${line}\r\n`).join(''));
  const answers: { untagged: string[]; done: string }[] = [];
  for (const tag of tags) {
    const untagged: string[] = [];
    let response = await script.response();
    for (; !response.startsWith(`${tag} `); response = await script.response()) untagged.push(response);
    answers.push({ untagged, done: response.slice(tag.length + 1) });
  }
  return answers;
}

function orders<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]];
  return things.flatMap((thing, index) => orders(things.toSpliced(index, 1)).map((rest) => [thing, ...rest]));
}
