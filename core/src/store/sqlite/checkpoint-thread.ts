/** Entry of the checkpoint thread: copies the WAL into the database beside the writer, which then only has to begin anew. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Fault, faultOf, openDatabase } from './sqlite.ts';

export type CheckpointReply = { readonly fault: Fault; readonly message: string } | 'done';

const { folder } = workerData as { readonly folder: string };
const port = parentPort;
if (port === null) throw new Error('the checkpoint thread runs in a worker');

const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 64 * 1024 });
database.exec('PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL');

port.on('message', (message: 'checkpoint' | 'close') => {
  if (message === 'checkpoint') {
    try {
      database.exec('PRAGMA wal_checkpoint(PASSIVE)');
      port.postMessage('done' satisfies CheckpointReply);
    } catch (error) {
      port.postMessage({ fault: faultOf(error), message: String(error) } satisfies CheckpointReply);
    }
  } else {
    database.close();
    port.close();
  }
});
