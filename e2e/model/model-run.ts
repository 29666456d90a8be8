/**
 * Random commands on several sessions of one account against a model (DESIGN §6): what the account holds is predicted from the commands,
 * what each session knows from what it was told. Alone, a command's answer is known exactly; of commands that run at once, some order of
 * them must explain what is there afterwards.
 */
import type { ImapScript } from '../support/imap-script.ts';
import { Dice } from '../support/sample-mail.ts';
import { AccountAudit, type Snapshot } from './account-audit.ts';
import { mustAgree } from './agreement.ts';
import { append } from './append-commands.ts';
import { close, isFull, type ModelCommand, tree, type World } from './commands.ts';
import { checkResynchronised } from './resynchronisation.ts';
import { ALL_RIGHTS, maySelect, SOME_RIGHTS, underRights } from './rights.ts';
import { type Modes, RuleBroken, SessionView } from './session-view.ts';
import { commandForBurst, someCommand } from './some-command.ts';
import { checkSuccession, difference, type TrueMailbox, type Truth, uidSet } from './truth.ts';

export interface ModelTransport {
  readonly instances: number;
  readonly owner: string;
  readonly guest: string;
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
const PROGRESS_STEPS = 500;
/** Most commands of each session in a storm. */
const STORM = 12;
/** Octets of a set in a command. */
const LONGEST_SET = 30_000;

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
  readonly #audit: AccountAudit;
  readonly #byName = new Map<string, number>();
  #sessions: SessionView[] = [];
  #truth: Truth = new Map();
  /** Of guests, in INBOX. */
  #rights = ALL_RIGHTS;
  #ids = 0;
  #commands = 0;
  #contended = 0;
  #slowestMs = 0;

  constructor(transport: ModelTransport, options: ModelOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#dice = new Dice(options.seed);
    this.#audit = new AccountAudit(this.#dice);
  }

