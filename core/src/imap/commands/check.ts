import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** CHECK: RFC 3501 §6.4.1. Everything acknowledged is on disk already, so it is NOOP. */
export const check = defineCommand({
  name: 'CHECK',
  states: ['selected'],
  looksAnew: true,
  mayExpunge: true,
  args: args({}),
  handle() {},
});
