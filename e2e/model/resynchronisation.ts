/** RFC 7162 §3.2.5: what a client that was away must be told. */
import type { Snapshot } from './account-audit.ts';
import { type Answer, RuleBroken } from './session-view.ts';
import { flagText, type TrueMailbox } from './truth.ts';

/** `of`: all messages, or only those that the client named. @throws RuleBroken */
export function checkResynchronised(answer: Answer, box: TrueMailbox, from: Snapshot, of: 'all' | 'known'): void {
  const knownFlags = new Map(from.messages.map(({ uid, flags }) => [uid, flags]));
  for (const uid of answer.vanishedEarlier) {
    if (box.messages.some((message) => message.uid === uid)) throw new RuleBroken(`VANISHED (EARLIER) ${uid}, which is there`);
    knownFlags.delete(uid);
  }
  const isLimited = of === 'known';
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
}
