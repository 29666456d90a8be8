/** Entry of the search thread: makes and merges segments, so that neither decoding nor sorting ever takes the protocol thread's time. */
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { Document, OpaqueDocument } from './document.ts';
import { SegmentBuilder } from './segment-builder.ts';
import { DamagedInput, type MergeInput, mergeSegments } from './segment-merger.ts';

export type IndexRequest =
  /** Begins anew. Answers the builder's size. */
  | { readonly do: 'begin' }
  | { readonly do: 'add'; readonly documents: readonly (Document | OpaqueDocument)[] }
  /** Answer pieces. */
  | { readonly do: 'finish' }
  | { readonly do: 'merge'; readonly inputs: readonly MergeInput[] };
export interface NumberedRequest {
  readonly number: number;
  readonly request: IndexRequest;
}
export type IndexReply =
  | { readonly number: number; readonly size: number }
  | { readonly number: number; readonly pieces: readonly Uint8Array<ArrayBuffer>[] }
  /** `input`: of a merge, the one that is damaged. */
  | { readonly number: number; readonly error: string; readonly input?: number };

const port = parentPort;
if (port === null) throw new Error('the search thread runs in a worker');
// There a priority belongs to a thread, elsewhere to the whole process.
if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
const builder = new SegmentBuilder();

function answer(request: IndexRequest): number | readonly Uint8Array<ArrayBuffer>[] {
  switch (request.do) {
    case 'begin':
      builder.reset();
      return 0;
    case 'add':
      for (const document of request.documents) builder.add(document);
      return builder.size;
    case 'finish':
      return builder.finish();
    case 'merge':
      return mergeSegments(request.inputs);
  }
}

port.on('message', ({ number, request }: NumberedRequest) => {
  try {
    const result = answer(request);
    if (typeof result === 'number') port.postMessage({ number, size: result } satisfies IndexReply);
    else
      port.postMessage(
        { number, pieces: result } satisfies IndexReply,
        result.map(({ buffer }) => buffer),
      );
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const input = error instanceof DamagedInput ? { input: error.input } : {};
    port.postMessage({ number, error: text, ...input } satisfies IndexReply);
  }
});
