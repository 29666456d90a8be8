import { parentPort } from 'node:worker_threads';

import { argon2Hash } from './argon2-scheme.ts';
import type { HashAnswer, HashJob } from './hash-job.ts';
import { PasswordError } from './password-error.ts';
import type { SchemeCheck } from './scheme.ts';

/** A thread of `HashThreads`: one job at a time, in its own time. */
async function answer(job: HashJob): Promise<HashAnswer> {
  try {
    if (job.kind === 'hash') return { kind: 'hashed', stored: argon2Hash(job.secret, job.salt, job.parameters) };
    const check = await checkOf(job.module);
    return { kind: 'checked', isMatch: check(job.secret, job.stored) };
  } catch (error) {
    if (error instanceof PasswordError) return { kind: 'failed', code: error.code, message: error.message };
    return { kind: 'failed', code: 'unavailable', message: error instanceof Error ? error.message : String(error) };
  } finally {
    job.secret.fill(0);
  }
}

/** Node keeps loaded modules, so this costs a file once. */
async function checkOf(url: string): Promise<SchemeCheck> {
  const loaded: { check?: SchemeCheck } = await import(url);
  if (typeof loaded.check !== 'function') throw new Error(`no password check in ${url}`);
  return loaded.check;
}

parentPort?.on('message', (job: HashJob) => {
  void answer(job).then((result) => parentPort?.postMessage(result));
});
