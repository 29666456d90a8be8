/** Stands between a program and a MongoDB server and stops both at a chosen request: for deaths at every step of what the program does. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { MessageSplitter } from './mongo-wire.ts';

/** `before`: the server never sees the request. `after`: it has carried it out, and the program never hears of it. */
export type StepSide = 'before' | 'after';

const OP_MSG = 2013;
/** Length, ids, operation; flags, kind of section, length of the document, type of its first field, whose name is the command's. */
const COMMAND_AT = 16 + 4 + 1 + 4 + 1;
const WRITES = new Set(['insert', 'update', 'delete', 'findAndModify']);
const READS = new Set(['find', 'getMore', 'count', 'aggregate']);

export interface Step {
  /** From 1. */
  readonly at: number;
  readonly side: StepSide;
  readonly of: 'writes' | 'reads';
}
interface Stop extends Step {
  /** What it resolves when the program is dead. */
  readonly reached: (command: string) => void;
}

export class StepProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  #stop: Stop | undefined;
  #count = 0;
  #isStopped = false;

  constructor(server: Server, port: number, target: { readonly host: string; readonly port: number }) {
    this.port = port;
    this.#server = server;
    this.#target = target;
    server.on('connection', (near) => this.#connect(near));
  }

  /** Counts from now on; at the step nothing passes any more, and `reached` is called with the command's name. */
  stopAt(step: Step, reached: (command: string) => void): void {
    this.#count = 0;
    this.#stop = { ...step, reached };
  }
  /** No stop comes any more. */
  disarm(): void {
    this.#stop = undefined;
  }
  /** Lets go of everything: for the next program. */
  pass(): void {
    this.disarm();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#isStopped = false;
  }
  async close(): Promise<void> {
    this.pass();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(near: Socket): void {
    const far = connect(this.#target.port, this.#target.host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroySoon();
      });
    }
    const [requests, replies] = [new MessageSplitter(), new MessageSplitter()];
    /** Id of the request whose reply is the end. */
    let last: number | undefined;
    let stop: Stop | undefined;
    let command = '';
    near.on('data', (octets: Buffer) => {
      for (const message of requests.push(octets)) {
        if (this.#isStopped) return;
        const name = commandOf(message);
        const counted = this.#stop?.of === 'reads' ? READS : WRITES;
        if (name !== undefined && counted.has(name) && this.#stop !== undefined && ++this.#count === this.#stop.at) {
          stop = this.#stop;
          command = name;
          if (stop.side === 'before') {
            this.#reach(stop, command);
            return;
          }
          last = message.readInt32LE(4);
        }
        far.write(message);
      }
    });
    far.on('data', (octets: Buffer) => {
      for (const message of replies.push(octets)) {
        if (this.#isStopped) return;
        if (stop !== undefined && message.readInt32LE(8) === last) {
          this.#reach(stop, command);
          return;
        }
        near.write(message);
      }
    });
  }

  #reach({ reached }: Stop, command: string): void {
    this.#isStopped = true;
    this.#stop = undefined;
    reached(command);
  }
}

function commandOf(message: Buffer): string | undefined {
  if (message.readInt32LE(12) !== OP_MSG) return undefined;
  return message.toString('latin1', COMMAND_AT, message.indexOf(0, COMMAND_AT));
}

/** On a free port of 127.0.0.1; closed after the test. */
export async function startStepProxy(t: TestContext, target: { readonly host: string; readonly port: number }): Promise<StepProxy> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy = new StepProxy(server, address.port, target);
  t.after(() => proxy.close());
  return proxy;
}
