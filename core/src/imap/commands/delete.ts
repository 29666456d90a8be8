import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';

/** DELETE: RFC 9051 §6.3.5. A session that deletes the mailbox it has selected has none selected afterwards. */
export const deleteMailbox = defineCommand({
  name: 'DELETE',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle({ session, access, respond }, { name }) {
    const view = session.selected;
    if (view === undefined || access.mail.byName(name)?.id !== view.box) {
      await access.delete(name);
      return;
    }
    session.selected = undefined; // or the loss of the view would end the session
    try {
      await access.delete(name);
    } catch (error) {
      session.selected = view;
      throw error;
    }
    view.close();
    respond.ok('CLOSED', 'The selected mailbox was deleted');
  },
});
