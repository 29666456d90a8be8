import { capabilityText } from '../capabilities.ts';
import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** UNAUTHENTICATE: RFC 8437. Everything of the login goes, what was enabled too; TLS and compression stay. */
export const unauthenticate = defineCommand({
  name: 'UNAUTHENTICATE',
  states: ['authenticated'],
  capability: 'UNAUTHENTICATE',
  leavesAtRest: true,
  mayExpunge: false,
  args: args({}),

  async handle({ session }) {
    session.unauthenticate();
    return { code: `CAPABILITY ${await capabilityText(session)}`, text: 'Logged out', after: 'unauthenticate' };
  },
});
