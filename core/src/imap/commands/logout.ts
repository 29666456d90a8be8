import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** LOGOUT: RFC 9051 §6.1.3. */
export const logout = defineCommand({
  name: 'LOGOUT',
  states: ['not-authenticated', 'authenticated'],
  leavesAtRest: true,
  mayExpunge: false,
  args: args({}),

  handle({ session, respond }) {
    session.deselect();
    respond.status('BYE', undefined, 'Logging out');
    return { after: 'close' };
  },
});
