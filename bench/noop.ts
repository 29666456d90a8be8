/**
 * What one session's long commands do to others: `npx node bench/noop.ts [messages] [seconds] [distinct]`. While one loops a command over a large mailbox, another account's
 * NOOPs, and deliveries by LMTP, are timed, in ms, and the turns of the server's loop, in ms of CPU: these hold on a busy machine too. `POCHARD__SEARCH__INDEX=off`: searches without the index. `nothing` is the machine itself: on a busy one it has waits of its own.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { ImapScript } from '../e2e/support/imap-script.ts';
import { SmtpScript } from '../e2e/support/smtp-script.ts';
import type { BusyData, BusyReply, BusyRequest } from './busy-session.ts';
import { expectOk, fillMailbox, smallMessage } from './fill-mailbox.ts';
import type { LoopTurns } from './loop-watch.ts';
import { PASSWORD, withOwnServer } from './own-server.ts';

const MESSAGES = Number(process.argv[2] ?? 100_000);
const SECONDS = Number(process.argv[3] ?? 6);
const DISTINCT = Math.min(MESSAGES, Number(process.argv[4] ?? 25_000));
const ONLY = process.argv[5];
/** Between two NOOPs, and between two deliveries. */
const NOOP_EVERY_MS = 5;
const DELIVER_EVERY_MS = 100;
const INDEX_MS = 900_000;

const WORKLOADS: readonly (readonly [name: string, ...commands: string[]])[] = [
  ['nothing'],
  ['UID FETCH 1:* (FLAGS)', 'UID FETCH 1:* (FLAGS)'],
  ['FETCH 1:* (ENVELOPE ...)', 'FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)'],
  ['FETCH 1:* HEADER.FIELDS', 'FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])'],
  ['FETCH 1:20000 BODY.PEEK[]', 'FETCH 1:20000 (BODY.PEEK[])'],
  ['SEARCH BODY, rare', 'UID SEARCH BODY zqa5x'],
  ['SEARCH BODY, common', 'UID SEARCH BODY garden'],
  ['SEARCH TEXT, in the middle of words', 'UID SEARCH TEXT erial12'],
  ['SEARCH FROM', 'UID SEARCH FROM s500@'],
  ['SEARCH HEADER', 'UID SEARCH HEADER X-Serial "number 12"'],
  ['SEARCH NOT, OR, UNSEEN', 'UID SEARCH OR NOT BODY garden UNSEEN FROM s5'],
  ['SEARCH SENTSINCE', 'UID SEARCH SENTSINCE 1-Jan-2020'],
  ['SORT (SUBJECT)', 'UID SORT (SUBJECT FROM) UTF-8 ALL'],
  ['SORT (DATE)', 'UID SORT (REVERSE DATE) UTF-8 ALL'],
  ['THREAD REFERENCES', 'UID THREAD REFERENCES UTF-8 ALL'],
  ['THREAD ORDEREDSUBJECT', 'UID THREAD ORDEREDSUBJECT UTF-8 ALL'],
  ['STORE 1:*', 'STORE 1:* +FLAGS (\\Flagged)', 'STORE 1:* -FLAGS (\\Flagged)'],
  [
    'STORE of every second',
    `UID STORE ${everySecond(20_000)} +FLAGS.SILENT (\\Flagged)`,
    `UID STORE ${everySecond(20_000)} -FLAGS.SILENT (\\Flagged)`,
  ],
  ['COPY 1:*, STORE, EXPUNGE', 'COPY 1:* Copies', 'SELECT Copies', 'STORE 1:* +FLAGS.SILENT (\\Deleted)', 'EXPUNGE', 'SELECT Large'],
  ['COPY 1:*, DELETE', 'CREATE Gone', 'COPY 1:* Gone', 'DELETE Gone'],
  ['MOVE 1:* and back', 'MOVE 1:* Copies', 'SELECT Copies', 'MOVE 1:* Large', 'SELECT Large'],
  ['SELECT, UNSELECT', 'SELECT Large', 'UNSELECT', 'SELECT Large'],
];

function everySecond(upTo: number): string {
  return Array.from({ length: upTo / 8 }, (_, n) => 2 * n + 1).join(',');
}

