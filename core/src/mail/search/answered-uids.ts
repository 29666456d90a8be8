import type { Uid, UidRanges } from '@pochard/plugin-sdk';
import type { UidRuns } from '../journal/entry.ts';

/** A key of a query that stands for what an index has answered: true for these UIDs. Answers may have a run a message, so there is no object for each. */
export class AnsweredUids {
  readonly op = 'uid';
  readonly runs: UidRuns;

  constructor(runs: UidRuns) {
    this.runs = runs;
  }

  /** As every other key of UIDs has them. */
  get in(): UidRanges {
    const ranges: (readonly [Uid, Uid])[] = [];
    for (let at = 0; at + 1 < this.runs.length; at += 2) ranges.push([this.runs[at] as Uid, this.runs[at + 1] as Uid]);
    return ranges;
  }
}
