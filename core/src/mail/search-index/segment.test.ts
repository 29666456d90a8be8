import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fold } from '../../mime/fold.ts';
import { MemoryDerived } from '../../store/memory/memory-derived.ts';
import type { AccountId } from '../../store/store.ts';
import { OctetWriter } from '../journal/octets.ts';
import { HeadView } from '../search/head-view.ts';
import { TimeSlice } from '../search/time-slice.ts';
import { type Document, documentTerms } from './document.ts';
import { addDoc, eachPosting, emptySet, hasDoc, unitePostings, writePostings } from './postings.ts';
import { PieceCache, Segment } from './segment.ts';
import { SegmentBuilder } from './segment-builder.ts';
import { BODY_SPACE, FIELD_SPACES, UNKNOWN_BODY, UNKNOWN_FIELDS, UNKNOWN_PARTS } from './segment-format.ts';
import { DamagedInput, mergeSegments } from './segment-merger.ts';
import { eachWord, type MatchMode, wordQueryOf } from './words.ts';

const account = 'ada1' as AccountId;

function textDocument(id: number, text: string, head = ''): Document {
  const octets = Buffer.from(`${text}\r\n`);
  return {
    id,
    head: Buffer.from(head),
    ranges: [{ kind: 'text', encoding: '8bit', charset: 'utf-8', scope: 'body', octets }],
  };
}

async function opened(pieces: readonly Uint8Array[]): Promise<Segment> {
  const derived = new MemoryDerived(() => true);
  await derived.put(account, 's', 0, pieces);
  return Segment.open(derived, new PieceCache(1_000_000), account, 's');
}

function slice(): TimeSlice {
  return new TimeSlice(new AbortController().signal);
}

/* ── Malformed ── */

test('pieces that are cut or changed are an error, whichever they are, when opened, asked and merged', async () => {
  const builder = new SegmentBuilder();
  for (let id = 1; id <= 50; id++) builder.add(textDocument(id, `word${id} common ${randomBytes(20).toString('hex')}`));
  const pieces = builder.finish();
  for (let n = 0; n < pieces.length; n++) {
    const damaged = pieces.map((piece, at) => (at === n ? piece.subarray(0, piece.length - 5) : piece));
    const ask = async () => (await opened(damaged)).find(BODY_SPACE, [{ mode: 'contains', text: 'o' }], slice());
    await assert.rejects(ask, { name: 'StoreDamaged' });
    const sound = { pieces, gone: new Uint8Array(50) };
    assert.throws(
      () => mergeSegments([sound, { pieces: damaged, gone: new Uint8Array(50) }]),
      (error) => error instanceof DamagedInput && error.input === 1,
    );
  }
});

test('postings that were changed name no document outside the segment', () => {
  for (let round = 0; round < 500; round++) {
    const octets = randomBytes(40);
    octets[0] = round % 2;
    eachPosting(octets, 100, (ordinal) => assert.ok(ordinal >= 0 && ordinal < 100));
    unitePostings(emptySet(100), octets, 100);
  }
});

test('encoded data, a huge part, marks without end and text without a line end are not indexed, but known not to be', () => {
  const unknownOf = (document: Document) => documentTerms(document, () => {});
  const base64 = Array.from({ length: 3_000 }, () => randomBytes(48).toString('hex')).join('\r\n');
  assert.equal(unknownOf(textDocument(1, base64)), UNKNOWN_BODY);
  assert.equal(unknownOf(textDocument(1, `a${'\u0301'.repeat(300)}`)), UNKNOWN_BODY);
  assert.equal(unknownOf(textDocument(1, '😀'.repeat(300))), UNKNOWN_BODY);
  assert.equal(unknownOf(textDocument(1, '😀 '.repeat(300))), 0);
  assert.equal(unknownOf({ id: 1, head: Buffer.from('\r\n'), ranges: undefined }), UNKNOWN_BODY | UNKNOWN_PARTS);
  assert.equal(unknownOf(textDocument(1, '', `To: ${'a@b.example, '.repeat(1_000)}\r\n\r\n`)), UNKNOWN_FIELDS);
});

/* ── Normal ── */

test('a text that holds a needle has words that meet what is asked for it; one word is enough to be sure', () => {
  const unit = fc.constantFrom('a', 'b', 'ab', ' ', '.', '\n', 'é', '\u0301', 'x'.repeat(130), '日本', '\ud83d');
  const texts = fc.array(unit, { maxLength: 12 }).map((units) => units.join(''));
  const meets = (words: readonly string[], mode: MatchMode, text: string) =>
    words.some((word) =>
      mode === 'contains'
        ? word.includes(text)
        : mode === 'ends'
          ? word.endsWith(text)
          : mode === 'starts'
            ? word.startsWith(text)
            : word === text,
    );
  fc.assert(
    fc.property(texts, texts, fc.nat(400), fc.nat(400), (text, other, start, length) => {
      const words: string[] = [];
      eachWord(text, (from, to) => words.push(text.slice(from, to)));
      for (const needle of [other, text.slice(start % (text.length + 1)).slice(0, length)]) {
        const query = needle === '' ? undefined : wordQueryOf(needle);
        if (query === undefined) continue;
        const isMet = query.matches.every(({ mode, text: wanted }) => meets(words, mode, wanted));
        if (text.includes(needle)) assert.ok(isMet, JSON.stringify(needle));
        else if (query.isExact) assert.ok(!isMet, JSON.stringify(needle));
      }
    }),
    { numRuns: 3_000 },
  );
});

