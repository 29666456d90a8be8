/** Random commands, each with what it may do to the account and what it must answer. */
import type { Dice } from '../support/sample-mail.ts';
import { type Answer, numbersOf, RuleBroken, type SessionView } from './session-view.ts';
import {
  appended,
  copied,
  expunged,
  flagsOf,
  flagText,
  hasFlag,
  MAILBOXES,
  moved,
  NEW_MAILBOX,
  stored,
  type TrueMailbox,
  type TrueMessage,
  type Truth,
  withMailbox,
} from './truth.ts';

export interface ModelCommand {
  readonly line: string;
  /** Each is sent after a continuation, with what follows it. */
  readonly literals?: readonly Buffer[];
  /** What may have become of the account; absent: nothing changes. */
  outcomes?(truth: Truth): Truth[];
  /** The same where others may come in between its looking and its doing. */
  amongOthers?(truth: Truth): Truth[];
  /** The answer, when nothing else ran. `truth` is from before. @throws RuleBroken */
  check?(answer: Answer, truth: Truth, after: Truth): void;
  /** What the client knows from now on without being told. */
  assume?(answer: Answer): void;
}

export interface World {
  readonly dice: Dice;
  readonly truth: Truth;
  /** MODSEQs that there were in this mailbox, oldest first. */
  modSeqs(uidValidity: number): readonly number[];
  nextId(): number;
}

const FLAGS = ['\\Seen', '\\Flagged', '\\Answered', '\\Draft', '\\Deleted', '$Junk', 'kw1', 'kw2'];
const MANY = 30;

export function boxOf(truth: Truth, view: SessionView): readonly [string, TrueMailbox] {
  const { selected } = view;
  for (const [name, box] of truth) if (box.uidValidity === selected?.uidValidity) return [name, box];
  throw new RuleBroken(`${view.name} has a mailbox selected that does not exist`);
}

interface MessageSet {
  readonly text: string;
  readonly uids: ReadonlySet<number>;
  readonly prefix: '' | 'UID ';
}

function messageSet(view: SessionView, dice: Dice): MessageSet {
  const { saved } = view;
  if (saved !== undefined && dice.next() < 0.12) {
    const isUid = view.usesUids || !saved.isExact || dice.next() < 0.5;
    return { text: '$', uids: new Set(saved.uids), prefix: isUid ? 'UID ' : '' };
  }
  const uids = view.messages.map(({ uid }) => uid ?? 0);
  const count = uids.length;
  const isUid = view.usesUids || dice.next() < 0.5;
  const last = uids.at(-1) ?? 0;
  // A session with NOTIFY may have been told of more than its client has read: it names what it knows.
  const namesKnown = view.notifies;
  const number = (): number =>
    isUid && !namesKnown && dice.next() < 0.15 ? dice.between(1, last + 3) : isUid ? dice.pick(uids) : dice.between(1, count);
  const ranges: [number, number][] = [];
  const texts: string[] = [];
  const top = isUid ? last : count;
  for (let parts = dice.next() < 0.6 ? 1 : dice.between(2, 3); parts > 0; parts -= 1) {
    const kind = dice.next() * (namesKnown ? 0.7 : 1);
    const from = number();
    if (kind < 0.4) {
      texts.push(String(from));
      ranges.push([from, from]);
    } else if (kind < 0.7) {
      const to = number();
      texts.push(`${from}:${to}`);
      ranges.push([Math.min(from, to), Math.max(from, to)]);
    } else if (kind < 0.8) {
      texts.push('*');
      ranges.push([top, top]);
    } else {
      const start = kind < 0.9 ? 1 : from;
      texts.push(`${start}:*`);
      ranges.push([Math.min(start, top), Math.max(start, top)]);
    }
  }
  const named = uids.filter((uid, index) =>
    ranges.some(([low, high]) => (isUid ? uid >= low && uid <= high : index + 1 >= low && index + 1 <= high)),
  );
  return { text: texts.join(','), uids: new Set(named), prefix: isUid ? 'UID ' : '' };
}

