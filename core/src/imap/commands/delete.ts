import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findName } from '../mailboxes.ts';

/** DELETE: RFC 9051 §6.3.5. A session that deletes the mailbox it has selected has none selected afterwards. */
export const deleteMailbox = defineCommand({
  name: 'DELETE',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName }),

  async handle({ session, respond }, { name }) {
    const { access, info } = await findName(session, name);
    access.guest?.require(info.id, 'x');
    const view = session.selectedIn(access);
    if (view === undefined || info.id !== view.box) {
      await access.delete(info.name);
      return;
    }
    session.selected = undefined; // or the loss of the view would end the session
    try {
      await access.delete(info.name);
    } catch (error) {
      session.selected = view;
      throw error;
    }
    view.close();
    respond.ok('CLOSED', 'The selected mailbox was deleted');
  },
});
