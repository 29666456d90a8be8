/** The structure of what lies in the database: gaps, damage, contents without their octets. What it means is for mail/fsck. */
import { crc32 } from 'node:zlib';
import type { AccountId } from '../store.ts';
import type { Collection, Doc } from './documents.ts';
import type { Journal } from './journal.ts';
import { accountOf, edgeKey, pieceKey, seqOf } from './keys.ts';
import type { MongoBlobs } from './mongo-blobs.ts';
import type { BlobDoc, Collections, ContentDoc } from './schema.ts';

const PAGE = 500;
type Problem = { readonly what: string; readonly problem: string };

export async function* checkDocuments(collections: Collections, journal: Journal, blobs: MongoBlobs): AsyncGenerator<Problem> {
  yield* checkJournal(collections, journal);
  for await (const { _id, crc, data } of all(collections.chunks, undefined, 64)) {
    if (crc32(data) !== crc) yield { what: `chunk ${_id}`, problem: 'checksum is wrong' };
  }
  yield* checkContents(collections);
  for await (const header of all(collections.blobs, ['n', 'sid'])) {
    const found = header.sid === undefined ? header.n : await blobs.files.lengthOf(header.sid);
    if (found !== header.n) yield { what: `blob ${header._id}`, problem: `it has ${found} octets instead of ${header.n}` };
  }
}

async function* all<D extends Doc>(
  collection: Collection<D>,
  fields?: Parameters<Collection<D>['get']>[1],
  limit = PAGE,
): AsyncGenerator<D> {
  for (let after = ''; ; ) {
    const page = await collection.find({ _id: { $gt: after } } as Parameters<Collection<D>['find']>[0], {
      limit,
      ...(fields === undefined ? {} : { fields }),
    });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last._id;
  }
}

async function* checkJournal({ journal: slots, accounts }: Collections, journal: Journal): AsyncGenerator<Problem> {
  let account: AccountId | undefined;
  let next = 0;
  for await (const slot of all(slots, ['k', 'gone', 'sides', 'size', 'tx'])) {
    const of = accountOf(slot._id);
    const seq = seqOf(slot._id);
    if (of !== account) {
      account = of;
      const state = await accounts.get(of, ['applied', 'floor']);
      const floor = state?.floor ?? 0;
      if (floor > (state?.applied ?? 0)) yield { what: `account ${of}`, problem: 'pruned above the saved state' };
      // Numbers of pruned entries may be there still.
      next = slot.gone ? seq : floor + 1;
      if (seq <= floor && !slot.gone) next = seq;
    }
    if (seq !== next) yield { what: `account ${of}`, problem: `gap in the journal below ${seq}` };
    next = seq + 1;
    if (slot.sides !== undefined) {
      try {
        await journal.entryOf(slot);
      } catch (error) {
        yield { what: `entry ${slot._id}`, problem: error instanceof Error ? error.message : 'cannot be read' };
      }
    }
  }
}

async function* checkContents(collections: Collections): AsyncGenerator<Problem> {
  const { contents, bodies, blobs, edges } = collections;
  let page: ContentDoc[] = [];
  for await (const doc of all(contents, ['g'], 100)) {
    page.push(doc);
    if (page.length === 100) {
      yield* checkPage(page);
      page = [];
    }
  }
  yield* checkPage(page);

  async function* checkPage(docs: readonly ContentDoc[]): AsyncGenerator<Problem> {
    const wanted = { blobs: new Map<string, string>(), edges: new Map<string, string>(), bodies: new Map<string, string>() };
    for (const { _id, g } of docs) {
      for (const [n, { b, l }] of g.entries()) {
        if (b !== undefined) wanted.blobs.set(b, _id).size;
        if (b !== undefined) wanted.edges.set(edgeKey(b as Parameters<typeof edgeKey>[0], _id), _id);
        if (l !== undefined) wanted.bodies.set(pieceKey(pieceKey(_id, n), 0), _id);
      }
    }
    yield* missing<BlobDoc>(blobs, wanted.blobs, 'names a blob that is not stored');
    yield* missing(edges, wanted.edges, 'is not known to a blob that it names');
    yield* missing(bodies, wanted.bodies, 'lacks its octets');
  }
}
async function* missing<D extends Doc>(
  collection: Collection<D>,
  wanted: ReadonlyMap<string, string>,
  problem: string,
): AsyncGenerator<Problem> {
  const ids = [...wanted.keys()];
  for (let at = 0; at < ids.length; at += PAGE) {
    const page = ids.slice(at, at + PAGE);
    const filter = { _id: { $in: page } } as Parameters<Collection<D>['find']>[0];
    const found = new Set((await collection.find(filter, { limit: page.length, fields: [] })).map(({ _id }) => _id));
    for (const id of page) if (!found.has(id)) yield { what: `content ${wanted.get(id)}`, problem };
  }
}
