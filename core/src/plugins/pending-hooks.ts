/** What the SDK declares and this server does not call yet. A plugin that taps it would wait in vain, so it is refused at load. */
import type { HookName, JournalEventType } from '@pochard/plugin-sdk';

export type PendingHooks = Readonly<Partial<Record<HookName, string>>>;

const push = 'this server has no push channels yet';

/** By hook: what is missing. Equal to what the source calls, by test. */
export const pendingHooks: PendingHooks = {
  'store.blobs': 'large parts lie in the data folder, other places are still to come',
  'notify.event': push,
  'notify.channel': push,
};

/** Events that the journal does not hold yet. */
export const pendingEvents: ReadonlySet<JournalEventType> = new Set<JournalEventType>();
