/**
 * Loaded into a server under measurement (`--import`): how much CPU its protocol thread takes from one turn of the loop to the next, which is what others wait for,
 * however busy the machine is. Answers who connects to the socket named by LOOP_WATCH with {@link LoopTurns} since it was asked last.
 */
import { createServer } from 'node:net';
import { isMainThread } from 'node:worker_threads';

/** ms of CPU. */
export interface LoopTurns {
  readonly turns: number;
  /** Of turns longer than 1 ms. */
  readonly p99: number;
  readonly max: number;
}

const EVERY_MS = 1;
const path = process.env['LOOP_WATCH'];

if (isMainThread && path !== undefined) {
  let turns: number[] = [];
  let last = process.threadCpuUsage();
  setInterval(() => {
    const now = process.threadCpuUsage();
    turns.push((now.user + now.system - last.user - last.system) / 1_000);
    last = now;
  }, EVERY_MS).unref();
  createServer((socket) => {
    const long = turns.filter((ms) => ms > 1).sort((a, b) => a - b);
    const answer: LoopTurns = { turns: turns.length, p99: long[Math.floor(long.length * 0.99)] ?? 0, max: long.at(-1) ?? 0 };
    turns = [];
    socket.end(JSON.stringify(answer));
  })
    .listen(path)
    .unref();
}
