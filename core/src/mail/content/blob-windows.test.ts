import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { BlobId } from '../../store/store.ts';
import { BlobWindows, type WindowedBlob } from './blob-windows.ts';

const OCTETS = randomBytes(2_000_000);
const PIECE = 49_152;

interface Counted extends WindowedBlob {
  readonly reads: (readonly [from: number, to: number])[];
  fails: boolean;
}

function blob(name: string): Counted {
  const buffer = Buffer.alloc(65_536);
  const counted: Counted = {
    id: name as BlobId,
    octets: OCTETS.length,
    reads: [],
    fails: false,
    async *read(from, to) {
      counted.reads.push([from, to]);
      if (counted.fails) throw new Error('the disk is broken');
      for (let at = from; at < to; at += buffer.length) {
        const count = Math.min(buffer.length, to - at);
        OCTETS.copy(buffer, 0, at, at + count);
        yield buffer.subarray(0, count);
      }
    },
  };
  return counted;
}

async function piece(windows: BlobWindows, from: WindowedBlob, start: number): Promise<'there' | 'read'> {
  const end = Math.min(start + PIECE, OCTETS.length);
  const there = windows.peek(from, start, end);
  const pieces: Uint8Array[] = [...(there ?? [])];
  if (there === undefined) for await (const chunk of windows.read(from, start, end)) pieces.push(Uint8Array.from(chunk));
  assert.ok(Buffer.concat(pieces).equals(OCTETS.subarray(start, end)), `octets from ${start}`);
  return there === undefined ? 'read' : 'there';
}

/** Lets what is read ahead come in. */
async function turns(): Promise<void> {
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
}

test('a failed read ahead is the trouble of who needs the octets, and is tried again', async () => {
  const windows = new BlobWindows();
  const source = blob('a');
  await piece(windows, source, 0);
  await piece(windows, source, PIECE);
  source.fails = true;
  assert.equal(await piece(windows, source, 2 * PIECE), 'there'); // begins to read the next window, which fails
  await turns();
  await assert.rejects(async () => {
    for await (const chunk of windows.read(source, 466_944, 466_944 + PIECE)) assert.ok(chunk.length > 0);
  }, /the disk is broken/);
  source.fails = false;
  assert.equal(await piece(windows, source, 466_944 + PIECE), 'read');
});

test('one piece, or pieces here and there, read no octet more than they are', async () => {
  const windows = new BlobWindows();
  const source = blob('a');
  const starts = [700_000, 0, 1_500_000, 200_000];
  for (const start of starts) assert.equal(await piece(windows, source, start), 'read');
  assert.deepEqual(
    source.reads,
    starts.map((start) => [start, start + PIECE]),
  );
});

test('pieces from start to end are read once, nearly all of them before they are asked for', async () => {
  const windows = new BlobWindows();
  const source = blob('a');
  let there = 0;
  let pieces = 0;
  for (let at = 0; at < OCTETS.length; at += PIECE, pieces++) {
    if ((await piece(windows, source, at)) === 'there') there += 1;
    await turns();
  }
  assert.ok(there >= pieces - 2, `${there} of ${pieces}`);
  const octets = source.reads.reduce((sum, [from, to]) => sum + to - from, 0);
  assert.ok(octets <= OCTETS.length + PIECE, `${octets} octets read`);
});

test('with more readers than windows each gets its own octets, and none reads a window for each piece', async () => {
  let now = 0;
  const windows = new BlobWindows({ windows: 2, now: () => now });
  const sources = ['a', 'b', 'c', 'd'].map(blob);
  for (let at = 0; at < OCTETS.length; at += PIECE) {
    await Promise.all(sources.map((source) => piece(windows, source, at)));
    now += 10;
  }
  for (const { reads } of sources) {
    const octets = reads.reduce((sum, [from, to]) => sum + to - from, 0);
    assert.ok(octets < 2 * OCTETS.length, `${octets} octets read`);
  }
  now += 5_000; // nobody needs the old ones any more
  const late = blob('e');
  await piece(windows, late, 0);
  await piece(windows, late, PIECE);
  assert.equal(await piece(windows, late, 2 * PIECE), 'there');
});
