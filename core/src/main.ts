#!/usr/bin/env -S node --max-semi-space-size=8
/** The `pochard` command. */
import { join } from 'node:path';
import { run } from './cli/program.ts';
import { compileSooner } from './cli/tier-up.ts';
import { VERSION } from './version.ts';

// `pochard account list | head`: who reads has seen enough; the command ends in order, the store is closed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// The server is loaded by the commands that need it: the others should answer at once.
process.exitCode = await run(process.argv.slice(2), {
  terminal: process,
  version: VERSION,
  configFolder: join(import.meta.dirname, '../../config'),
  serve: async (...args) => {
    compileSooner();
    return (await import('./cli/serve.ts')).serve(...args);
  },
  demo: async (...args) => (await import('./cli/demo.ts')).demo(...args),
  async *fsck(...args) {
    yield* (await import('./cli/fsck-lines.ts')).fsckLines(...args);
  },
});
