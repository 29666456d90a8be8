/** Entry of the writer thread: takes messages, runs groups, keeps the WAL in bounds, tidies up when nothing is to be done. */
import { type MessagePort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads';
import { StoreDamaged, StoreUnavailable } from '../store.ts';
import type { CheckpointReply } from './checkpoint-thread.ts';
import { type OpFailure, unpackMessage, type WriteMessage, type WriterReply, type WriterSettings } from './messages.ts';
import { messageOf, Writer } from './writer.ts';

export interface WriterThreadData {
  readonly port: MessagePort;
  readonly settings: WriterSettings;
  readonly start: 'clean' | 'unclean';
}
const { port, settings, start } = workerData as WriterThreadData;

/** Groups between two looks at the length of the WAL. */
const WAL_LOOK_GROUPS = 16;
const LEAST_WAL_OCTETS = 1024 * 1024;

function reply(message: WriterReply): void {
  port.postMessage(message);
}

function open(): Writer | undefined {
  try {
    return new Writer(settings, start);
  } catch (error) {
    const failed = error instanceof StoreDamaged ? 'damaged' : error instanceof StoreUnavailable ? 'unavailable' : 'refused';
    reply({ kind: 'failed-to-open', failure: { failed, message: messageOf(error) } satisfies OpFailure });
    return undefined;
  }
}

function serve(writer: Writer): void {
  const checkpointer = new Worker(new URL('./checkpoint-thread.ts', import.meta.url), { workerData: { folder: settings.folder } });
  /** A passive checkpoint is under way in the other thread. */
  let checkpointing = false;
  const checkpointFrom = Math.max(settings.walOctets, LEAST_WAL_OCTETS) / 2;
  /** The writer waits for the checkpoint from here on: where that thread gets no time or a slow disk, the WAL would grow without end. */
  const waitFrom = 4 * checkpointFrom;
  let waiting = false;
  let restartDue = false;
  let groups = 0;
  let closing = false;
  let closed = false;
  let toldDead = false;
  let idleTimer: NodeJS.Timeout | undefined;

  checkpointer.on('message', (outcome: CheckpointReply) => {
    checkpointing = false;
    waiting = false;
    if (outcome === 'done') restartDue = true;
    else writer.checkpointFailed(outcome.fault, outcome.message);
    run();
  });
  checkpointer.on('error', (error) => {
    throw error;
  });

  function tellIfDead(): void {
    if (writer.dead === undefined || toldDead) return;
    toldDead = true;
    reply({ kind: 'dead', message: writer.dead });
  }

  function lookAtWal(): void {
    if (checkpointing || closing || writer.dead !== undefined) return;
    if (writer.walOctets() < checkpointFrom) return;
    checkpointing = true;
    checkpointer.postMessage('checkpoint');
  }

  function drain(): void {
    for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) take(received.message);
  }
  function take(message: WriteMessage | 'close'): void {
    if (message === 'close') closing = true;
    else writer.take(message.first, unpackMessage(message));
  }

  function run(): void {
    clearTimeout(idleTimer);
    if (waiting) return; // the checkpoint's answer calls run again
    drain();
    while (!writer.isIdle) {
      reply({ kind: 'done', results: writer.runGroup() });
      tellIfDead();
      if (restartDue) {
        restartDue = false;
        writer.restartWal();
      }
      if (++groups % WAL_LOOK_GROUPS === 0) {
        lookAtWal();
        // The checkpointer's answer comes through the event loop: turn it now and then under constant load.
        if (checkpointing) {
          waiting = writer.walOctets() >= waitFrom;
          setImmediate(run);
          return;
        }
      }
      if (writer.ownedIsBehind) writer.fillOwned();
      drain();
    }
    tellIfDead();
    if (closing) {
      close();
      return;
    }
    idleTimer = setTimeout(tidy, settings.idleMs);
  }

  function tidy(): void {
    drain();
    if (!writer.isIdle || closing) {
      run();
      return;
    }
    const more = writer.tidy(Date.now());
    tellIfDead();
    lookAtWal();
    if (more) setImmediate(tidy);
  }

  function close(): void {
    if (checkpointing || closed) return; // the checkpoint's answer calls run again
    closed = true;
    checkpointer.postMessage('close');
    checkpointer.once('exit', () => {
      writer.close();
      reply({ kind: 'closed' });
      port.close();
    });
  }

  port.on('message', (message: WriteMessage | 'close') => {
    take(message);
    run();
  });
  reply({ kind: 'ready', nextContent: writer.nextContent });
}

const writer = open();
if (writer !== undefined) serve(writer);
else port.close();
