import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openHouse } from './kill.fixture.ts';

for (const [when, segments] of [
  ['before the first segment is named', 1],
  ['between two segments', 3],
] as const) {
  test(`a server that is killed while it indexes, ${when}, goes on where it was`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'pochard-kill-'));
    const open: { house?: Awaited<ReturnType<typeof openHouse>> } = {};
    t.after(async () => {
      await open.house?.close();
      await rm(folder, { recursive: true });
    });
    // The thread that stored the last one sleeps, so that the manifest does not name it.
    const child = spawn(process.execPath, [join(import.meta.dirname, 'kill-child.ts'), folder, '220', '20'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let stored = 0;
    for await (const chunk of child.stdout) {
      stored += String(chunk).split('stored').length - 1;
      if (stored >= segments) break;
    }
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;

    const house = await openHouse(folder);
    open.house = house;
    for (const needle of ['no17', 'klez', 'no219'])
      assert.deepEqual(await house.find(needle, 'indexed'), await house.find(needle, 'plain'));
    await house.update();
    const manifest = await house.index.manifest(house.id);
    assert.equal(
      manifest?.segments.reduce((sum, { docs }) => sum + docs, 0),
      220,
    );
    const kept = (await house.store.derived.list(house.id)).map(({ id }) => id);
    assert.deepEqual(new Set(kept), new Set(manifest?.segments.map(({ id }) => id)));
    assert.deepEqual(await house.find('no219', 'indexed'), [220]);
  });
}
