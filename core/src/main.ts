#!/usr/bin/env -S node --max-semi-space-size=8
/** The `pochard` command. */
import { join } from 'node:path';
import { demo } from './cli/demo.ts';
import { fsckLines } from './cli/fsck-lines.ts';
import { run } from './cli/program.ts';
import { serve } from './cli/serve.ts';
import { VERSION } from './server.ts';

process.exitCode = await run(process.argv.slice(2), {
  terminal: process,
  version: VERSION,
  configFolder: join(import.meta.dirname, '../../config'),
  serve,
  demo,
  fsck: fsckLines,
});