export function someFlags(dice: Dice, most = 3): string[] {
  return [...new Set(Array.from({ length: dice.between(0, most) }, () => dice.pick(FLAGS)))];
}
function living(box: TrueMailbox | undefined, uids: ReadonlySet<number>): Map<number, TrueMessage> {
  return new Map(box?.messages.filter(({ uid }) => uids.has(uid)).map((message) => [message.uid, message]) ?? []);
}
function anyGone(box: TrueMailbox, uids: ReadonlySet<number>): boolean {
  return living(box, uids).size < uids.size;
}
export function must(condition: boolean, what: string, answer: Answer): void {
  if (!condition) throw new RuleBroken(`${what}\n${[...answer.untagged, answer.done].join('\n')}`);
}
export function mustBe(done: string, answer: Answer): void {
  must(answer.done.startsWith(done), `the answer must be ${done}`, answer);
}

/* ── Commands that need no mailbox ───────────────────────────────────────────────────────────────────────────── */

export function tree({ dice, truth }: World): ModelCommand {
  const names = MAILBOXES.slice(1);
  const name = dice.pick(names);
  const kind = dice.next();
  if (kind < 0.45) {
    return {
      line: `CREATE ${name}`,
      outcomes: (now) => [now.has(name) ? now : withMailbox(now, name, () => NEW_MAILBOX)],
      check: (answer) => mustBe(truth.has(name) ? 'NO [ALREADYEXISTS]' : 'OK', answer),
    };
  }
  if (kind < 0.65) {
    return {
      line: `DELETE ${name}`,
      outcomes: (now) => [withMailbox(now, name, () => undefined)],
      check: (answer) => mustBe(truth.has(name) ? 'OK' : 'NO [NONEXISTENT]', answer),
    };
  }
  const from = kind < 0.7 ? 'INBOX' : name;
  const to = dice.pick(names);
  const isDone = truth.has(from) && !truth.has(to);
  return {
    line: `RENAME ${from} ${to}`,
    outcomes(now) {
      const box = now.get(from);
      if (!isDone || box === undefined) return [now];
      // A name that once had a higher UIDVALIDITY gets a new one (RFC 9051 §6.3.6).
      if (from !== 'INBOX')
        return [box, { ...box, uidValidity: 0 }].map((one) =>
          withMailbox(
            withMailbox(now, from, () => undefined),
            to,
            () => one,
          ),
        );
      const empty = expunged(now, 'INBOX', () => true);
      return [
        appended(
          withMailbox(empty, to, () => NEW_MAILBOX),
          to,
          box.messages,
        ),
      ];
    },
    check: (answer) => mustBe(isDone ? 'OK' : 'NO', answer),
  };
}

export function status({ dice, truth }: World, view: SessionView): ModelCommand {
  const name = dice.pick(view.mailboxes);
  const box = truth.get(name);
  return {
    line: `STATUS ${view.wire(name)} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN${view.isCondstore ? ' HIGHESTMODSEQ' : ''})`,
    check(answer) {
      if (box === undefined) return mustBe('NO [NONEXISTENT]', answer);
      mustBe('OK', answer);
      if (view.selected?.uidValidity === box.uidValidity) return;
      const unseen = box.messages.filter(({ flags }) => !hasFlag(flags, '\\Seen')).length;
      const wanted = `(MESSAGES ${box.messages.length} UIDNEXT ${box.uidNext} UIDVALIDITY ${box.uidValidity} UNSEEN ${unseen}${view.isCondstore ? ` HIGHESTMODSEQ ${box.highestModSeq}` : ''})`;
      must(
        answer.untagged.some((line) => line.startsWith('* STATUS ') && line.endsWith(wanted)),
        `STATUS must be ${wanted}`,
        answer,
      );
    },
  };
}

/* ── Commands on the selected mailbox ────────────────────────────────────────────────────────────────────────── */

