import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** NOOP: RFC 9051 §6.1.2. What has changed is told at the end of every command. */
export const noop = defineCommand({
  name: 'NOOP',
  states: ['not-authenticated', 'authenticated'],
  leavesAtRest: true,
  looksAnew: true,
  mayExpunge: true,
  args: args({}),
  handle() {},
});
