import { intersectUids, NO_UIDS } from '../../mail/journal/uid-runs.ts';
import { mailboxIdText } from '../../mail/sdk-values.ts';
import { type Command, type CommandContext, type Completion, defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { rowPlan } from '../fetch/fetch-plan.ts';
import { FetchRun } from '../fetch/fetch-run.ts';
import { args, optionalList } from '../grammar/args.ts';
import { selectParameters } from '../grammar/mailbox-arguments.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import type { QresyncParameter, SelectParameters } from '../grammar/syntax-tree.ts';
import { mailbox } from '../grammar/write.ts';
import { mayChange } from '../guest-view.ts';
import { findMailbox, idIn, nameIn } from '../mailboxes.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { knownUids, vanishedSince, writeVanishedEarlier } from '../vanished.ts';

interface SelectArguments {
  readonly name: string;
  readonly parameters: SelectParameters | undefined;
}

const selectArguments = args({ name: mailboxName, parameters: optionalList(selectParameters) });

async function open(context: CommandContext, { name, parameters }: SelectArguments, mode: 'read-write' | 'read-only'): Promise<Completion> {
  const { session, respond } = context;
  const qresync = parameters?.qresync;
  if (qresync !== undefined && !session.isQresync) throw new ImapBad('QRESYNC is not enabled');
  if (qresync?.sequenceMatch !== undefined && session.isUidOnly)
    throw new ImapBad('Message numbers are not allowed after UIDONLY', 'UIDREQUIRED');
  if (session.selected !== undefined) {
    session.deselect(); // whatever comes of the new one (RFC 9051 §6.3.2)
    respond.ok('CLOSED', 'The previous mailbox is closed');
  }
  const { access, info: box } = await findMailbox(session, name, 'r');
  if (parameters?.condstore === true) session.enableCondstore();
  const view = await session.select(access, box.id, mayChange(access, box.id) ? mode : 'read-only');
  const { info } = view;
  view.tellFlags(respond);
  respond.untagged(`${view.exists} EXISTS`);
  if (!session.isRev2) {
    respond.untagged(`${view.recent} RECENT`);
    const unseen = session.isUidOnly ? undefined : view.firstUnseen(); // a sequence number
    if (unseen !== undefined) respond.ok(`UNSEEN ${unseen}`, 'First unseen message');
  }
  respond.ok(`UIDVALIDITY ${info.uidValidity}`, 'UIDs are valid');
  respond.ok(`UIDNEXT ${info.uidNext}`, 'Next UID');
  respond.ok(`HIGHESTMODSEQ ${info.highestModSeq}`, 'Highest mod-sequence');
  respond.ok(`MAILBOXID (${idIn(access, mailboxIdText(info.id))})`, 'Mailbox id');
  if (session.isRev2) respond.untagged(`LIST () "/" ${mailbox(nameIn(access, info.name), session.names)}`);
  if (qresync !== undefined) await resynchronise(context, view, qresync);
  if (mode === 'read-only') return { code: 'READ-ONLY', text: 'Mailbox examined' };
  return view.isReadOnly ? { code: 'READ-ONLY', text: 'Mailbox selected' } : { code: 'READ-WRITE', text: 'Mailbox selected' };
}

/** What the client has missed: expunges first, then flags and new messages (RFC 7162 §3.2.5.1). */
async function resynchronise(context: CommandContext, view: SelectedMailbox, qresync: QresyncParameter): Promise<void> {
  const { session } = context;
  const { uidValidity, modSeq, sequenceMatch: match } = qresync;
  if (uidValidity !== view.info.uidValidity || modSeq >= view.info.highestModSeq) return;
  const known = knownUids(view, qresync.knownUids);
  await writeVanishedEarlier(context, await vanishedSince(view, modSeq, known, { match, signal: context.signal }));
  const changed = intersectUids(view.state.changedSince(modSeq), known);
  if (changed.length === 0) return;
  const shownUpTo = view.info.highestModSeq;
  await new FetchRun(context, view, rowPlan(session.isUidOnly ? ['FLAGS', 'MODSEQ'] : ['UID', 'FLAGS', 'MODSEQ']), {
    changedSince: modSeq,
    seenNow: NO_UIDS,
  }).run(changed);
  view.markShown(changed, shownUpTo);
}

/** SELECT: RFC 3501 §6.3.1, RFC 9051 §6.3.2, RFC 7162 §3.1.2 and §3.2.5, RFC 8474 §4.2. */
export const select: Command<SelectArguments> = defineCommand({
  name: 'SELECT',
  states: ['authenticated'],
  capability: 'QRESYNC',
  looksAnew: true,
  mayExpunge: true,
  args: selectArguments,
  handle: (context, parameters) => open(context, parameters, 'read-write'),
});

/** EXAMINE: RFC 9051 §6.3.3. */
export const examine: Command<SelectArguments> = defineCommand({
  name: 'EXAMINE',
  states: ['authenticated'],
  looksAnew: true,
  mayExpunge: true,
  args: selectArguments,
  handle: (context, parameters) => open(context, parameters, 'read-only'),
});
