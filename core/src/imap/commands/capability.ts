import { capabilityText } from '../capabilities.ts';
import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** CAPABILITY: RFC 9051 §6.1.1. */
export const capability = defineCommand({
  name: 'CAPABILITY',
  states: ['not-authenticated', 'authenticated'],
  leavesAtRest: true,
  mayExpunge: true,
  args: args({}),

  async handle({ session, respond }) {
    respond.untagged(`CAPABILITY ${await capabilityText(session)}`);
  },
});
