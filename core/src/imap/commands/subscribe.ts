import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { withoutTrailingDelimiter } from '../mailboxes.ts';

/** SUBSCRIBE: RFC 9051 §6.3.7. */
export const subscribe = defineCommand({
  name: 'SUBSCRIBE',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle({ access }, { name }) {
    await access.subscribe(withoutTrailingDelimiter(name), 'subscribe');
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
