/** What an account holds, told apart from what any session knows of it. Messages are known by INTERNALDATE, which goes along with every copy. */

export interface TrueMessage {
  /** 0: not given yet. */
  readonly uid: number;
  readonly id: number;
  /** Sorted, with spaces between, without \Recent. */
  readonly flags: string;
  readonly modSeq: number;
}
export interface TrueMailbox {
  readonly uidValidity: number;
  readonly uidNext: number;
  readonly highestModSeq: number;
  /** By UID, those without one last. */
  readonly messages: readonly TrueMessage[];
}
export type Truth = ReadonlyMap<string, TrueMailbox>;

/** Those that the model uses; INBOX is always there. */
export const MAILBOXES = ['INBOX', 'm1', 'm2', 'm3', 'm4'];

/** MODSEQ of what changes now: above all that there are. */
export const NOW = Number.MAX_SAFE_INTEGER;
export const NEW_MAILBOX: TrueMailbox = { uidValidity: 0, uidNext: 1, highestModSeq: 1, messages: [] };

/** Seconds; the day on which message 0 was received. */
const FIRST_DATE = Date.UTC(2001, 0, 1) / 1000;

/** INTERNALDATE by which a message is known. */
export function internalDate(id: number): string {
  const [, day = '', month = '', year = '', time = ''] =
    /, (\d\d) (\w{3}) (\d{4}) ([\d:]{8})/.exec(new Date((FIRST_DATE + id) * 1000).toUTCString()) ?? [];
  return `${day}-${month}-${year} ${time} +0000`;
}
export function idOf(date: string): number {
  return (
    Date.parse(
      date
        .trim()
        .replaceAll('-', ' ')
        .replace(/ 0000$/, ' +0000'),
    ) /
      1000 -
    FIRST_DATE
  );
}

/** Rising UIDs as a set with ranges. */
export function uidSet(uids: readonly number[]): string {
  const ranges: string[] = [];
  for (let from = 0; from < uids.length; ) {
    let to = from;
    while (uids[to + 1] === (uids[to] ?? 0) + 1) to += 1;
    ranges.push(from === to ? `${uids[from]}` : `${uids[from]}:${uids[to]}`);
    from = to + 1;
  }
  return ranges.join(',');
}

export function flagText(flags: Iterable<string>): string {
  return [...new Set(flags)]
    .filter((flag) => flag !== '' && flag !== '\\Recent')
    .sort()
    .join(' ');
}
export function flagsOf(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}
export function hasFlag(text: string, flag: string): boolean {
  return flagsOf(text).some((one) => one.toLowerCase() === flag.toLowerCase());
}
export function changedFlags(old: string, mode: '' | '+' | '-', named: readonly string[]): string {
  if (mode === '') return flagText(named);
  if (mode === '+') return flagText([...flagsOf(old), ...named]);
  return flagText(flagsOf(old).filter((flag) => !named.includes(flag)));
}

export function withMailbox(truth: Truth, name: string, change: (box: TrueMailbox) => TrueMailbox | undefined): Truth {
  const result = new Map(truth);
  const changed = change(truth.get(name) ?? NEW_MAILBOX);
  if (changed === undefined) result.delete(name);
  else result.set(name, changed);
  return result;
}
export function withMessages(truth: Truth, name: string, change: (messages: readonly TrueMessage[]) => readonly TrueMessage[]): Truth {
  return withMailbox(truth, name, (box) => ({ ...box, messages: change(box.messages) }));
}

export function stored(truth: Truth, name: string, uids: ReadonlySet<number>, mode: '' | '+' | '-', named: readonly string[]): Truth {
  return withMessages(truth, name, (messages) =>
    messages.map((message) => {
      if (!uids.has(message.uid)) return message;
      const flags = changedFlags(message.flags, mode, named);
      return flags === message.flags ? message : { ...message, flags, modSeq: NOW };
    }),
  );
}
export function appended(truth: Truth, name: string, messages: readonly { readonly id: number; readonly flags: string }[]): Truth {
  return withMessages(truth, name, (old) => [...old, ...messages.map(({ id, flags }) => ({ uid: 0, id, flags, modSeq: NOW }))]);
}
export function expunged(truth: Truth, name: string, isGone: (message: TrueMessage) => boolean): Truth {
  return withMessages(truth, name, (messages) => messages.filter((message) => !isGone(message)));
}
export function copied(truth: Truth, from: string, uids: ReadonlySet<number>, to: string): Truth {
  const messages = truth.get(from)?.messages.filter(({ uid }) => uids.has(uid)) ?? [];
  return appended(truth, to, messages);
}
export function moved(truth: Truth, from: string, uids: ReadonlySet<number>, to: string): Truth {
  return expunged(copied(truth, from, uids, to), from, ({ uid }) => uids.has(uid));
}

