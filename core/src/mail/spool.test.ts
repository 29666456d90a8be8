import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { collect } from './mail-test-host.ts';
import type { MessageSource } from './services.ts';
import { MEMORY_OCTETS, openSpool, type SpoolOptions } from './spool.ts';

const never = new AbortController().signal;
/** So little that what is no small message goes into a file. */
const LITTLE = { memoryBudgetOctets: 1024 * 1024 };
const noLimit = { limitOctets: Number.MAX_SAFE_INTEGER, signal: never };

async function folder(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'spool-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
async function spoolIn(t: TestContext, options: Partial<SpoolOptions> = {}) {
  return openSpool({ directory: await folder(t), ...options });
}
async function* pieces(text: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
}
async function octets(source: MessageSource, range?: { readonly start: number; readonly end: number }): Promise<Buffer> {
  return collect(source.open(range));
}
function lines(count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, n) => `line ${n} of a message that goes on and on\r\n`).join(''));
}

test('a message over the limit is refused before the rest of it is read', async (t) => {
  const spool = await spoolIn(t);
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 1000;
      yield Buffer.alloc(1000, 'a');
    }
  }
  await assert.rejects(spool.receive(endless(), { limitOctets: 5000, signal: never }), { code: 'too-big' });
  assert.equal(given, 6000);
});

test('a full disk is a temporary failure, and the file is closed', async (t) => {
  let closed = 0;
  const spool = await spoolIn(t, {
    ...LITTLE,
    async openFile() {
      return {
        write: () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
        read: () => Promise.reject(new Error('not reached')),
        close: async () => {
          closed += 1;
        },
      };
    },
  });
  await assert.rejects(spool.receive(pieces(lines(100_000), 8192), noLimit), { code: 'unavailable' });
  assert.equal(closed, 1);
});

test('an aborted receive rejects and leaves nothing', async (t) => {
  const directory = await folder(t);
  const spool = await openSpool({ directory, ...LITTLE });
  const abort = new AbortController();
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield* pieces(lines(20_000), 8192);
    abort.abort(new Error('client has gone'));
    yield Buffer.from('more');
  }
  await assert.rejects(spool.receive(broken(), { limitOctets: 1e9, signal: abort.signal }), /client has gone/);
  assert.deepEqual(await readdir(directory), []);
});

test('bare LF becomes CRLF once, wherever the stream is cut', async (t) => {
  const spool = await spoolIn(t);
  for (const size of [1, 2, 3, 100]) {
    const source = await spool.receive(pieces(Buffer.from('a: b\n\r\nx\ny\r\nz\r'), size), noLimit);
    assert.equal(source.bytes && Buffer.from(source.bytes).toString(), 'a: b\r\n\r\nx\r\ny\r\nz\r');
    assert.equal(source.sizeOctets, 16);
  }
});

test('small messages lie in memory, big ones in a file that shows nothing of the message', async (t) => {
  const directory = await folder(t);
  let path = '';
  const spool = await openSpool({
    directory,
    ...LITTLE,
    async openFile(name) {
      path = name;
      return open(name, 'wx+', 0o600); // linked, so that the test can look inside
    },
  });
  const small = await spool.receive(pieces(Buffer.alloc(MEMORY_OCTETS, 'a'), 60_000), noLimit);
  assert.equal(small.bytes?.length, MEMORY_OCTETS);
  const text = lines(60_000);
  const big = await spool.receive(pieces(text, 10_007), noLimit);
  assert(big.bytes === undefined);
  assert.equal(big.sizeOctets, text.length);
  const stored = await readFile(path);
  assert.equal(stored.length, text.length);
  assert.equal(stored.includes('message'), false);
  assert.deepEqual(await octets(big), text);
  await unlink(path);
  await big.dispose();
  await big.dispose(); // harmless
  await assert.rejects(octets(big), /disposed/);
});

for (const [where, options] of [
  ['in a file', LITTLE],
  ['in memory', {}],
] as const) {
  test(`any range of a big message ${where} can be read, several at once`, async (t) => {
    const spool = await spoolIn(t, options);
    const text = lines(60_000);
    const source = await spool.receive(pieces(text, 65_536), noLimit);
    assert(source.bytes === undefined);
    const ranges = [
      [0, 1],
      [15, 17],
      [16, 32],
      [65_535, 65_537],
      [100_001, 400_003],
      [text.length - 5, text.length],
      [text.length - 5, text.length + 100],
      [7, 7],
    ] as const;
    await Promise.all(
      ranges.map(async ([start, end]) => assert.deepEqual(await octets(source, { start, end }), text.subarray(start, end))),
    );
    await source.dispose();
    await source.dispose(); // harmless
    await assert.rejects(octets(source), /disposed/);
  });
}