/** The search index is made behind the appends: with it, a word that is nowhere is not looked for in each message. */
async function indexed(port: number): Promise<void> {
  const imap = await ImapScript.login(undefined, port, 'busy', PASSWORD);
  await expectOk(imap, 'SELECT Large');
  const deadline = performance.now() + INDEX_MS;
  for (;;) {
    const began = performance.now();
    await expectOk(imap, 'UID SEARCH BODY qqnowhere');
    const ms = performance.now() - began;
    if (ms < 200) break;
    if (performance.now() > deadline) throw new Error(`not indexed: a search still takes ${ms} ms`);
    await delay(20_000);
  }
  imap.close();
}

class Latencies {
  readonly ms: number[] = [];
  async time(run: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    await run();
    this.ms.push(performance.now() - began);
  }
  get text(): string {
    const sorted = this.ms.sort((a, b) => a - b);
    const at = (part: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(1);
    return `${at(0.5)} | ${at(0.99)} | ${at(1)}`;
  }
}

const config = { limits: { imapConnectionsPerUserAndAddress: 1_000 }, log: { level: 'warn' } };
const folder = await mkdtemp(join(tmpdir(), 'pochard-noop-'));
const watched = join(folder, 'loop');
process.env['LOOP_WATCH'] = watched; // the server has this process's environment
const nodeOptions = [
  `--import=${new URL('loop-watch.ts', import.meta.url)}`,
  ...(process.env['BENCH_NODE_OPTIONS'] ?? '').split(' ').filter(Boolean),
];

/** Since it was asked last. */
async function loopTurns(): Promise<LoopTurns> {
  const socket = connect(watched);
  return JSON.parse(await text(socket));
}

await withOwnServer(['busy', 'ada'], { config, nodeOptions }, async ({ server }) => {
  const port = server.port('imap');
  const filler = await ImapScript.login(undefined, port, 'busy', PASSWORD);
  await fillMailbox(filler, 'Large', { count: MESSAGES, distinct: DISTINCT });
  await expectOk(filler, 'CREATE Copies');
  filler.close();
  if (process.env['POCHARD__SEARCH__INDEX'] !== 'off') await indexed(port);
  const data: BusyData = { port, login: `LOGIN busy ${PASSWORD}`, mailbox: 'Large' };
  const busy = new Worker(new URL('busy-session.ts', import.meta.url), { workerData: data });
  await once(busy, 'message');
  const ada = await ImapScript.login(undefined, port, 'ada', PASSWORD);
  await expectOk(ada, 'SELECT INBOX');
  const lmtp = await SmtpScript.open(undefined, server.port('lmtp'), 'LHLO');
  console.log(
    `| ${MESSAGES.toLocaleString('en-US')} messages | done | NOOP p50 | p99 | max | delivery p50 | p99 | max | turn p99 | max |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|`,
  );
  for (const [name, ...commands] of WORKLOADS) {
    if (ONLY !== undefined && !name.includes(ONLY)) continue;
    const noops = new Latencies();
    const deliveries = new Latencies();
    const until = performance.now() + SECONDS * 1_000;
    let isOver = false;
    await loopTurns();
    const idle = commands.length === 0;
    const ended = idle
      ? delay(SECONDS * 1_000, { commands: 0, failed: [] } satisfies BusyReply)
      : once(busy, 'message').then(([reply]) => reply as BusyReply);
    if (!idle) busy.postMessage({ run: commands } satisfies BusyRequest);
    ended.finally(() => {
      isOver = true;
    });
    const probing = async (): Promise<void> => {
      while (!isOver) {
        await noops.time(() => ada.command('NOOP'));
        await delay(NOOP_EVERY_MS);
      }
    };
    const delivering = async (): Promise<void> => {
      for (let n = 0; !isOver; n++) {
        await deliveries.time(() => lmtp.deliver('bob@example.org', ['ada'], smallMessage(n)));
        await delay(DELIVER_EVERY_MS);
      }
    };
    const both = Promise.all([probing(), delivering()]);
    await delay(Math.max(0, until - performance.now()));
    busy.postMessage({ stop: true } satisfies BusyRequest);
    const { commands: done, failed } = await ended;
    await both;
    const { p99, max } = await loopTurns();
    console.log(`| ${name} | ${done} | ${noops.text} | ${deliveries.text} | ${p99.toFixed(0)} | ${max.toFixed(0)} |`);
    for (const line of failed) console.error(`${name}: ${line}`);
  }
  ada.close();
  lmtp.socket.destroy();
  await busy.terminate();
});
await rm(folder, { recursive: true });