export function fetch({ dice, modSeqs }: World, view: SessionView): ModelCommand {
  const { text, uids, prefix } = messageSet(view, dice);
  const kind = dice.next();
  const readOnly = view.selected?.readOnly === true;
  const setsSeen = kind < 0.15;
  const since = kind > 0.75 && view.isCondstore ? dice.pick([1, ...modSeqs(view.selected?.uidValidity ?? 0)]) : undefined;
  const items = setsSeen
    ? 'UID FLAGS BODY[TEXT]'
    : `UID FLAGS INTERNALDATE${view.isCondstore ? ' MODSEQ' : ''}${kind < 0.3 ? ' BODY.PEEK[HEADER.FIELDS (X-ID)]' : ''}`;
  return {
    line: `${prefix}FETCH ${text} (${items})${since === undefined ? '' : ` (CHANGEDSINCE ${since})`}`,
    outcomes(truth) {
      const [name, box] = boxOf(truth, view);
      return [setsSeen && !readOnly ? stored(truth, name, new Set(living(box, uids).keys()), '+', ['\\Seen']) : truth];
    },
    check(answer, truth, after) {
      mustBe('OK', answer);
      const there = living(boxOf(after, view)[1], uids);
      const before = boxOf(truth, view)[1];
      for (const uid of uids) {
        const message = there.get(uid);
        const isNews = since === undefined || (message !== undefined && (living(before, uids).get(uid)?.modSeq ?? 0) > since);
        const shown = answer.fetched.get(uid)?.items;
        if (message === undefined && since !== undefined) continue; // its last MODSEQ is no longer known here
        if (!isNews) {
          must(shown?.has('INTERNALDATE') !== true, `UID ${uid} has not changed since ${since}`, answer);
          continue;
        }
        must(shown !== undefined, `UID ${uid} is missing`, answer);
        const flags = shown?.get('FLAGS');
        if (message === undefined || !Array.isArray(flags)) continue;
        const told = flagText(flags.map((flag: { atom: string }) => flag.atom));
        must(told === message.flags, `flags of UID ${uid} are ${message.flags}`, answer);
        const field = shown?.get('BODY[HEADER.FIELDS (X-ID)]');
        if (field !== undefined) must(field === `X-Id: ${message.id}\r\n\r\n`, `X-Id of UID ${uid} is ${message.id}`, answer);
      }
    },
  };
}

export function store({ dice, modSeqs }: World, view: SessionView): ModelCommand {
  const { text, uids, prefix } = messageSet(view, dice);
  const mode = dice.pick(['', '+', '-'] as const);
  // With NOTIFY, news may stand before the command's own answer: what was silent and what was not could not be told apart.
  const silent = dice.next() < 0.5 && !view.notifies;
  const named = someFlags(dice);
  const since = view.isCondstore && dice.next() < 0.3 ? dice.pick([1, ...modSeqs(view.selected?.uidValidity ?? 0)]) : undefined;
  const readOnly = view.selected?.readOnly === true;
  const passing = (box: TrueMailbox): Set<number> =>
    new Set([...living(box, uids).values()].filter(({ modSeq }) => since === undefined || modSeq <= since).map(({ uid }) => uid));
  return {
    line: `${prefix}STORE ${text} ${since === undefined ? '' : `(UNCHANGEDSINCE ${since}) `}${mode}FLAGS${silent ? '.SILENT' : ''} (${named.join(' ')})`,
    outcomes(truth) {
      const [name, box] = boxOf(truth, view);
      return [readOnly ? truth : stored(truth, name, passing(box), mode, named)];
    },
    check(answer, truth, after) {
      if (readOnly) return mustBe('NO', answer);
      const box = boxOf(truth, view)[1];
      const there = living(box, uids);
      const passed = passing(box);
      const refused = [...there.keys()].filter((uid) => !passed.has(uid));
      if (prefix === '' && there.size === 0 && uids.size > 0) return mustBe('NO [EXPUNGEISSUED]', answer);
      if (refused.length > 0) {
        const code = /^OK \[MODIFIED ([\d:,]+)\]/.exec(answer.done);
        const told = numbersOf(code?.[1] ?? '').map((number) => (prefix === '' ? view.messages[number - 1]?.uid : number));
        must(JSON.stringify(told.sort()) === JSON.stringify(refused.sort()), `MODIFIED must be UIDs ${refused.join()}`, answer);
      } else mustBe(prefix === '' && anyGone(box, uids) ? 'OK [EXPUNGEISSUED]' : 'OK', answer);
      const changed = living(boxOf(after, view)[1], passed);
      for (const [uid, message] of changed) {
        if (silent) continue;
        const flags = answer.fetched.get(uid)?.items.get('FLAGS');
        must(
          Array.isArray(flags) && flagText(flags.map((flag: { atom: string }) => flag.atom)) === message.flags,
          `flags of UID ${uid} are ${message.flags}`,
          answer,
        );
      }
    },
    assume(answer) {
      if (readOnly || !silent || !answer.done.startsWith('OK')) return;
      const code = /^OK \[MODIFIED ([\d:,]+)\]/.exec(answer.done);
      const refused = numbersOf(code?.[1] ?? '').map((number) => (prefix === '' ? view.messages[number - 1]?.uid : number));
      view.assumeStored(new Set([...uids].filter((uid) => !refused.includes(uid))), mode, named);
    },
  };
}

