import { modSeqAtRow } from '../../mail/journal/layout.ts';
import { NO_UIDS, runsOf as uidRunsOf } from '../../mail/journal/uid-runs.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { searchProgram } from '../grammar/search.ts';
import type { SearchProgram, SearchReturn } from '../grammar/syntax-tree.ts';
import { numberSet, runsOf } from '../grammar/write.ts';
import { LineBytes } from '../line-bytes.ts';
import { saveResult } from '../message-limit.ts';
import { partOf } from '../partial.ts';
import { relevancyOf, requireFuzzy } from '../relevancy.ts';
import { asksModSeq, searchQuery } from '../search-query.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { TimeSlice } from '../time-slice.ts';

/** SEARCH and UID SEARCH: RFC 3501 §6.4.4, RFC 9051 §6.4.4, RFC 4731 (ESEARCH), RFC 5182 (SEARCHRES), RFC 5032, RFC 6203 (SEARCH=FUZZY), RFC 7162 §3.1.5, RFC 9394. */
export const search = defineCommand({
  name: 'SEARCH',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  capability: ['ESEARCH', 'SEARCHRES', 'WITHIN', 'PARTIAL', 'SEARCH=FUZZY'],
  mayExpunge: false,
  args: args({ program: searchProgram }),

  async handle(context, { program }) {
    const { selected: view, session, signal } = context;
    const { access } = view;
    const { returns, key } = program;
    if (program.charset !== undefined && session.names.utf8 && !session.isRev2)
      throw new ImapBad('CHARSET is not allowed after UTF8=ACCEPT');
    if (returns !== undefined && (returns.update || returns.context)) {
      throw new ImapBad('RETURN option is not supported');
    }
    if (returns?.relevancy === true) requireFuzzy(key);
    const withModSeq = asksModSeq(key);
    if (withModSeq) session.enableCondstore();
    const query = searchQuery(key, view, session.env.now());
    if (returns?.save === true) view.saved = NO_UIDS; // also when the search fails (RFC 5182 §2.1)
    const asked = { within: view.everything, signal, progress: session.progress };
    const uids = view.exists === 0 ? new Uint32Array(0) : await access.search(view.box, query, asked);
    const found = foundMessages(view, uids, { sequences: !context.isUid, modSeqs: withModSeq });
    const code = returns?.save === true ? saveResult(context, uidRunsOf(savedUids(returns, uids))) : undefined;
    const completion = code === undefined ? undefined : { code, text: 'SEARCH done, not all was saved' };
    if (returns !== undefined && savesOnly(returns)) return completion;
    const scores =
      returns?.relevancy === true
        ? await relevancyOf(query, uids, (asked, within) => access.search(view.box, asked, { within, signal }))
        : undefined;
    if (returns === undefined && !session.isRev2) {
      await respondNumbers(context, found.numbers, withModSeq ? highest(found.modSeqs) : undefined);
    } else await respondLong(context, esearchLine(context, program, { ...found, scores }, withModSeq));
    return completion;
  },
});

export type Shown = Pick<SearchReturn, 'min' | 'max' | 'all' | 'count' | 'partial'>;
const EVERYTHING: Shown = { min: false, max: false, all: true, count: false, partial: undefined };

interface Found {
  /** Sequence numbers or UIDs, rising. */
  readonly numbers: Uint32Array;
  readonly modSeqs: Float64Array;
  /** RELEVANCY (RFC 6203 §4), when asked for. */
  readonly scores?: Uint8Array | undefined;
}

/** The session knows all of them: the search was within its view, and who went meanwhile still has a row. */
function foundMessages(view: SelectedMailbox, uids: Uint32Array, needs: { readonly sequences: boolean; readonly modSeqs: boolean }): Found {
  if (!needs.sequences && !needs.modSeqs) return { numbers: uids, modSeqs: new Float64Array(0) };
  const numbers = new Uint32Array(uids.length);
  const modSeqs = new Float64Array(uids.length);
  let count = 0;
  view.visit(uidRunsOf(uids), (words, at, uid, sequence) => {
    numbers[count] = needs.sequences ? sequence : uid;
    modSeqs[count] = modSeqAtRow(words, at);
    count += 1;
  });
  return { numbers: numbers.subarray(0, count), modSeqs: modSeqs.subarray(0, count) };
}

