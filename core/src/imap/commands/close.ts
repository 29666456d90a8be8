import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mayIn } from '../guest-view.ts';

/** CLOSE: RFC 9051 §6.4.1. Removes what is \Deleted, without a word of EXPUNGE. */
export const close = defineCommand({
  name: 'CLOSE',
  states: ['selected'],
  mayExpunge: false,
  args: args({}),

  async handle({ session, selected: view }) {
    // Whatever comes of it, nobody is told of it.
    session.selected = undefined;
    try {
      // Without the right to expunge it just closes (RFC 4314 §4).
      if (!view.isReadOnly && view.info.deleted > 0 && mayIn(view.access, view.box, 'e')) {
        const { seq, gone } = await view.access.expunge(view.box, view.everything, 'expunge', { onlyDeleted: true });
        // Changes of others that the client has not heard of would be lost to it behind this number.
        if (session.isQresync && gone.length > 0 && view.knowsAllBut(gone)) return { code: `HIGHESTMODSEQ ${seq}`, text: 'CLOSE done' };
      }
    } finally {
      view.close();
    }
    return undefined;
  },
});

/** UNSELECT: RFC 3691, RFC 9051 §6.4.2. */
export const unselect = defineCommand({
  name: 'UNSELECT',
  states: ['selected'],
  capability: 'UNSELECT',
  mayExpunge: false,
  args: args({}),

  handle({ session }) {
    session.deselect();
  },
});
