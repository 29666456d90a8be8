import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { listMatcher } from '../grammar/list-match.ts';
import { listPattern, listReference } from '../grammar/mailbox-name.ts';
import { mailbox } from '../grammar/write.ts';
import { superiors } from '../mailboxes.ts';

/** LSUB: RFC 3501 §6.3.9. A superior that is not subscribed stands for its subscribed inferiors, as \Noselect. */
export const lsub = defineCommand({
  name: 'LSUB',
  states: ['authenticated'],
  looksAnew: true,
  mayExpunge: true,
  args: args({ reference: listReference, pattern: listPattern }),

  handle({ access, session, respond }, { reference, pattern }) {
    if (pattern === '') {
      respond.untagged('LSUB (\\Noselect) "/" ""');
      return;
    }
    const matches = listMatcher(reference, pattern);
    const found = new Map<string, '' | '\\Noselect'>();
    for (const name of access.mail.subscriptions()) {
      if (matches(name)) found.set(name, '');
      else for (const superior of superiors(name)) if (!found.has(superior) && matches(superior)) found.set(superior, '\\Noselect');
    }
    for (const [name, attribute] of [...found].sort(([a], [b]) => (a < b ? -1 : 1))) {
      respond.untagged(`LSUB (${attribute}) "/" ${mailbox(name, session.names)}`);
    }
  },
});
