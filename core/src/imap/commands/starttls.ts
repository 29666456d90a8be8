import { defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';

/** STARTTLS: RFC 9051 §6.2.1. Whatever came in clear behind it is thrown away. */
export const starttls = defineCommand({
  name: 'STARTTLS',
  states: ['not-authenticated'],
  mayExpunge: false,
  args: args({}),

  handle({ session }) {
    if (!session.wire.canStartTls) throw new ImapBad(session.wire.isSecure ? 'TLS is on already' : 'TLS is not offered here');
    return { text: 'Begin TLS negotiation now', after: 'start-tls' };
  },
});
