import { runsOf as uidRunsOf } from '../../mail/journal/uid-runs.ts';
import { THREAD_ALGORITHMS, type ThreadAlgorithm, threadMessages } from '../../mail/sorting/thread-messages.ts';
import { defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { threadProgram } from '../grammar/sort.ts';
import { asksModSeq, searchQuery } from '../search-query.ts';
import { threadLists } from '../thread-lists.ts';
import { TimeSlice } from '../time-slice.ts';
import { foundRows } from './sort.ts';

/** THREAD and UID THREAD: RFC 5256. */
export const thread = defineCommand({
  name: 'THREAD',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  capability: THREAD_ALGORITHMS.map((algorithm) => `THREAD=${algorithm}`),
  mayExpunge: false,
  args: args({ program: threadProgram }),

  async handle({ selected: view, session, signal, isUid, respond }, { program }) {
    const { access } = view;
    const { key } = program;
    const algorithm = knownAlgorithm(program.algorithm);
    if (asksModSeq(key)) session.enableCondstore();
    const query = searchQuery(key, view, session.env.now());
    const asked = { within: view.everything, signal, progress: session.progress };
    const uids = view.exists === 0 ? new Uint32Array(0) : await access.search(view.box, query, asked);
    if (uids.length === 0) {
      respond.untagged('THREAD');
      return;
    }
    await access.authorize(view.box, uidRunsOf(uids), 'content');
    const { rows, numbers } = foundRows(view, uids, isUid);
    const forest = await threadMessages({ content: access.content, log: session.env.log }, rows, algorithm, signal);
    const slice = new TimeSlice();
    session.progress?.hold();
    respond.lines('* THREAD ');
    for (const piece of threadLists(forest, numbers)) {
      respond.lines(piece);
      if (respond.isFull) await respond.drained();
      if (slice.isOver) await slice.pass();
    }
    respond.lines('\r\n');
  },
});

function knownAlgorithm(name: string): ThreadAlgorithm {
  const known = THREAD_ALGORITHMS.find((algorithm) => algorithm === name);
  if (known === undefined) throw new ImapBad('Thread algorithm is not supported');
  return known;
}
