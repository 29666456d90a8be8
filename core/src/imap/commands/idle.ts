import { defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { args } from '../grammar/args.ts';

/** IDLE: RFC 2177, RFC 9051 §6.3.13. News are told as they happen until DONE. */
export const idle = defineCommand({
  name: 'IDLE',
  states: ['authenticated'],
  capability: 'IDLE',
  leavesAtRest: true,
  mayExpunge: true,
  args: args({}),

  async handle({ session }) {
    const { wire } = session;
    const done = wire.ask('idling');
    wire.idle('begin');
    void session.lookAnew();
    try {
      const line = await done;
      if (line.toString('latin1').toUpperCase() !== 'DONE') throw new ImapBad('DONE expected');
    } finally {
      wire.idle('end');
    }
  },
});
