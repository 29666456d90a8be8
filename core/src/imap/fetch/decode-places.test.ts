import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../../store/store.ts';
import { DecodePlaces, PartPlaces } from './decode-places.ts';

const KIB = 1024;
const place = (decodedAt: number) => ({ encodedAt: decodedAt * 2, decodedAt, held: '' });

test('decoding goes on at the last place before what is wanted', () => {
  const places = new PartPlaces();
  assert.deepEqual(places.before(5), { encodedAt: 0, decodedAt: 0, held: '' });
  for (let at = 0; at <= 2_000; at += 64) places.note(place(at * KIB));
  assert.equal(places.before(3_000 * KIB).decodedAt, 1_984 * KIB);
  assert.equal(places.before(255 * KIB).decodedAt, 0);
  assert.equal(places.before(600 * KIB).decodedAt, 512 * KIB);
  places.note(place(10));
  assert.equal(places.before(100).decodedAt, 0, 'only what is further on is noted');
});

test('however long a part is, few places are kept, spread over all of it', () => {
  const places = new PartPlaces();
  const total = 1024 * 1024;
  for (let at = 0; at <= total; at += 64) places.note(place(at * KIB));
  assert.ok(places.count <= 33, `${places.count}`);
  assert.equal(places.before(total * KIB).decodedAt, total * KIB);
  for (let at = 0; at <= total; at += 5_000) {
    const behind = at * KIB - places.before(at * KIB).decodedAt;
    assert.ok(behind <= (total / 8) * KIB, `${behind} behind ${at}`);
  }
});

test('few parts are remembered', () => {
  const all = new DecodePlaces();
  const first = all.of(1 as ContentId, 10);
  first.note(place(100));
  assert.equal(all.of(1 as ContentId, 10), first);
  assert.notEqual(all.of(1 as ContentId, 20), first);
  for (let id = 2; id < 5; id++) all.of(id as ContentId, 10);
  assert.notEqual(all.of(1 as ContentId, 10), first);
});
