import assert from 'node:assert/strict';
import type { ContentId, MetaColumn, NewContent, Segment, StoredContent } from '../store.ts';
import {
  account,
  all,
  collect,
  content,
  fill,
  inline,
  never,
  octets,
  proposal,
  randomOctets,
  range,
  streamOf,
  textOctets,
} from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');
const bob = account('bob2');
const FUTURE = 10_000_000_000_000;

function inlineData(found: StoredContent | undefined, n: number): Uint8Array | undefined {
  const segment = found?.segments[n];
  assert.ok(segment?.at === 'inline');
  return segment.data && Uint8Array.from(segment.data);
}

export const contentCases: readonly Case[] = [
  [
    'metadata comes in the order asked, with the columns asked, undefined where a content is gone or another account’s',
    async ({ store }) => {
      const ids = range(1, 5).map(() => store.contents.newId(ada));
      await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
      const theirs = store.contents.newId(bob);
      await store.commit(proposal(bob, 1, { contents: [content(theirs)] }));
      const [a, b, c] = ids as [ContentId, ContentId, ContentId];
      const missing = 999_999_999 as ContentId;
      assert.deepEqual(await store.contents.meta(ada, [c, missing, a, c], ['structure', 'envelope']), [
        { envelope: `(NIL "subject ${c}")`, structure: `("TEXT" "PLAIN" ${c})` },
        undefined,
        { envelope: `(NIL "subject ${a}")`, structure: `("TEXT" "PLAIN" ${a})` },
        { envelope: `(NIL "subject ${c}")`, structure: `("TEXT" "PLAIN" ${c})` },
      ]);
      const every: readonly MetaColumn[] = ['envelope', 'structure', 'body', 'preview', 'sentAt', 'head', 'parts', 'headText'];
      const [whole] = await store.contents.meta(ada, [b], every);
      assert.ok(whole !== undefined && !('sealed' in whole));
      const { head, parts, headText, ...rest } = whole;
      assert.deepEqual(rest, {
        envelope: `(NIL "subject ${b}")`,
        structure: `("TEXT" "PLAIN" ${b})`,
        body: `("TEXT" ${b})`,
        preview: `preview ${b}`,
        sentAt: 1_000 + b,
      });
      assert.equal(Buffer.from(head ?? []).toString(), `Subject: ${b}\r\n\r\n`);
      assert.equal(headText, `Subject: ${b}\r\n\r\n`);
      assert.equal(Buffer.from(parts ?? []).toString(), `parts ${b}`);
      assert.deepEqual(await store.contents.meta(ada, [theirs], ['preview']), [undefined]);
      assert.deepEqual(await store.contents.meta(ada, [], ['preview']), []);
    },
  ],
  [
    'wire strings keep every octet from 01 to FF, previews keep Unicode, a date may be missing or before 1970',
    async ({ store }) => {
      const id = store.contents.newId(ada);
      const wire = String.fromCharCode(...range(1, 255));
      const base = content(id);
      assert.ok(!('sealed' in base.meta));
      const odd: NewContent = { ...base, meta: { ...base.meta, envelope: wire, structure: '', preview: 'Grüße 🦆 漢字', sentAt: null } };
      const old = content(store.contents.newId(ada));
      assert.ok(!('sealed' in old.meta));
      await store.commit(proposal(ada, 1, { contents: [odd, { ...old, meta: { ...old.meta, sentAt: -62_135_596_800_000 } }] }));
      const found = await store.contents.meta(ada, [id, old.id], ['envelope', 'structure', 'preview', 'sentAt']);
      assert.deepEqual(found[0], { envelope: wire, structure: '', preview: 'Grüße 🦆 漢字', sentAt: null });
      assert.equal(found[1] !== undefined && 'sentAt' in found[1] ? found[1].sentAt : 'missing', -62_135_596_800_000);
    },
  ],
  [
    'metadata of more than 500 contents keeps its order',
    async ({ store }) => {
      const ids = range(1, 1_300).map(() => store.contents.newId(ada));
      await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
      const shuffled = [...ids].reverse();
      const found = await store.contents.meta(ada, shuffled, ['preview']);
      assert.deepEqual(
        found.map((meta) => (meta && 'preview' in meta ? meta.preview : '')),
        shuffled.map((id) => `preview ${id}`),
      );
    },
  ],
  [
    'load gives segments, codecs and head; inline data only up to 256 KiB together',
    async ({ store, reopen }) => {
      const small = store.contents.newId(ada);
      const several = store.contents.newId(ada);
      const big = store.contents.newId(ada);
      const many = store.contents.newId(ada);
      const none = store.contents.newId(ada);
      const bigData = randomOctets(700_000);
      const manyData = [randomOctets(200_000), textOctets(100_000)] as const;
      const middle = textOctets(120_000);
      await store.commit(
        proposal(ada, 1, {
          contents: [
            { ...content(small), codecs: ['zlib@1', 'pgp@1'], bodyOffset: 17 },
            content(several, [inline(octets('one')), inline(new Uint8Array(0)), inline(middle)]),
            content(big, [inline(bigData)]),
            content(many, manyData.map(inline)),
            content(none, []),
          ],
        }),
      );
      const again = await reopen();
      const missing = 77_777_777 as ContentId;
      const found = await again.contents.load(ada, [big, small, missing, several, many, none]);
      assert.equal(found[2], undefined);
      assert.deepEqual(found[1]?.codecs, ['zlib@1', 'pgp@1']);
      assert.equal(found[1]?.bodyOffset, 17);
      assert.equal(found[1]?.sizeOctets, octets(`body of ${small}`).length);
      assert.deepEqual(inlineData(found[1], 0), octets(`body of ${small}`));
      assert.ok(found[1] !== undefined && 'head' in found[1].meta);
      assert.equal(Buffer.from(found[1].meta.head).toString(), `Subject: ${small}\r\n\r\n`);
      assert.deepEqual(inlineData(found[3], 0), octets('one'));
      assert.equal(inlineData(found[3], 1)?.length, 0);
      assert.deepEqual(inlineData(found[3], 2), middle);
      assert.equal(inlineData(found[0], 0), undefined, 'too big to be handed out at once');
      assert.equal(inlineData(found[4], 0), undefined, 'together too big');
      assert.deepEqual(found[5]?.segments, []);
      assert.deepEqual(Uint8Array.from(await again.contents.segment(ada, big, 0, 0, 700_000)), bigData);
      assert.deepEqual(Uint8Array.from(await again.contents.segment(ada, big, 0, 690_000, 999_999)), bigData.slice(690_000));
      assert.deepEqual(Uint8Array.from(await again.contents.segment(ada, many, 1, 10, 20)), manyData[1].slice(10, 20));
      assert.deepEqual(Uint8Array.from(await again.contents.segment(ada, small, 0, 5, 7)), octets('of'));
      assert.equal((await again.contents.segment(ada, small, 0, 500, 700)).length, 0);
      await assert.rejects(again.contents.segment(ada, small, 1, 0, 1), { name: 'StoreDamaged' });
      await assert.rejects(again.contents.segment(bob, small, 0, 0, 1), { name: 'StoreDamaged' });
    },
  ],
  [
    'segments that name blobs: given with the commit, put before, and shared',
    async ({ store }) => {
      const given = textOctets(60_000);
      const givenBig = randomOctets(400_000);
      const before = randomOctets(300_000);
      const put = await store.blobs.put('', streamOf(before), never());
      const blob = (data: Uint8Array, withData: boolean): Segment => ({
        at: 'blob',
        sizeOctets: data.length * 2,
        blob: store.blobs.idOf('', data),
        blobOctets: data.length,
        recipe: octets('b64:76'),
        ...(withData ? { data } : {}),
      });
      const [a, b] = [store.contents.newId(ada), store.contents.newId(ada)];
      const segments = [inline(octets('head')), blob(given, true), blob(givenBig, true), blob(before, false)];
      await store.commit(proposal(ada, 1, { contents: [content(a, segments)] }));
      await store.commit(proposal(ada, 2, { contents: [content(b, [blob(given, true)])] }));
      const [found] = await store.contents.load(ada, [a]);
      assert.deepEqual(
        found?.segments.map((segment) =>
          segment.at === 'blob' ? [segment.blob, segment.blobOctets, segment.sizeOctets, Buffer.from(segment.recipe).toString()] : 'inline',
        ),
        ['inline', ...[given, givenBig, before].map((data) => [store.blobs.idOf('', data), data.length, data.length * 2, 'b64:76'])],
      );
      assert.deepEqual(await collect(store.blobs.read(store.blobs.idOf('', given), 0, 60_000, never())), given);
      assert.deepEqual(await collect(store.blobs.read(store.blobs.idOf('', givenBig), 0, 400_000, never())), givenBig);
      assert.deepEqual(await collect(store.blobs.read(put.id, 299_990, 300_000, never())), before.slice(299_990));
      assert.deepEqual(await all(store.check()), []);
    },
  ],
  [
    'a commit that names a blob that is not there is refused for now and leaves nothing',
    async ({ store }) => {
      const id = store.contents.newId(ada);
      const blob = store.blobs.idOf('', octets('never stored'));
      const segment: Segment = { at: 'blob', sizeOctets: 12, blob, blobOctets: 12, recipe: new Uint8Array(0) };
      await assert.rejects(store.commit(proposal(ada, 1, { contents: [content(id, [segment])] })), { name: 'StoreUnavailable' });
      assert.deepEqual(await store.tail(ada, 0, 5), []);
      assert.deepEqual(await store.contents.load(ada, [id]), [undefined]);
      await fill(store, ada, 1, 1);
    },
  ],
  [
    'a header block comes back octet for octet, as octets and as latin1 text, alone and with other columns',
    async ({ store, reopen }) => {
      const heads = [octets('Subject: plain\r\n\r\n'), Uint8Array.from(range(0, 255)), Uint8Array.from([0x41, 0, 0x42]), octets('')];
      const contents = heads.map((head): NewContent => {
        const base = content(store.contents.newId(ada));
        assert.ok(!('sealed' in base.meta));
        return { ...base, bodyOffset: head.length, meta: { ...base.meta, head } };
      });
      const sealed: NewContent = { ...content(store.contents.newId(ada)), meta: { sealed: octets('sealed') } };
      await store.commit(proposal(ada, 1, { contents: [...contents, sealed] }));
      const theirs = store.contents.newId(bob);
      await store.commit(proposal(bob, 1, { contents: [content(theirs)] }));
      const ids = [...contents.map(({ id }) => id).reverse(), sealed.id, theirs];
      const texts = heads.map((head) => Buffer.from(head).toString('latin1')).reverse();
      for (const from of [async () => store, reopen]) {
        const found = (await from()).contents;
        const alone = await found.meta(ada, ids, ['headText']);
        const all = await found.meta(ada, ids, ['headText', 'preview', 'head']);
        for (const rows of [alone, all]) {
          assert.ok(rows.slice(0, -2).every((row) => row !== undefined && !('sealed' in row)));
          assert.deepEqual(
            rows.slice(0, -2).map((row) => (row !== undefined && 'headText' in row ? row.headText : undefined)),
            texts,
          );
          const [last, foreign] = rows.slice(-2);
          assert.ok(last !== undefined && 'sealed' in last);
          assert.equal(foreign, undefined);
        }
        assert.deepEqual(
          all.slice(0, -2).map((row) => Buffer.from(row !== undefined && 'head' in row ? (row.head ?? []) : []).toString('latin1')),
          texts,
        );
        const loaded = await found.load(ada, ids.slice(0, -2));
        assert.deepEqual(
          loaded.map((row) => (row !== undefined && 'head' in row.meta ? Buffer.from(row.meta.head).toString('latin1') : undefined)),
          texts,
        );
      }
    },
  ],
  [
    'sealed metadata comes back sealed, whatever is asked, and resealing replaces it',
    async ({ store }) => {
      const id = store.contents.newId(ada);
      const plain = store.contents.newId(ada);
      await store.commit(proposal(ada, 1, { contents: [{ ...content(id), meta: { sealed: octets('sealed one') } }, content(plain)] }));
      const sealedOf = async (of: ContentId): Promise<string> => {
        const [meta] = await store.contents.meta(ada, [of], ['envelope', 'head']);
        const [text] = await store.contents.meta(ada, [of], ['headText']);
        assert.ok(text !== undefined && 'sealed' in text);
        const [loaded] = await store.contents.load(ada, [of]);
        assert.ok(meta !== undefined && 'sealed' in meta && loaded !== undefined && 'sealed' in loaded.meta);
        assert.deepEqual(Uint8Array.from(meta.sealed), Uint8Array.from(loaded.meta.sealed));
        return Buffer.from(meta.sealed).toString();
      };
      assert.equal(await sealedOf(id), 'sealed one');
      await store.contents.reseal(ada, id, octets('sealed two'));
      await store.contents.reseal(ada, plain, octets('sealed now'));
      await store.contents.reseal(bob, id, octets('not mine'));
      assert.equal(await sealedOf(id), 'sealed two');
      assert.equal(await sealedOf(plain), 'sealed now');
    },
  ],
  [
    'sweep removes the dead that are not live, after their time, and of this account only',
    async ({ store, reopen }) => {
      const ids = range(1, 6).map(() => store.contents.newId(ada));
      const [a, b, c, d] = ids as [ContentId, ContentId, ContentId, ContentId];
      await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
      const theirs = store.contents.newId(bob);
      await store.commit(proposal(bob, 1, { contents: [content(theirs)], dead: [theirs] }));
      await store.commit(proposal(ada, 2, { dead: [a, b, c] }));
      assert.equal(await store.contents.sweep(ada, new Set([d]), 1), 0, 'they died later than that');
      assert.equal(await store.contents.sweep(ada, new Set([b, d]), FUTURE), 2);
      const left = await store.contents.load(ada, ids);
      assert.deepEqual(
        left.map((found) => found !== undefined),
        [false, true, false, true, true, true],
      );
      assert.deepEqual(await store.contents.meta(ada, [a], ['preview']), [undefined]);
      assert.equal(await store.contents.sweep(ada, new Set([d]), FUTURE), 0, 'b lives on and is no candidate any more');
      await store.commit(proposal(ada, 3, { dead: [b] }));
      assert.equal(await store.contents.sweep(ada, new Set([d]), FUTURE), 1);
      assert.equal((await store.contents.load(bob, [theirs]))[0]?.id, theirs);
      const again = await reopen();
      assert.ok(again.contents.newId(ada) > Math.max(...ids), 'ids of swept contents are not given out again');
      assert.deepEqual(await all(again.check()), []);
    },
  ],
  [
    'ids are not given out again after the newest content was swept',
    async ({ store, reopen }) => {
      const id = store.contents.newId(ada);
      await store.commit(proposal(ada, 1, { contents: [content(id)] }));
      await store.commit(proposal(ada, 2, { dead: [id] }));
      assert.equal(await store.contents.sweep(ada, new Set(), FUTURE), 1);
      assert.ok((await reopen()).contents.newId(ada) > id);
    },
  ],
  [
    'list gives all contents of an account ascending, in pages, whatever the order of commits',
    async ({ store }) => {
      const first = store.contents.newId(ada);
      const ids = range(1, 60).map(() => store.contents.newId(ada));
      await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
      await store.commit(proposal(bob, 1, { contents: [content(store.contents.newId(bob))] }));
      await store.commit(proposal(ada, 2, { contents: [content(first)] })); // a slow upload that took its id early
      const wanted = [first, ...ids].sort((one, two) => one - two);
      const found: ContentId[] = [];
      for (;;) {
        const page = await store.contents.list(ada, found.at(-1) ?? 0, 7);
        found.push(...page.map(({ id }) => id));
        assert.ok(page.length <= 7);
        if (page.length === 0) break;
      }
      assert.deepEqual(found, wanted);
      const [one] = await store.contents.list(ada, 0, 1);
      assert.equal(one?.sizeOctets, octets(`body of ${one?.id}`).length);
    },
  ],
];
