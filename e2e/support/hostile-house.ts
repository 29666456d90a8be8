/** A server under attack, and a bystander who notices when anything else suffers: another session's NOOP, the process, its memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { ImapScript } from './imap-script.ts';
import { mebi, memoryOf } from './process-memory.ts';
import { type ServerOptions, startServer, type TestServer } from './server.ts';

export const PASSWORD = 'correct horse';
export const ADA = 'ada@example.test';
export const EVE = 'eve@example.test';
/** A machine that runs other tests beside us is slow, a server that hangs is slower. */
const NOOP_MS = 3_000;
/** Garbage that is not collected yet included; what one attack may pin is measured where it matters. */
const GROWTH_OCTETS = 300 * 1_048_576;

export interface HostileHouse {
  readonly server: TestServer;
  /** Fails when the server, another session or the memory has suffered. */
  unharmed(): Promise<void>;
  eve(t: TestContext): Promise<ImapScript>;
}

export async function hostileHouse(t: TestContext, options: ServerOptions = {}): Promise<HostileHouse> {
  const server = await startServer(t, { accounts: { [ADA]: PASSWORD, [EVE]: PASSWORD }, ...options });
  const bystander = await ImapScript.login(t, server.port('imap'), ADA, PASSWORD);
  await bystander.command('SELECT INBOX');
  const { rss } = await memoryOf(server.pid);
  return {
    server,
    async unharmed() {
      assert.equal(server.child.exitCode, null, `the server has ended:\n${(await server.log()).slice(-2_000)}`);
      const asked = performance.now();
      const { done } = await bystander.command('NOOP');
      const tookMs = performance.now() - asked;
      assert.match(done, /^OK/);
      assert.ok(tookMs < NOOP_MS, `another session's NOOP took ${tookMs} ms`);
      const now = await memoryOf(server.pid);
      assert.ok(now.rss - rss < GROWTH_OCTETS, `RSS grew by ${mebi(now.rss - rss)}`);
      const faults = (await server.log()).split('\n').filter((line) => /uncaught|unhandled|"level":"(?:error|fatal)"/i.test(line));
      assert.deepEqual(faults, []);
    },
    eve: (test) => ImapScript.login(test, server.port('imap'), EVE, PASSWORD),
  };
}

/** Sends octets, closes its side, and reads until the server has closed too. */
export async function throwAt(port: number, ...octets: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const read = collect(socket);
  for (const piece of octets) {
    if (socket.destroyed) break;
    if (!socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece))
      await Promise.race([once(socket, 'drain'), read]).catch(() => undefined);
  }
  socket.end();
  return read;
}

/** As {@link throwAt}, but behind the greeting and with the own side open to the end: talking too soon is another matter. */
export async function throwAfterGreeting(port: number, ...octets: readonly (string | Uint8Array)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const read = collect(socket);
  await Promise.race([once(socket, 'data'), read]).catch(() => undefined);
  for (const piece of octets) {
    if (socket.destroyed) break;
    if (!socket.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece))
      await Promise.race([once(socket, 'drain'), read]).catch(() => undefined);
  }
  // Silence for a while: whoever has more to say has said it.
  socket.setTimeout(1_000, () => socket.end());
  return read;
}

/** All that comes until the end, latin1. A reset is an end. */
export function collect(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}
