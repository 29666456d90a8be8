/** Loaded before a server of a test: what Node has compiled is kept for the next one, also when this one is killed. */
import { flushCompileCache } from 'node:module';

const EVERY_MS = 2_000;

setInterval(flushCompileCache, EVERY_MS).unref();