  close(): void {
    this.#audit.close();
    for (const session of this.#sessions) session.close();
  }

  async run(): Promise<ModelResult> {
    const { sessions, forMs, commands = Number.POSITIVE_INFINITY, onProgress } = this.#options;
    for (let instance = 0; instance < this.#transport.instances; instance += 1)
      this.#audit.add(await this.#transport.connect(instance, 'owner'));
    for (let index = 0; index < sessions; index += 1) this.#sessions.push(await this.#connect(index));
    this.#truth = await this.#audit.look();
    this.#audit.remember(this.#truth);
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
    return new SessionView(`S${index}${marks.join('')}`, script, whose, this.#audit.registry, say);
  }

  get #world(): World {
    return {
      dice: this.#dice,
      truth: this.#truth,
      modSeqs: (uidValidity) => this.#audit.history(uidValidity).map(({ highestModSeq }) => highestModSeq),
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
    if (kind < 0.23 && (this.#options.guests ?? 0) > 0) return this.#changeRights();
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
    return this.#alone(session, someCommand(this.#world, session));
  }

  /** A client with NOTIFY reads what came between commands before it thinks of the next. */
  async #catchUp(session: SessionView): Promise<void> {
    if (!session.notifies) return;
    await session.run('NOOP');
    await this.#identify(session);
  }

  /** One command while all others are silent: everything about it is known. */
  async #alone(session: SessionView, wanted: ModelCommand): Promise<void> {
    const command = underRights(wanted, session, this.#rights);
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
    if (/^CHECK|^NOOP/.test(command.line)) mustAgree(session, this.#truth);
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

  /** The owner gives and takes; a guest who may no longer read is told to go (decision 12). */
  async #changeRights(): Promise<void> {
    this.#rights = this.#dice.pick(SOME_RIGHTS);
    const line = `SETACL INBOX ${this.#transport.guest} ${this.#rights}`;
    this.#count(line);
    this.log.push(`owner C: ${line}`);
    await this.#audit.must(line);
    await this.#settle([this.#truth]);
    await this.#audit.tellAll();
    for (const session of this.#sessions)
      if (session.selected !== undefined && !maySelect(session, this.#rights)) await this.#lose(session);
  }

  /** Several at once, one of each session. */
  async #burst(free: readonly SessionView[]): Promise<void> {
    const taking = free.filter(() => this.#dice.next() < 0.8).slice(0, 4);
    for (const session of taking) await this.#catchUp(session);
    const commands = taking.map((session) => {
      const { name } = session;
      const isSelected = session.selected !== undefined && session.messages.length > 0;
      const command = isSelected ? commandForBurst(this.#world, session) : append(this.#world, session);
      return { name, session, command: underRights(command, session, this.#rights) };
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
        const wanted = isSelected && this.#dice.next() < 0.9 ? commandForBurst(this.#world, session) : append(this.#world, session);
        const command = underRights(wanted, session, this.#rights);
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
    const found = await this.#audit.look();
    checkSuccession(this.#truth, found);
    this.#audit.checkNames(found);
    this.#truth = found;
    this.#audit.remember(this.#truth);
    await this.#audit.tellAll();
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
    if (!maySelect(session, this.#rights)) {
      if (!answer.done.startsWith('NO [NOPERM]')) throw new RuleBroken(`${line} without the right r: ${answer.done}`);
      return;
    }
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
    mustAgree(session, this.#truth);
  }

  /* ── Resynchronisation (RFC 7162 §3.2.5) ───────────────────────────────────────────────────────────────────── */

  /** A client that was away since some moment of the past. */
  async #resynchronise(): Promise<void> {
    const name = this.#dice.pick([...this.#truth.keys()]);
    const box = this.#truth.get(name);
    const snapshots = this.#audit.history(box?.uidValidity ?? 0);
    if (box === undefined || snapshots.length === 0) return;
    const snapshot = this.#dice.pick(snapshots);
    const able = this.#sessions.filter(
      (one) => one.isQresync && !one.isIdling && one.mailboxes.includes(name) && maySelect(one, this.#rights),
    );
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
    checkResynchronised(answer, box, from, more === '' ? 'all' : 'known');
    await this.#identify(session);
    mustAgree(session, this.#truth);
  }

  /* ── What is there ─────────────────────────────────────────────────────────────────────────────────────────── */

  /** The account must be as one of the outcomes says, whichever instance is asked. */
  async #settle(outcomes: readonly Truth[]): Promise<void> {
    const before = this.#truth;
    const found = await this.#audit.look();
    const differences = outcomes.map((outcome) => difference(outcome, found));
    if (!differences.includes(undefined))
      throw new RuleBroken(`the account is in no state that the commands explain:\n${[...new Set(differences)].slice(0, 6).join('\n')}`);
    checkSuccession(this.#truth, found);
    this.#audit.checkNames(found);
    this.#truth = found;
    this.#audit.remember(this.#truth);
    if (outcomes.length > 1 || outcomes[0] !== before) await this.#audit.tellAll();
  }

  /** As {@link mustAgree}; on several instances news may take a moment. */
  async #converge(session: SessionView): Promise<void> {
    const deadline = Date.now() + this.#transport.convergenceMs;
    for (;;) {
      try {
        mustAgree(session, this.#truth);
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
    for (const session of this.#sessions) {
      if (session.selected?.uidValidity !== gone) continue;
      if (session === actor && this.#truth.size < before.size) {
        session.selected = undefined;
        session.messages = [];
        continue;
      }
      await this.#lose(session);
    }
  }

  /** Its mailbox is gone, for it at least: the server says so and ends. */
  async #lose(session: SessionView): Promise<void> {
    let last = '';
    try {
      for (;;) last = await session.script.response();
    } catch {
      if (!last.startsWith('* BYE')) throw new RuleBroken(`${session.name} lost its mailbox and was told ${last}`);
    }
    session.close();
    const index = this.#sessions.indexOf(session);
    this.#sessions[index] = await this.#connect(index);
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
      mustAgree(session, this.#truth);
    }
  }

  #count(line: string): void {
    const name = /^(?:UID )?\S+/.exec(line)?.[0] ?? line;
    this.#byName.set(name, (this.#byName.get(name) ?? 0) + 1);
    this.#commands += 1;
  }
}

async function must(script: ImapScript, line: string): Promise<void> {
  const { done } = await script.command(line);
  if (!done.startsWith('OK')) throw new RuleBroken(`${line}: ${done}`);
}

function orders<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]];
  return things.flatMap((thing, index) => orders(things.toSpliced(index, 1)).map((rest) => [thing, ...rest]));
}