test('big messages in memory give their room back, and take no more than half of it', async (t) => {
  const opened: string[] = [];
  const spool = await spoolIn(t, {
    memoryBudgetOctets: 12_000_000,
    openFile(name) {
      opened.push(name);
      return open(name, 'wx+', 0o600);
    },
  });
  const text = lines(80_000);
  const first = await spool.receive(pieces(text, 65_536), noLimit);
  assert.equal(opened.length, 0);
  const second = await spool.receive(pieces(text, 65_536), noLimit);
  assert.equal(opened.length, 1);
  assert.deepEqual(await octets(second), text);
  await first.dispose();
  const third = await spool.receive(pieces(text, 65_536), noLimit);
  assert.equal(opened.length, 1);
  await Promise.all([second.dispose(), third.dispose()]);
});

test('what was kept of a big message in memory stays what it was when its memory is used again', async (t) => {
  const spool = await spoolIn(t);
  const text = lines(80_000);
  const first = await spool.receive(pieces(text, 65_536), noLimit);
  const kept: Uint8Array[] = [];
  for await (const chunk of first.open()) kept.push(chunk);
  const lent: Buffer[] = [];
  const late = first.open(undefined, { lends: true });
  for await (const chunk of late) {
    if (lent.length === 0) await first.dispose(); // with a reader in the middle of it
    lent.push(Buffer.from(chunk));
  }
  const second = await spool.receive(pieces(Buffer.alloc(text.length, 'x'), 65_536), noLimit);
  assert.ok(Buffer.concat(kept).equals(text));
  assert.ok(Buffer.concat(lent).equals(text));
  await second.dispose();
  const third = await spool.receive(pieces(text, 7_001), noLimit); // in the blocks of the second
  assert.ok((await octets(third)).equals(text));
  await third.dispose();
});

test('when the memory for all messages is used up, small ones go to disk too', async (t) => {
  const spool = await spoolIn(t, { memoryBudgetOctets: 100_000 });
  const text = lines(2000);
  const first = await spool.receive(pieces(text, 5000), noLimit);
  const second = await spool.receive(pieces(text, 5000), noLimit);
  assert.notEqual(first.bytes, undefined);
  assert(second.bytes === undefined);
  assert.deepEqual(await octets(second), text);
  await first.dispose();
  const third = await spool.receive(pieces(text, 5000), noLimit);
  assert.notEqual(third.bytes, undefined);
  await Promise.all([second.dispose(), third.dispose()]);
});

test('a small message that is there is held at once, its line ends mended, while memory has room', async (t) => {
  const spool = await spoolIn(t, { memoryBudgetOctets: 100 });
  const held = spool.hold([Buffer.from('a\nb'), Buffer.from('\r\nc\n')], 7);
  assert.equal(Buffer.from(held?.bytes ?? []).toString(), 'a\r\nb\r\nc\r\n');
  assert.equal(spool.hold([Buffer.alloc(92)], 92), undefined);
  await held?.dispose();
  assert.equal(spool.hold([Buffer.alloc(92)], 92)?.sizeOctets, 92);
});

test('what a process that died left is removed at the next start', async (t) => {
  const directory = await folder(t);
  await writeFile(join(directory, 'ab12.spool'), 'noise');
  await openSpool({ directory });
  assert.deepEqual(await readdir(directory), []);
});

test('50 messages of 10 MB at once stay within a fixed memory', async (t) => {
  const spool = await spoolIn(t);
  const block = lines(1500).subarray(0, 64 * 1024);
  const digest = createHash('sha256');
  for (let n = 0; n < 160; n += 1) digest.update(block);
  const expected = digest.digest('hex');
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 160; n += 1) yield Buffer.from(block);
  }
  const before = process.memoryUsage().rss;
  const sources = await Promise.all(Array.from({ length: 50 }, () => spool.receive(stream(), noLimit)));
  const used = process.memoryUsage().rss - before;
  assert.ok(used < 200 * 1024 * 1024, `${Math.round(used / 1048576)} MiB more`);
  const [first] = sources;
  assert.ok(first);
  const seen = createHash('sha256');
  for await (const chunk of first.open()) seen.update(chunk);
  assert.equal(seen.digest('hex'), expected);
  await Promise.all(sources.map((source) => source.dispose()));
});

test('a message that came as single octets takes about its size in memory, not a Buffer for each', async (t) => {
  const spool = await spoolIn(t);
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  const used = (): number => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  let most = 0;
  async function* octetByOctet(): AsyncGenerator<Uint8Array> {
    // As a socket does it: each with memory of its own.
    for (let n = 0; n < 200_000; n += 1) yield Buffer.allocUnsafeSlow(1).fill(0x61);
    most = used() - before;
  }
  const source = await spool.receive(octetByOctet(), noLimit);
  assert.equal((await octets(source)).toString(), 'a'.repeat(200_000));
  assert.ok(most < 8 * 1_048_576, `${most} octets in use`);
  await source.dispose();
});

test('small and large pieces in turn keep their order', async (t) => {
  const spool = await spoolIn(t);
  const text = lines(20_000);
  async function* uneven(): AsyncGenerator<Uint8Array> {
    for (let at = 0, size = 1; at < text.length; at += size, size = (size * 7 + 1) % 9_001) yield text.subarray(at, at + size);
  }
  assert.ok((await octets(await spool.receive(uneven(), noLimit))).equals(text));
});