/** Why `found` is not what was predicted; undefined when it is. Messages without a UID are new ones, in their order. */
export function difference(predicted: Truth, found: Truth): string | undefined {
  const names = (truth: Truth): string => [...truth.keys()].sort().join(' ');
  if (names(predicted) !== names(found)) return `mailboxes ${names(found)}, not ${names(predicted)}`;
  for (const [name, box] of predicted) {
    const actual = found.get(name);
    if (actual === undefined) return `no ${name}`;
    if (box.uidValidity !== 0 && box.uidValidity !== actual.uidValidity)
      return `${name}: UIDVALIDITY ${actual.uidValidity}, not ${box.uidValidity}`;
    if (actual.messages.length !== box.messages.length) return `${name}: ${show(actual.messages)}, not ${show(box.messages)}`;
    for (const [index, message] of box.messages.entries()) {
      const other = actual.messages[index];
      const isSame = other !== undefined && other.id === message.id && other.flags === message.flags;
      const isPlaced = other !== undefined && (message.uid === 0 ? other.uid >= box.uidNext : other.uid === message.uid);
      if (!isSame || !isPlaced) return `${name}: ${show(actual.messages)}, not ${show(box.messages)}`;
    }
  }
  return undefined;
}

/** Rules of MODSEQ and UIDNEXT from one moment to the next (RFC 7162 §3.1.1, RFC 9051 §2.3.1.1). @throws Error */
export function checkSuccession(before: Truth, after: Truth): void {
  for (const [name, now] of after) {
    const was = [...before.values()].find(({ uidValidity }) => uidValidity === now.uidValidity);
    const say = (what: string): Error => new Error(`${name}: ${what}`);
    let last = 0;
    for (const { uid, modSeq } of now.messages) {
      if (uid <= last) throw say(`UID ${uid} after ${last}`);
      if (uid >= now.uidNext) throw say(`UID ${uid} but UIDNEXT ${now.uidNext}`);
      if (modSeq > now.highestModSeq) throw say(`MODSEQ ${modSeq} of UID ${uid} but HIGHESTMODSEQ ${now.highestModSeq}`);
      last = uid;
    }
    if (was === undefined) continue;
    if (now.uidNext < was.uidNext) throw say(`UIDNEXT fell from ${was.uidNext} to ${now.uidNext}`);
    if (now.highestModSeq < was.highestModSeq) throw say(`HIGHESTMODSEQ fell from ${was.highestModSeq} to ${now.highestModSeq}`);
    const old = new Map(was.messages.map((message) => [message.uid, message]));
    let isChanged = now.messages.length !== was.messages.length;
    for (const message of now.messages) {
      const known = old.get(message.uid);
      if (known === undefined && message.uid < was.uidNext) throw say(`UID ${message.uid} came after UIDNEXT ${was.uidNext}`);
      const isTouched = known === undefined || known.flags !== message.flags;
      isChanged ||= isTouched;
      if (isTouched && message.modSeq <= was.highestModSeq)
        throw say(`UID ${message.uid} changed, but has MODSEQ ${message.modSeq} of ${was.highestModSeq} before`);
      if (!isTouched && message.modSeq !== known.modSeq && message.modSeq <= was.highestModSeq)
        throw say(`MODSEQ of UID ${message.uid} went to ${message.modSeq}`);
    }
    if (isChanged && now.highestModSeq <= was.highestModSeq) throw say(`changed, but HIGHESTMODSEQ is still ${now.highestModSeq}`);
  }
}

function show(messages: readonly TrueMessage[]): string {
  return `[${messages.map(({ uid, id, flags }) => `${uid === 0 ? 'new' : uid}=#${id}${flags === '' ? '' : `(${flags})`}`).join(' ')}]`;
}
