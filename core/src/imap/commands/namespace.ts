import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';

/** NAMESPACE: RFC 2342, RFC 9051 §6.3.10. One personal namespace; shared mailboxes do not exist yet. */
export const namespace = defineCommand({
  name: 'NAMESPACE',
  states: ['authenticated'],
  capability: 'NAMESPACE',
  mayExpunge: true,
  args: args({}),

  handle({ respond }) {
    respond.untagged('NAMESPACE (("" "/")) NIL NIL');
  },
});
