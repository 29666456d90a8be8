import { modSeqAtRow } from '../../mail/journal/layout.ts';
import { NO_UIDS, runsOf as uidRunsOf } from '../../mail/journal/uid-runs.ts';
import { MessageRows } from '../../mail/sorting/message-rows.ts';
import { sortMessages, sortsByContent } from '../../mail/sorting/sort-messages.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { sortProgram } from '../grammar/sort.ts';
import type { SearchReturn, SortCriterion } from '../grammar/syntax-tree.ts';
import { numberSet, runsOf } from '../grammar/write.ts';
import { saveResult } from '../message-limit.ts';
import { partOf } from '../partial.ts';
import { relevancyOf, requireFuzzy } from '../relevancy.ts';
import { asksModSeq, searchQuery } from '../search-query.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { respondLong, savesOnly } from './search.ts';

/** SORT and UID SORT: RFC 5256, RFC 5957 (SORT=DISPLAY), RFC 5267 §3 (ESORT), RFC 6203 §5 (RELEVANCY), RFC 7162 §3.1.6. */
export const sort = defineCommand({
  name: 'SORT',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  capability: ['SORT', 'SORT=DISPLAY', 'ESORT'],
  mayExpunge: false,
  args: args({ program: sortProgram }),

  async handle(context, { program }) {
    const { selected: view, session, signal } = context;
    const { access } = view;
    const { returns, key } = program;
    const { criteria } = program;
    const wantsScores = returns?.relevancy === true || criteria.some((criterion: SortCriterion) => criterion.key === 'RELEVANCY');
    if (wantsScores) requireFuzzy(key);
    if (returns !== undefined && (returns.update || returns.context)) throw new ImapBad('RETURN option is not supported');
    const withModSeq = asksModSeq(key);
    if (withModSeq) session.enableCondstore();
    const query = searchQuery(key, view, session.env.now());
    if (returns?.save === true) view.saved = NO_UIDS; // also when the search fails (RFC 5182 §2.1)
    const asked = { within: view.everything, signal, progress: session.progress };
    const uids = view.exists === 0 ? new Uint32Array(0) : await access.search(view.box, query, asked);
    if (uids.length > 0 && sortsByContent(criteria)) await access.authorize(view.box, uidRunsOf(uids), 'content');
    const found = foundRows(view, uids, context.isUid);
    const scores = wantsScores
      ? await relevancyOf(query, found.rows.uids.subarray(0, found.rows.count), (asked, within) =>
          access.search(view.box, asked, { within, signal }),
        )
      : undefined;
    found.rows.irrelevance = scores?.map((score) => 100 - score);
    const order = await sortMessages({ content: access.content, log: session.env.log }, found.rows, criteria, signal);
    const saved = returns?.save === true ? savedOf(returns, order).map((index) => found.rows.uids[index] as number) : undefined;
    const code = saved === undefined ? undefined : saveResult(context, uidRunsOf(saved));
    const completion = code === undefined ? undefined : { code, text: 'SORT done, not all was saved' };
    if (returns !== undefined && savesOnly(returns)) return completion;
    await respondLong(
      context,
      returns === undefined ? sortLine(found, order, withModSeq) : esortLine(context, returns, found, order, withModSeq, scores),
    );
    return completion;
  },
});

export interface FoundRows {
  readonly rows: MessageRows;
  /** By row: sequence number or UID, rising. The session's sequence numbers do not change while a command runs. */
  readonly numbers: Uint32Array;
  readonly modSeqs: Float64Array;
}

/** The session knows all of them: the search was within its view, and who went meanwhile still has a row. */
export function foundRows(view: SelectedMailbox, uids: Uint32Array, isUid: boolean): FoundRows {
  const rows = new MessageRows(uids.length);
  const numbers = new Uint32Array(uids.length);
  const modSeqs = new Float64Array(uids.length);
  view.visit(uidRunsOf(uids), (words, at, uid, sequence) => {
    numbers[rows.count] = isUid ? uid : sequence;
    modSeqs[rows.count] = modSeqAtRow(words, at);
    rows.push(words, at, uid);
    return undefined;
  });
  return { rows, numbers: numbers.subarray(0, rows.count), modSeqs: modSeqs.subarray(0, rows.count) };
}

function sortLine({ numbers, modSeqs }: FoundRows, order: Uint32Array, withModSeq: boolean): string {
  if (order.length === 0) return '* SORT\r\n';
  const sorted = order.map((index) => numbers[index] as number);
  return `* SORT ${sorted.join(' ')}${withModSeq ? highestModSeq(modSeqs, order) : ''}\r\n`;
}

/** With MIN, MAX or PARTIAL and nothing else, only those are kept (RFC 5182 §2.1); lowest and highest are those of the order (RFC 5267 §3.2). */
function savedOf({ min, max, all, count, partial }: SearchReturn, order: Uint32Array): Uint32Array {
  if ((!min && !max && partial === undefined) || all || count || order.length === 0) return order;
  const part = partial === undefined ? [] : partOf(order, partial);
  return Uint32Array.from([...(min ? order.subarray(0, 1) : []), ...(max ? order.subarray(-1) : []), ...part]);
}

/** RFC 5267 §3: as ESEARCH, in the order of the criteria. */
function esortLine(
  { tag, isUid }: CommandContext,
  returns: SearchReturn,
  { numbers, modSeqs }: FoundRows,
  order: Uint32Array,
  withModSeq: boolean,
  scores: Uint8Array | undefined,
): string {
  const { min, max, all, count, partial } = returns;
  const sorted = order.map((index) => numbers[index] as number);
  let line = `* ESEARCH (TAG "${tag}")${isUid ? ' UID' : ''}`;
  if (sorted.length > 0) {
    if (min) line += ` MIN ${sorted[0] ?? 0}`;
    if (max) line += ` MAX ${sorted.at(-1) ?? 0}`;
    if (all) line += ` ALL ${numberSet(runsOf(sorted))}`;
  }
  if (partial !== undefined) line += ` PARTIAL (${partial.first}:${partial.last} ${numberSet(runsOf(partOf(sorted, partial))) || 'NIL'})`;
  if (count) line += ` COUNT ${sorted.length}`;
  if (returns.relevancy && scores !== undefined && order.length > 0 && (all || partial !== undefined))
    line += ` RELEVANCY (${Array.from(partial === undefined ? order : partOf(order, partial), (index) => scores[index] ?? 1).join(' ')})`;
  if (withModSeq && sorted.length > 0) line += highestModSeq(modSeqs, savedOf(returns, order)).replace(/[()]/g, '');
  return `${line}\r\n`;
}

/** RFC 7162 §3.1.6: of the messages that the answer names. */
function highestModSeq(modSeqs: Float64Array, shown: Uint32Array): string {
  let most = 0;
  for (const index of shown) most = Math.max(most, modSeqs[index] as number);
  return ` (MODSEQ ${most})`;
}
