/** A session of `bench/noop.ts` in a thread of its own: sends commands over and over and reads what comes without looking at it, so that the client takes little of the machine. */
import { connect, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

export interface BusyData {
  readonly port: number;
  readonly login: string;
  readonly mailbox: string;
}
export type BusyRequest = { readonly run: readonly string[]; readonly once?: boolean } | { readonly stop: true };
export interface BusyReply {
  readonly commands: number;
  /** Completions that were not OK. */
  readonly failed: readonly string[];
}

/** The longest completion: LOGIN says its capabilities there. */
const TAIL = 8_192;

class Session {
  readonly #socket: Socket;
  #tail = '';
  #tag = 0;
  #waiting: ((done: string) => void) | undefined;
  #wanted = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#tail = (this.#tail + chunk.toString('latin1', Math.max(0, chunk.length - TAIL))).slice(-TAIL);
      if (!this.#tail.endsWith('\r\n')) return;
      const from = this.#tail.lastIndexOf('\r\n', this.#tail.length - 3) + 2;
      const line = this.#tail.slice(from === 1 ? 0 : from);
      if (line.startsWith(this.#wanted)) this.#waiting?.(line.slice(this.#wanted.length).trim());
    });
  }
  command(line: string): Promise<string> {
    return new Promise((resolve) => {
      this.#wanted = `b${++this.#tag} `;
      this.#waiting = resolve;
      this.#socket.write(`${this.#wanted}${line}\r\n`);
    });
  }
}

const port = parentPort;
if (port === null) throw new Error('runs in a worker');
const { port: imap, login, mailbox } = workerData as BusyData;
const socket = connect(imap, '127.0.0.1');
socket.setNoDelay(true);
await new Promise((resolve) => socket.once('data', resolve));
const session = new Session(socket);
await session.command(login);
await session.command(`SELECT ${mailbox}`);
let isStopped = false;
port.on('message', (request: BusyRequest) => {
  if ('stop' in request) isStopped = true;
  else void loop(request);
});
port.postMessage('ready');

async function loop({ run, once }: Extract<BusyRequest, { readonly run: readonly string[] }>): Promise<void> {
  isStopped = false;
  let commands = 0;
  const failed: string[] = [];
  do {
    for (const line of run) {
      const done = await session.command(line);
      commands += 1;
      if (!done.startsWith('OK') && failed.length < 3) failed.push(`${line.slice(0, 60)}: ${done}`);
    }
  } while (!isStopped && once !== true);
  port?.postMessage({ commands, failed } satisfies BusyReply);
}
