/** The watching thread of `loop-watchdog.ts`. Writes straight to stderr: the main thread's log is what is stuck. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { places, type WatchdogData } from './loop-watchdog.ts';

const { memory, lookMs, blockedMs } = workerData as WatchdogData;
const shared = new Int32Array(memory);
const names = new Map<number, { readonly plugin: string; readonly hook: string }>();
parentPort?.on('message', ([tap, plugin, hook]: [number, string, string]) => names.set(tap, { plugin, hook }));

let lastBeat = 0;
let since = performance.now();
setInterval(() => {
  const now = performance.now();
  const beat = Atomics.load(shared, places.beat);
  if (beat !== lastBeat) {
    lastBeat = beat;
    since = now;
    Atomics.store(shared, places.reported, 0);
    return;
  }
  const tap = Atomics.load(shared, places.running);
  if (tap === 0 || now - since < blockedMs || Atomics.load(shared, places.reported) === tap) return;
  const line = { level: 50, time: Date.now(), ...names.get(tap), ms: Math.round(now - since), msg: 'plugin blocks the event loop' };
  writeSync(2, `${JSON.stringify(line)}\n`);
  Atomics.store(shared, places.reported, tap);
  Atomics.notify(shared, places.reported);
}, lookMs);
