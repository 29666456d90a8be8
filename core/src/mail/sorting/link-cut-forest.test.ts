import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkCutForest } from './link-cut-forest.ts';

test('roots are those of plain parents after any links and cuts', () => {
  let seed = 3;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (const nodes of [2, 5, 100]) {
    const forest = new LinkCutForest();
    const parents: number[] = [];
    for (let n = 0; n < nodes; n++) parents[forest.add()] = -1;
    const rootOf = (node: number) => {
      let at = node;
      while ((parents[at] as number) >= 0) at = parents[at] as number;
      return at;
    };
    for (let step = 0; step < 20_000; step++) {
      const child = random(nodes);
      const parent = random(nodes);
      assert.equal(forest.rootOf(parent), rootOf(parent));
      if ((parents[child] as number) >= 0) {
        if (random(3) > 0) continue;
        forest.cut(child);
        parents[child] = -1;
      } else if (forest.rootOf(parent) !== child) {
        forest.link(child, parent);
        parents[child] = parent;
      }
      assert.deepEqual([...forest.parents.subarray(0, nodes)], parents);
    }
  }
});