export function copy({ dice }: World, view: SessionView): ModelCommand {
  const { text, uids, prefix } = messageSet(view, dice);
  const to = dice.pick(view.mailboxes);
  const isMove = dice.next() < 0.5;
  const readOnly = view.selected?.readOnly === true;
  const isRefused = (truth: Truth): boolean =>
    (isMove && readOnly) || !truth.has(to) || (prefix === '' && anyGone(boxOf(truth, view)[1], uids));
  return {
    line: `${prefix}${isMove ? 'MOVE' : 'COPY'} ${text} ${view.wire(to)}`,
    outcomes(truth) {
      if (isRefused(truth)) return [truth];
      const [name, box] = boxOf(truth, view);
      const there = new Set(living(box, uids).keys());
      return [isMove ? moved(truth, name, there, to) : copied(truth, name, there, to)];
    },
    amongOthers(truth) {
      if ((isMove && readOnly) || !truth.has(to)) return [truth];
      const [name, box] = boxOf(truth, view);
      const there = new Set(living(box, uids).keys()); // what is left of them, and COPYUID says which
      return [isMove ? moved(truth, name, there, to) : copied(truth, name, there, to), truth];
    },
    check(answer, truth, after) {
      const box = boxOf(truth, view)[1];
      if (isMove && readOnly) return mustBe('NO', answer);
      if (!truth.has(to)) return mustBe('NO [TRYCREATE]', answer);
      if (isRefused(truth)) return mustBe('NO [EXPUNGEISSUED]', answer);
      mustBe('OK', answer);
      const there = [...living(box, uids).values()];
      if (there.length === 0) return;
      const code = /\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]/.exec([...answer.untagged, answer.done].join('\n'));
      const target = after.get(to);
      const from = numbersOf(code?.[2] ?? '');
      const placed = numbersOf(code?.[3] ?? '');
      must(Number(code?.[1]) === target?.uidValidity && from.length === there.length && placed.length === there.length, 'COPYUID', answer);
      for (const [index, uid] of from.entries()) {
        const id = there.find((message) => message.uid === uid)?.id;
        must(target?.messages.some((message) => message.uid === placed[index] && message.id === id) === true, `COPYUID of ${uid}`, answer);
      }
    },
  };
}

