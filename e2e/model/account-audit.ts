/** The account as it is, asked of every instance in turn, and as it was. */
import type { ImapScript } from '../support/imap-script.ts';
import type { Dice } from '../support/sample-mail.ts';
import { type Registry, RuleBroken } from './session-view.ts';
import { flagText, idOf, MAILBOXES, type TrueMailbox, type TrueMessage, type Truth } from './truth.ts';

const SNAPSHOTS = 60;

export interface Snapshot {
  readonly highestModSeq: number;
  readonly messages: readonly TrueMessage[];
}

export class AccountAudit {
  readonly registry: Registry = new Map();
  readonly #dice: Dice;
  readonly #history = new Map<number, Snapshot[]>();
  readonly #validities = new Map<string, number>();
  /** One on each instance: whichever looks must find the same. */
  readonly #scripts: ImapScript[] = [];

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  add(script: ImapScript): void {
    this.#scripts.push(script);
  }
  close(): void {
    for (const script of this.#scripts) script.close();
  }
  /** Oldest first, of one mailbox. */
  history(uidValidity: number): readonly Snapshot[] {
    return this.#history.get(uidValidity) ?? [];
  }
  /** As the owner. @throws RuleBroken unless it is OK */
  async must(line: string): Promise<void> {
    const { done } = await this.#dice.pick(this.#scripts).command(line);
    if (!done.startsWith('OK')) throw new RuleBroken(`${line}: ${done}`);
  }

  /** All that is there now. */
  async look(): Promise<Truth> {
    const script = this.#dice.pick(this.#scripts);
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
        const owner = this.registry.get(key);
        if (owner !== undefined && owner !== id) throw new RuleBroken(`UID ${key} was message ${owner} and is ${id}`);
        this.registry.set(key, id);
      }
    }
    return truth;
  }

  /** Name, UIDVALIDITY and UID never mean two messages (RFC 9051 §2.3.1.1). */
  checkNames(found: Truth): void {
    for (const [name, { uidValidity }] of found) {
      const highest = this.#validities.get(name) ?? 0;
      if (uidValidity < highest) throw new RuleBroken(`UIDVALIDITY of ${name} was ${highest} and is ${uidValidity}`);
      this.#validities.set(name, uidValidity);
    }
  }

  /** For clients that will come back from this moment. */
  remember(truth: Truth): void {
    const there = new Set([...truth.values()].map(({ uidValidity }) => uidValidity));
    for (const uidValidity of this.#history.keys()) if (!there.has(uidValidity)) this.#history.delete(uidValidity);
    for (const { uidValidity, highestModSeq, messages } of truth.values()) {
      const snapshots = this.#history.get(uidValidity) ?? [];
      this.#history.set(uidValidity, snapshots);
      if (snapshots.at(-1)?.highestModSeq === highestModSeq) snapshots.pop();
      snapshots.push({ highestModSeq, messages });
      if (snapshots.length > SNAPSHOTS) snapshots.splice(this.#dice.between(0, SNAPSHOTS - 1), 1);
    }
  }

  /** Before NOOP an instance reads what the others have done: what comes next is not answered from what was. */
  async tellAll(): Promise<void> {
    if (this.#scripts.length > 1) await Promise.all(this.#scripts.map((script) => script.command('NOOP')));
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