function highest(modSeqs: Float64Array): number {
  let most = 0;
  for (const modSeq of modSeqs) if (modSeq > most) most = modSeq;
  return most;
}

/** RFC 5182 §2.1: SAVE and nothing else suppresses the ESEARCH response. */
export function savesOnly({ save, min, max, all, count, partial }: SearchReturn): boolean {
  return save && !min && !max && !all && !count && partial === undefined;
}

/** RFC 5182 §2.1: with MIN, MAX or PARTIAL and nothing else, only those are kept. */
export function savedUids({ min, max, all, count, partial }: SearchReturn, uids: Uint32Array): Uint32Array {
  if ((!min && !max && partial === undefined) || all || count || uids.length === 0) return uids;
  const part = partial === undefined ? [] : partOf(uids, partial);
  return Uint32Array.from([...(min ? uids.subarray(0, 1) : []), ...(max ? uids.subarray(-1) : []), ...part]);
}

function esearchLine({ tag, isUid }: CommandContext, { returns }: SearchProgram, found: Found, withModSeq: boolean): string {
  return `* ESEARCH (TAG "${tag}")${isUid ? ' UID' : ''}${esearchItems(returns, found, withModSeq)}\r\n`;
}

/** The items of an ESEARCH response, each with a space before it (RFC 4731 §3). */
export function esearchItems(returns: SearchReturn | undefined, { numbers, modSeqs, scores }: Found, withModSeq: boolean): string {
  const { min, max, all, count, partial } = returns ?? EVERYTHING;
  let line = '';
  if (numbers.length > 0) {
    if (min) line += ` MIN ${numbers[0] ?? 0}`;
    if (max) line += ` MAX ${numbers.at(-1) ?? 0}`;
    if (all) line += ` ALL ${numberSet(runsOf(numbers))}`;
  }
  if (partial !== undefined) line += ` PARTIAL (${partial.first}:${partial.last} ${numberSet(runsOf(partOf(numbers, partial))) || 'NIL'})`;
  if (count) line += ` COUNT ${numbers.length}`;
  if (scores !== undefined && numbers.length > 0 && (all || partial !== undefined))
    line += ` RELEVANCY (${(partial === undefined ? scores : partOf(scores, partial)).join(' ')})`;
  if (withModSeq && numbers.length > 0) line += ` MODSEQ ${highest(shownModSeqs(modSeqs, returns ?? EVERYTHING))}`;
  return line;
}

/** RFC 7162 §3.1.10: of the messages that the answer names. */
function shownModSeqs(modSeqs: Float64Array, { min, max, all, count, partial }: Shown): Float64Array {
  if (all || count || (!min && !max && partial === undefined)) return modSeqs;
  const part = partial === undefined ? [] : partOf(modSeqs, partial);
  return Float64Array.from([...(min ? modSeqs.subarray(0, 1) : []), ...(max ? modSeqs.subarray(-1) : []), ...part]);
}

/** `* SEARCH` with its numbers, some thousands at a time. MODSEQ (RFC 7162 §3.1.5) is not said of none. */
async function respondNumbers({ respond, session }: CommandContext, numbers: Uint32Array, modSeq: number | undefined): Promise<void> {
  const STEP = 4_096;
  const line = new LineBytes(respond);
  const slice = new TimeSlice();
  session.progress?.hold();
  line.text('* SEARCH');
  for (let at = 0; at < numbers.length; at++) {
    line.text(' ');
    line.number(numbers[at] as number);
    if (at % STEP !== STEP - 1) continue;
    if (respond.isFull) await respond.drained();
    if (slice.isOver) await slice.pass();
  }
  if (modSeq !== undefined && numbers.length > 0) line.text(` (MODSEQ ${modSeq})`);
  line.text('\r\n');
  line.flush();
  session.progress?.release();
}

/** Text of 64 KiB at a time: an answer of a million numbers is several megabytes. */
export async function respondLong({ respond, session }: CommandContext, text: string): Promise<void> {
  const STEP = 65_536;
  if (text.length <= STEP) {
    respond.lines(text);
    return;
  }
  session.progress?.hold();
  for (let start = 0; start < text.length; start += STEP) {
    respond.lines(text.slice(start, start + STEP));
    if (respond.isFull) await respond.drained();
  }
  session.progress?.release();
}
