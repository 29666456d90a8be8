/** What a session believes beside what is there. */
import { boxOf } from './commands.ts';
import { RuleBroken, type SessionView } from './session-view.ts';
import { hasFlag, type Truth } from './truth.ts';

/** After a command that tells everything the session knows what is there. @throws RuleBroken */
export function mustAgree(session: SessionView, truth: Truth): void {
  agreesOnOthers(session, truth);
  if (session.selected === undefined) return;
  const [name, box] = boxOf(truth, session);
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
function agreesOnOthers({ name: who, selected, toldStatus, notifies }: SessionView, truth: Truth): void {
  if (!notifies) return;
  for (const [name, box] of truth) {
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