test('postings come back as they were, as deltas and as a bitmap', () => {
  for (const docs of [1, 7, 8, 1_000]) {
    for (const density of [0.001, 0.1, 0.6, 1]) {
      const ordinals = Array.from({ length: docs }, (_, n) => n).filter(() => Math.random() < density);
      const out = new OctetWriter();
      assert.equal(writePostings(out, ordinals, docs), out.length);
      assert.ok(out.length <= ((docs + 7) >>> 3) + 1);
      const read: number[] = [];
      eachPosting(out.written(), docs, (ordinal) => read.push(ordinal));
      assert.deepEqual(read, ordinals);
      const [one, two] = [emptySet(docs), emptySet(docs)];
      for (const ordinal of ordinals) addDoc(one, ordinal);
      unitePostings(two, out.written(), docs);
      assert.deepEqual(one, two);
    }
  }
});

test('fields of a header block are those that SEARCH without an index sees, however they are written', () => {
  const piece = fc.constantFrom(
    'From',
    'TO',
    'cc',
    'Subject',
    'X',
    ':',
    ' ',
    '\t',
    '\r\n',
    '\n',
    'ada',
    ' b ',
    '\x01',
    '=?utf-8?Q?c=C3=A9?=',
    '\r',
    'é',
  );
  const view = new HeadView(FIELD_SPACES);
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const head = Buffer.from(pieces.join(''), 'latin1');
      const values = FIELD_SPACES.map(() => [] as string[]);
      const unknown = documentTerms({ id: 1, head, ranges: [] }, (space, text, from, to) => values[space]?.push(text.slice(from, to)));
      if ((unknown & UNKNOWN_FIELDS) !== 0) return;
      view.read(head);
      for (const field of FIELD_SPACES.keys()) {
        assert.equal((values[field] ?? []).length > 0, view.contains(field, ''), FIELD_SPACES[field]);
        for (const needle of ['ada', 'b', 'cé', 'x', ' ', ': ', 'from'].map(fold)) {
          assert.equal(values[field]?.some((value) => value.includes(needle)) ?? false, view.contains(field, needle), needle);
        }
      }
    }),
    { numRuns: 3_000 },
  );
});

test('segments of many pieces, merged without what is gone, answer each mode as the words themselves do', async () => {
  const random = (below: number) => Math.floor(Math.random() * below);
  const texts = Array.from({ length: 900 }, (_, n) =>
    Array.from({ length: 60 }, () => (random(3) === 0 ? `w${random(400)}` : `${random(1e9).toString(36)}${random(9) === 0 ? 'é日' : ''}`))
      .concat(`doc${n}`, 'all')
      .join(random(2) === 0 ? ' ' : '-'),
  );
  const parts: { readonly pieces: readonly Uint8Array[]; readonly gone: Uint8Array }[] = [];
  for (let part = 0; part < 3; part++) {
    const builder = new SegmentBuilder();
    let docs = 0;
    // Ids of the parts interleave.
    for (const [n, text] of texts.entries()) {
      if (n % 3 !== part) continue;
      builder.add(textDocument(n + 1, text));
      docs += 1;
    }
    parts.push({ pieces: builder.finish(), gone: Uint8Array.from({ length: docs }, (_, doc) => (doc % 10 === 4 ? 1 : 0)) });
  }
  assert.ok(parts.every(({ pieces }) => pieces.length > 3));
  const merged = await opened(mergeSegments(parts));
  const ids = texts.map((_, n) => n + 1).filter((id) => Math.floor((id - 1) / 3) % 10 !== 4);
  assert.deepEqual([...merged.directory.ids], ids);
  const words = ids.map((id) => {
    const list: string[] = [];
    const folded = fold(texts[id - 1] ?? '');
    eachWord(folded, (from, to) => list.push(folded.slice(from, to)));
    return list;
  });
  const asked = [
    'w1',
    'w399',
    'all',
    'doc7',
    'a',
    'zz',
    'é',
    '日',
    'e日',
    '0',
    ...Array.from({ length: 30 }, () => words[random(ids.length)]?.[random(60)] ?? ''),
  ].map(fold);
  for (const text of asked) {
    const expected = {
      contains: words.map((list) => list.some((word) => word.includes(text))),
      ends: words.map((list) => list.some((word) => word.endsWith(text))),
      starts: words.map((list) => list.some((word) => word.startsWith(text))),
      equals: words.map((list) => list.includes(text)),
    };
    for (const mode of ['contains', 'ends', 'starts', 'equals'] as const) {
      const found = await merged.find(BODY_SPACE, [{ mode, text }], slice());
      assert.deepEqual(
        ids.map((_, doc) => hasDoc(found, doc)),
        expected[mode],
        `${mode} ${text}`,
      );
    }
  }
});
