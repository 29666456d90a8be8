import type { SearchQuery } from '@pochard/plugin-sdk';
import { MailError } from '../../mail/errors.ts';
import type { UidRuns } from '../../mail/journal/entry.ts';
import { modSeqAtRow } from '../../mail/journal/layout.ts';
import { NO_UIDS, runOf, runsOf as uidRunsOf } from '../../mail/journal/uid-runs.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';
import type { MailboxFilter } from '../grammar/mailbox-filter.ts';
import { type MultisearchRequest, multisearchRequest } from '../grammar/multisearch.ts';
import { resolveSet } from '../grammar/sequence-set.ts';
import type { SearchProgram } from '../grammar/syntax-tree.ts';
import { mailbox } from '../grammar/write.ts';
import { mayIn } from '../guest-view.ts';
import { nameFilter } from '../mailbox-filters.ts';
import { type Found, nameIn, ownIdIn } from '../mailboxes.ts';
import { saveResult } from '../message-limit.ts';
import { othersMeant } from '../others-listing.ts';
import { relevancyOf, requireFuzzy } from '../relevancy.ts';
import { asksModSeq, asksNumbers, type SearchView, searchQuery } from '../search-query.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { esearchItems, respondLong, savedUids } from './search.ts';

/**
 * ESEARCH: RFC 7377 (MULTISEARCH). One response for each mailbox that has something, always with UIDs. Mailboxes that cannot be selected,
 * or go while the search runs, have nothing.
 */
export const multisearch = defineCommand({
  name: 'ESEARCH',
  tellsProgress: true,
  states: ['authenticated'],
  capability: 'MULTISEARCH',
  mayExpunge: true, // it answers with UIDs
  args: args({ request: multisearchRequest }),

  async handle(context, { request: { sources, program } }: { readonly request: MultisearchRequest }) {
    const { session } = context;
    const { returns, key, charset } = program;
    if (charset !== undefined && session.names.utf8 && !session.isRev2) throw new ImapBad('CHARSET is not allowed after UTF8=ACCEPT');
    if (returns !== undefined && (returns.update || returns.context)) throw new ImapBad('RETURN option is not supported');
    if (returns?.relevancy === true) requireFuzzy(key);
    const view = session.selected;
    const isSelectedOnly = sources === undefined || sources.every(({ kind }) => kind === 'SELECTED');
    if (view === undefined && (sources === undefined || sources.some(({ kind }) => kind === 'SELECTED')))
      throw new ImapBad('No mailbox selected');
    if (!isSelectedOnly && asksNumbers(key)) throw new ImapBad('Message numbers are of the selected mailbox only');
    if (!isSelectedOnly && returns?.save === true) throw new ImapBad('SAVE is for the selected mailbox only');
    if (asksModSeq(key)) session.enableCondstore();
    if (returns?.save === true && view !== undefined) view.saved = NO_UIDS;
    for (const found of await mailboxesOf(context, sources)) {
      if (view !== undefined && isSelected(view, found)) await searchSelected(context, program, view);
      else await searchOther(context, program, found);
    }
  },
});

function isSelected(view: SelectedMailbox, { access, info }: Found): boolean {
  return view.access.mail.account === access.mail.account && view.box === info.id;
}

async function mailboxesOf({ access, session }: CommandContext, sources: readonly MailboxFilter[] | undefined): Promise<readonly Found[]> {
  const world = { access, isRouted: session.env.hooks.has('delivery.route') };
  const filters = sources?.map((source) => nameFilter(source, world)) ?? [];
  const view = session.selected;
  const found = new Map<string, Found>();
  if (view !== undefined && (sources === undefined || sources.some(({ kind }) => kind === 'SELECTED')))
    found.set(nameIn(view.access, view.info.name), view);
  for (const info of access.mail.mailboxes())
    if (info.selectable && filters.some((matches) => matches(info.name))) found.set(info.name, { access, info });
  if (session.login === undefined) throw new ImapBad('Log in first');
  for (const [name, other] of await othersMeant(session, session.login.access, sources ?? []))
    if (other.info.selectable && mayIn(other.access, other.info.id, 'r')) found.set(name, other);
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** What the session knows of it, neither more nor less. */
async function searchSelected(context: CommandContext, program: SearchProgram, view: SelectedMailbox): Promise<void> {
  const { session, signal } = context;
  const { access } = view;
  const { returns, key } = program;
  const query = searchQuery(key, view, session.env.now());
  if (view.exists === 0) return;
  const uids = await access.search(view.box, query, { within: view.everything, signal });
  const code = returns?.save === true ? saveResult(context, uidRunsOf(savedUids(returns, uids))) : undefined;
  if (code !== undefined) context.respond.ok(code, 'Not all was saved');
  const modSeqs = new Float64Array(uids.length);
  let count = 0;
  view.visit(uidRunsOf(uids), (words, at) => {
    modSeqs[count++] = modSeqAtRow(words, at);
    return true;
  });
  await answer(context, program, view, query, uids, modSeqs);
}

async function searchOther(context: CommandContext, program: SearchProgram, found: Found): Promise<void> {
  const { session, signal } = context;
  const { access, info } = found;
  if (info.messages === 0) return;
  try {
    const { uidNext, recentFrom } = info;
    const within = runOf(1, uidNext - 1);
    const lastUid = (await access.mail.state(info.id)).uidAt(info.messages);
    const meaning: SearchView = {
      resolveLoosely: (set): UidRuns => resolveSet(set, lastUid),
      ownEmailId: (id) => ownIdIn(access, id),
      recentUids: () => (recentFrom < uidNext ? runOf(recentFrom, uidNext - 1) : NO_UIDS),
    };
    const query = searchQuery(program.key, meaning, session.env.now());
    const uids = await access.search(info.id, query, { within, signal });
    if (uids.length === 0) return;
    const state = await access.mail.state(info.id);
    const living = new Uint32Array(uids.length);
    const modSeqs = new Float64Array(uids.length);
    let count = 0;
    state.visit(uidRunsOf(uids), (words, at, uid) => {
      living[count] = uid;
      modSeqs[count++] = modSeqAtRow(words, at);
      return true;
    });
    await answer(context, program, found, query, living.subarray(0, count), modSeqs.subarray(0, count));
  } catch (error) {
    if (!(error instanceof MailError) || (error.code !== 'no-such-mailbox' && error.code !== 'not-selectable')) throw error;
  }
}

async function answer(
  context: CommandContext,
  { returns, key }: SearchProgram,
  { access, info }: Found,
  query: SearchQuery,
  numbers: Uint32Array,
  modSeqs: Float64Array,
): Promise<void> {
  if (numbers.length === 0) return;
  const { signal } = context;
  const scores =
    returns?.relevancy === true
      ? await relevancyOf(query, numbers, (asked, within) => access.search(info.id, asked, { within, signal }))
      : undefined;
  const items = esearchItems(returns, { numbers, modSeqs, scores }, asksModSeq(key));
  if (items === '') return; // SAVE alone
  const { tag, session, respond } = context;
  const name = mailbox(nameIn(access, info.name), session.names);
  await respondLong(context, `* ESEARCH (TAG "${tag}" MAILBOX ${name} UIDVALIDITY ${info.uidValidity}) UID${items}\r\n`);
  if (respond.isFull) await respond.drained();
}
