import { closeSync, fsyncSync, openSync, readFileSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { StoreUnavailable } from '../store.ts';
import { removeIfThere, syncDirectory } from './blob-files.ts';
import { type Database, faultOf, openDatabase } from './sqlite.ts';

/** f_type of NFS, SMB, CIFS, SMB2, 9P: shared memory of a WAL does not work across machines. */
const NETWORK_FILE_SYSTEMS: ReadonlySet<number> = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997]);

/** The data folder for as long as one process owns it. */
export interface DataFolder {
  readonly path: string;
  /** `unclean`: the process before did not close the store. */
  readonly start: 'clean' | 'unclean';
  /** Says that all is closed in order, and lets the next process in. */
  release(how: 'clean' | 'unclean'): Promise<void>;
}

/**
 * Takes the folder for this process: an exclusive transaction on `lock.db` that the system ends with the process, however it dies.
 * @throws StoreUnavailable when another process has it, or when it lies on a network file system
 */
export async function takeDataFolder(folder: string): Promise<DataFolder> {
  const path = resolve(folder);
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncDirectory(dirname(made));
  if (NETWORK_FILE_SYSTEMS.has(statfsSync(path).type)) {
    throw new StoreUnavailable('the data folder lies on a network file system, where SQLite cannot keep a WAL database safe');
  }
  const lock = takeLock(path);
  const marker = join(path, 'in-use');
  let start: 'clean' | 'unclean';
  try {
    start = markInUse(marker);
    await syncDirectory(path);
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    path,
    start,
    async release(how) {
      if (how === 'clean') {
        await removeIfThere(marker);
        await syncDirectory(path);
      }
      lock.close();
    },
  };
}

function takeLock(path: string): Database {
  let lock: Database | undefined;
  try {
    lock = openDatabase(join(path, 'lock.db'), { access: 'write', timeoutMs: 0, cacheOctets: 64 * 1024 });
    lock.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if (faultOf(error) === 'busy') {
      const whose = processOf(join(path, 'in-use'));
      throw new StoreUnavailable(`the data folder ${path} is in use by another process${whose}`, { cause: error });
    }
    throw new StoreUnavailable(`the data folder ${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** ` (12)`, or nothing: another process may be just about to write it. */
function processOf(marker: string): string {
  try {
    return ` (${Number.parseInt(readFileSync(marker, 'latin1'), 10) || 'unknown'})`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}

/** The marker was there already: whoever made it did not close the store. */
function markInUse(marker: string): 'clean' | 'unclean' {
  let handle: number;
  try {
    handle = openSync(marker, 'wx', 0o600);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    writeFileSync(marker, `${process.pid}\n`); // for people; that it is there counts, and that is on the disk
    return 'unclean';
  }
  try {
    writeSync(handle, `${process.pid}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  return 'clean';
}
