/** run.json of a data folder: where the server listens, for commands on the same folder. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RUN_FILE, type RunFile } from './cli/administration.ts';
import { VERSION } from './version.ts';

/** Complete or not there. */
export async function writeRunFile(data: string, listeners: RunFile['listeners']): Promise<void> {
  const file = join(data, RUN_FILE);
  const run: RunFile = { pid: process.pid, version: VERSION, listeners };
  await writeFile(`${file}.new`, `${JSON.stringify(run, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function removeRunFile(data: string): Promise<void> {
  await rm(join(data, RUN_FILE), { force: true });
}