export function expunge({ dice }: World, view: SessionView): ModelCommand {
  const readOnly = view.selected?.readOnly === true;
  const set = dice.next() < 0.5 ? undefined : messageSet(view, dice);
  const isUid = set?.prefix === 'UID ';
  const known = new Set(view.messages.map(({ uid }) => uid ?? 0));
  const isNamed = (uid: number): boolean => known.has(uid) && (!isUid || set?.uids.has(uid) === true);
  return {
    line: isUid ? `UID EXPUNGE ${set?.text}` : 'EXPUNGE',
    outcomes: (truth) => (readOnly ? [truth] : removals(truth, boxOf(truth, view)[0], isNamed, isUid ? undefined : known)),
    check: (answer) => mustBe(readOnly ? 'NO' : 'OK', answer),
  };
}

/** Messages that the session was not told of yet may go as well, or stay. */
function removals(truth: Truth, name: string, isNamed: (uid: number) => boolean, known: ReadonlySet<number> | undefined): Truth[] {
  const some = expunged(truth, name, ({ uid, flags }) => hasFlag(flags, '\\Deleted') && isNamed(uid));
  if (known === undefined) return [some];
  return [some, expunged(truth, name, ({ flags }) => hasFlag(flags, '\\Deleted'))];
}

export function close({ dice }: World, view: SessionView): ModelCommand {
  if (dice.next() < 0.4) return { line: 'UNSELECT', check: (answer) => mustBe('OK', answer) };
  const readOnly = view.selected?.readOnly === true;
  const uidValidity = view.selected?.uidValidity;
  const known = new Set(view.messages.map(({ uid }) => uid ?? 0));
  return {
    line: 'CLOSE',
    outcomes(truth) {
      const name = [...truth].find(([, box]) => box.uidValidity === uidValidity)?.[0];
      return readOnly || name === undefined ? [truth] : removals(truth, name, (uid) => known.has(uid), known);
    },
    check(answer) {
      mustBe('OK', answer);
      must(!answer.untagged.some((line) => /EXPUNGE|VANISHED/.test(line)), 'CLOSE tells no EXPUNGE', answer);
    },
  };
}

/* ── SEARCH ──────────────────────────────────────────────────────────────────────────────────────────────────── */

interface Key {
  readonly text: string;
  matches(message: TrueMessage): boolean;
}

function searchKey(world: World, view: SessionView, depth = 0): Key {
  const { dice, modSeqs } = world;
  const kind = dice.next();
  if (kind < 0.15 && depth < 3) {
    const of = searchKey(world, view, depth + 1);
    return { text: `NOT ${of.text}`, matches: (message) => !of.matches(message) };
  }
  if (kind < 0.3 && depth < 3) {
    const [a, b] = [searchKey(world, view, depth + 1), searchKey(world, view, depth + 1)];
    return { text: `OR ${a.text} ${b.text}`, matches: (message) => a.matches(message) || b.matches(message) };
  }
  if (kind < 0.4 && depth < 3) {
    const [a, b] = [searchKey(world, view, depth + 1), searchKey(world, view, depth + 1)];
    return { text: `(${a.text} ${b.text})`, matches: (message) => a.matches(message) && b.matches(message) };
  }
  if (kind < 0.5 && view.messages.length > 0) {
    const { text, uids, prefix } = messageSet(view, dice);
    return { text: text === '$' ? text : prefix + text, matches: ({ uid }) => uids.has(uid) };
  }
  if (kind < 0.57 && view.isCondstore) {
    const from = dice.pick([1, ...modSeqs(view.selected?.uidValidity ?? 0)]);
    return { text: `MODSEQ ${from}`, matches: ({ modSeq }) => modSeq >= from };
  }
  if (kind < 0.67) {
    const id = dice.between(1, 9);
    return { text: `SUBJECT "message ${id}"`, matches: (message) => `message ${message.id}`.includes(`message ${id}`) };
  }
  if (kind < 0.7) return { text: 'ALL', matches: () => true };
  const flag = dice.pick(FLAGS);
  const isSet = dice.next() < 0.5;
  const text = flag.startsWith('\\') ? `${isSet ? '' : 'UN'}${flag.slice(1).toUpperCase()}` : `${isSet ? '' : 'UN'}KEYWORD ${flag}`;
  return { text, matches: ({ flags }) => flagsOf(flags).includes(flag) === isSet };
}

