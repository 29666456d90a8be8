/** A start of the server or the command line is mostly reading modules: from Node's compile cache it takes half the time. */
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
/** Goes with `npm ci`. NODE_COMPILE_CACHE names another one. */
const FOLDER = join(ROOT, 'node_modules', '.cache', 'compiled');

/** For processes that end by themselves. */
export const compileCacheEnv: Readonly<Record<string, string>> = { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? FOLDER };
/** Options of node for processes that are killed. */
export const keepCompiled: readonly string[] = ['--import', join(import.meta.dirname, 'keep-compiled.ts')];
