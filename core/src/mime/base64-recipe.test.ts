import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodedRange, encodeBase64Pieces, encodeBase64Range } from './base64-range.ts';
import { Base64Analyser, type Base64Recipe, decodeRecipe, encodedOctets, encodeRecipe } from './base64-recipe.ts';

function encode(octets: Uint8Array, lineLength: number, trailingCrlfs: number): Buffer {
  const text = Buffer.from(octets).toString('base64');
  const lines = lineLength === 0 ? [text] : (text.match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? ['']);
  return Buffer.from(lines.join('\r\n') + '\r\n'.repeat(trailingCrlfs));
}

function analyse(body: Uint8Array, size: number): { decoded: Buffer; recipe: Base64Recipe } | undefined {
  const analyser = new Base64Analyser();
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const piece = analyser.push(body.subarray(at, at + size));
    if (piece === undefined) return undefined;
    pieces.push(piece);
  }
  const end = analyser.finish();
  return end && { decoded: Buffer.concat([...pieces, end.decoded]), recipe: end.recipe };
}

async function range(octets: Uint8Array, recipe: Base64Recipe, from: number, to: number, pieceOctets = 10): Promise<Buffer> {
  async function* read(start: number, end: number) {
    for (let at = start; at < end; at += pieceOctets) yield octets.subarray(at, Math.min(end, at + pieceOctets));
  }
  const pieces: Buffer[] = [];
  for await (const piece of encodeBase64Range(recipe, octets.length, read, from, to)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const BROKEN: readonly (readonly [string, string])[] = [
  ['bare LF', 'YWJj\nYWJj'],
  ['a line longer than the first', 'YWJj\r\nYWJjYWJj'],
  ['a short line before the last', 'YWJjYWJj\r\nYWJj\r\nYWJj'],
  ['an empty line inside', 'YWJj\r\n\r\nYWJj'],
  ['an empty line in front', '\r\nYWJj'],
  ['characters outside the alphabet', 'YWJj YWJj'],
  ['missing padding', 'YQ'],
  ['bits set after the end', 'YR=='],
  ['padding inside', 'YQ==\r\nYQ=='],
  ['nothing but line ends', '\r\n'],
];

for (const [name, body] of BROKEN) {
  test(`base64 with ${name} has no recipe`, () => {
    for (const size of [1, 3, 100]) assert.equal(analyse(Buffer.from(body), size), undefined);
  });
}

test('a recipe is found for what encoders write, and gives every range of the original octets', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.constantFrom(0, 1, 2, 3, 4, 5, 60, 72, 76, 1_000),
      fc.nat({ max: 15 }),
      fc.integer({ min: 1, max: 200 }),
      fc.tuple(fc.nat({ max: 900 }), fc.nat({ max: 900 })),
      async (octets, lineLength, trailingCrlfs, size, bounds) => {
        const body = encode(octets, lineLength, trailingCrlfs);
        const found = analyse(body, size);
        assert.ok(found, 'a recipe');
        assert.deepEqual(found.decoded, Buffer.from(octets));
        const recipe = decodeRecipe(encodeRecipe(found.recipe));
        assert.deepEqual(recipe, found.recipe);
        assert.equal(encodedOctets(recipe, octets.length), body.length);
        assert.deepEqual(await range(octets, recipe, 0, body.length, size), body);
        const [from, to] = [Math.min(...bounds), Math.max(...bounds)];
        assert.deepEqual(await range(octets, recipe, from, to, size), body.subarray(from, to));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a body with a wrong octet somewhere has no recipe, or one that gives the wrong octet back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
      fc.constantFrom(4, 60, 76),
      fc.integer({ min: 1, max: 4_000 }),
      fc.array(fc.tuple(fc.nat({ max: 4_000 }), fc.constantFrom(...'-_=+/A \r\n\t\0\u00ff')), { minLength: 1, maxLength: 3 }),
      async (octets, lineLength, size, changes) => {
        const body = encode(octets, lineLength, 1);
        for (const [at, character] of changes) body.write(character, at % body.length, 'latin1');
        const found = analyse(body, size);
        if (found !== undefined) assert.deepEqual(await range(found.decoded, found.recipe, 0, body.length, size), body);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a range of decoded octets in memory comes at once, whatever they are cut into', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
      fc.constantFrom(0, 4, 5, 60, 76),
      fc.integer({ min: 1, max: 2_000 }),
      fc.tuple(fc.nat({ max: 4_500 }), fc.nat({ max: 4_500 })),
      (octets, lineLength, size, bounds) => {
        const recipe = { lineLength, trailingCrlfs: 2 };
        const [from, to] = [Math.min(...bounds), Math.max(...bounds)];
        const [start, stop] = decodedRange(recipe, octets.length, from, to);
        const pieces: Uint8Array[] = [];
        for (let at = start; at < stop; at += size) pieces.push(octets.subarray(at, Math.min(stop, at + size)));
        const runs: Buffer[] = [];
        encodeBase64Pieces(recipe, octets.length, pieces, from, to, (run) => runs.push(Buffer.from(run)));
        assert.deepEqual(Buffer.concat(runs), encode(octets, lineLength, 2).subarray(from, to));
      },
    ),
    { numRuns: 2_000 },
  );
});

test('large bodies, with and without lines, in pieces of any size', async () => {
  const octets = Buffer.alloc(400_001, 'abc\0\u00ff~?');
  for (const lineLength of [76, 0]) {
    const body = encode(octets, lineLength, 1);
    for (const size of [997, 65_536, body.length]) {
      const found = analyse(body, size);
      assert.ok(found);
      assert.ok(found.decoded.equals(octets));
      assert.equal(found.recipe.lineLength, lineLength);
      assert.ok((await range(octets, found.recipe, 0, body.length, size)).equals(body));
    }
  }
});

test('a range reads only the decoded octets it needs', async () => {
  const octets = Buffer.alloc(100_000, 'x');
  const asked: number[] = [];
  async function* read(from: number, to: number) {
    asked.push(from, to);
    yield octets.subarray(from, to);
  }
  const recipe = { lineLength: 76, trailingCrlfs: 0 };
  for await (const piece of encodeBase64Range(recipe, octets.length, read, 78_000, 78_100)) assert.equal(piece.length, 100);
  assert.deepEqual(asked, [57_000, 57_075]);
});

test('a blob that is shorter than recorded is an error, not a wrong body', async () => {
  async function* read() {
    yield Buffer.from('ab');
  }
  const pieces = encodeBase64Range({ lineLength: 76, trailingCrlfs: 0 }, 100, read, 0, 50);
  await assert.rejects(async () => {
    for await (const piece of pieces) assert.ok(piece.length >= 0);
  }, RangeError);
});

test('a number that was never written is no recipe', () => {
  for (const code of [0, -1, 0.5, 1e9, Number.NaN]) assert.throws(() => decodeRecipe(code), RangeError);
});
