import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findName, splitOthers, withoutTrailingDelimiter } from '../mailboxes.ts';

/** SUBSCRIBE: RFC 9051 §6.3.7. */
export const subscribe = defineCommand({
  name: 'SUBSCRIBE',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle({ session, access }, { name }) {
    const wanted = withoutTrailingDelimiter(name);
    // One's own list may hold any name; of another's mailbox, only one that may be looked up (RFC 4314 §4).
    if (splitOthers(wanted) !== undefined) {
      const { access: theirs, info } = await findName(session, wanted);
      theirs.guest?.require(info.id, 'l');
    }
    await access.subscribe(wanted, 'subscribe');
  },
});

/** UNSUBSCRIBE: RFC 9051 §6.3.8. */
export const unsubscribe = defineCommand({
  name: 'UNSUBSCRIBE',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle({ access }, { name }) {
    await access.subscribe(withoutTrailingDelimiter(name), 'unsubscribe');
  },
});
