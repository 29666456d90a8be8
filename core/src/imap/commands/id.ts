import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { idFields } from '../grammar/session-arguments.ts';
import { octetString } from '../grammar/write.ts';

/** ID: RFC 2971. What the client says goes to the log, for support, and nowhere else. */
export const id = defineCommand({
  name: 'ID',
  states: ['not-authenticated', 'authenticated'],
  capability: 'ID',
  shown: 'always',
  leavesAtRest: true,
  mayExpunge: true,
  args: args({ fields: idFields }),

  handle({ session, respond }, { fields }) {
    const { log, software } = session.env;
    if (fields.size > 0) log.debug({ session: session.info.id, client: [...fields] }, 'client named itself');
    respond.untagged(`ID ("name" ${octetString(software.name)} "version" ${octetString(software.version)})`);
  },
});