export function search(world: World, view: SessionView): ModelCommand {
  const key = searchKey(world, view);
  const isUid = view.usesUids || world.dice.next() < 0.5;
  const isExtended = world.dice.next() < 0.4;
  if (world.dice.next() < 0.3) return searchSaving(world, view, key);
  const numbers = view.messages.map(({ uid }, index) => ({ uid: uid ?? 0, number: isUid ? (uid ?? 0) : index + 1 }));
  return {
    line: `${isUid ? 'UID ' : ''}SEARCH ${isExtended ? 'RETURN (MIN MAX COUNT ALL) ' : ''}${key.text}`,
    check(answer, truth) {
      mustBe('OK', answer);
      const line = answer.untagged.find((response) => /^\* E?SEARCH/.test(response)) ?? '';
      const told = new Set(
        isExtended
          ? numbersOf(/ ALL ([\d:,]+)/.exec(line)?.[1] ?? '')
          : line
              .replace(/ \(MODSEQ \d+\)/, '')
              .split(' ')
              .slice(2)
              .map(Number),
      );
      const there = living(boxOf(truth, view)[1], new Set(numbers.map(({ uid }) => uid)));
      for (const { uid, number } of numbers) {
        const message = there.get(uid);
        if (message !== undefined)
          must(told.has(number) === key.matches(message), `UID ${uid} ${key.matches(message) ? 'matches' : 'does not match'}`, answer);
        else if (told.has(number) === false) continue; // expunged behind its back: may be found or not
      }
      must(
        [...told].every((number) => numbers.some((one) => one.number === number)),
        'numbers of messages that the session does not know',
        answer,
      );
      if (isExtended) must(Number(/ COUNT (\d+)/.exec(line)?.[1]) === told.size, 'COUNT', answer);
    },
  };
}

/** RFC 5182: what was found is kept on the server as `$`. */
function searchSaving({ dice }: World, view: SessionView, key: Key): ModelCommand {
  const options = dice.pick(['SAVE', 'SAVE COUNT', 'SAVE ALL', 'SAVE MIN', 'SAVE MIN MAX']);
  const known = new Set(view.messages.map(({ uid }) => uid ?? 0));
  view.saved = undefined; // unless nobody runs beside it: see `check`
  return {
    line: `${view.usesUids || dice.next() < 0.5 ? 'UID ' : ''}SEARCH RETURN (${options}) ${key.text}`,
    check(answer, truth) {
      mustBe('OK', answer);
      const box = boxOf(truth, view)[1];
      const found = [...living(box, known).values()].filter((message) => key.matches(message)).map(({ uid }) => uid);
      const isExact = !anyGone(box, known);
      if (options === 'SAVE')
        must(!answer.untagged.some((line) => line.includes('ESEARCH')), 'SAVE alone answers nothing (RFC 5182 §2.4)', answer);
      const count = /^\* ESEARCH .*COUNT (\d+)/m.exec(answer.untagged.join('\n'))?.[1];
      if (options === 'SAVE COUNT' && isExact) must(Number(count) === found.length, `COUNT ${found.length}`, answer);
      // With gone ones among those that were looked at, the least and the greatest may be one of them.
      if (options.includes('MIN') && !isExact) return;
      const kept =
        options === 'SAVE MIN' ? found.slice(0, 1) : options === 'SAVE MIN MAX' ? [...found.slice(0, 1), ...found.slice(-1)] : found;
      view.saved = { uids: new Set(kept), isExact };
    },
  };
}

export function isFull(truth: Truth): boolean {
  let count = 0;
  for (const { messages } of truth.values()) count += messages.length;
  return count > MANY * truth.size;
}
