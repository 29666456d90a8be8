/** Entry of the reader thread: big rows and the structural check, so that a cold disk never holds up the protocol thread. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { BodyReads } from './body-reads.ts';
import { checkDatabase } from './check.ts';
import { openDatabase } from './sqlite.ts';

export type ReaderRequest =
  | { readonly number: number; readonly ask: 'body'; readonly from: 'content' | 'segment' | 'blob'; readonly row: number }
  | { readonly number: number; readonly ask: 'check' };
export type ReaderReply = { readonly number: number; readonly result: unknown } | { readonly number: number; readonly error: string };

const { folder } = workerData as { readonly folder: string };
const port = parentPort;
if (port === null) throw new Error('the reader thread runs in a worker');
const database = openDatabase(join(folder, 'store.db'), { access: 'read', timeoutMs: 1_000, cacheOctets: 4 * 1024 * 1024 });
const bodies = new BodyReads(database);

port.on('message', (request: ReaderRequest | 'close') => {
  if (request === 'close') {
    database.close();
    port.close();
    return;
  }
  try {
    if (request.ask === 'check') {
      port.postMessage({ number: request.number, result: checkDatabase(database) } satisfies ReaderReply);
      return;
    }
    // The octets of a row have a buffer of their own, except those that zstd made, which may lie in a larger one.
    const found = bodies.body(request.from, request.row);
    const octets = found.byteLength === found.buffer.byteLength ? found : Uint8Array.from(found);
    const transfer = octets.buffer instanceof ArrayBuffer ? [octets.buffer] : [];
    port.postMessage({ number: request.number, result: octets } satisfies ReaderReply, transfer);
  } catch (error) {
    port.postMessage({ number: request.number, error: error instanceof Error ? error.message : String(error) } satisfies ReaderReply);
  }
});
