import { defineCommand } from '../command.ts';
import { ImapBad, ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { notifyRequest } from '../grammar/notify.ts';
import { NOTIFY_EVENTS, NotificationWatch } from '../notification-watch.ts';

const known: ReadonlySet<string> = new Set(NOTIFY_EVENTS.map((event) => event.toUpperCase()));

/** NOTIFY: RFC 5465. A request that cannot be met leaves the one before it as it is. */
export const notify = defineCommand({
  name: 'NOTIFY',
  states: ['authenticated'],
  capability: 'NOTIFY',
  mayExpunge: true,
  args: args({ request: notifyRequest }),

  async handle({ session }, { request: { groups, status } }) {
    if (session.login === undefined) throw new ImapBad('Log in first');
    if (groups === undefined) {
      session.endWatch();
      return;
    }
    for (const { events } of groups) {
      for (const event of events)
        if (!known.has(event)) throw new ImapNo(`BADEVENT (${NOTIFY_EVENTS.join(' ')})`, 'Some events are not supported');
    }
    const watch = await NotificationWatch.open(session, session.login, groups);
    session.endWatch();
    session.watch = watch;
    if (status) await session.watch.tellStatus();
  },
});
