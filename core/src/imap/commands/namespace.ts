import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { DELIMITER, OTHERS } from '../mailboxes.ts';

/** NAMESPACE: RFC 2342, RFC 9051 §6.3.10. One personal namespace, and one for the mailboxes that other users share. */
export const namespace = defineCommand({
  name: 'NAMESPACE',
  states: ['authenticated'],
  capability: 'NAMESPACE',
  mayExpunge: true,
  args: args({}),

  handle({ respond }) {
    respond.untagged(`NAMESPACE (("" "${DELIMITER}")) (("${OTHERS}" "${DELIMITER}")) NIL`);
  },
});
