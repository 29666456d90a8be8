import type { Group } from './check.ts';
import { connectionGroups } from './connection.ts';
import { extensionGroups } from './extensions.ts';
import { mailboxGroups } from './mailboxes.ts';
import { messageGroups } from './messages.ts';
import { searchGroups } from './searches.ts';
import { synchronisingGroups } from './synchronising.ts';

/** Every table, by RFC. */
export const groups: readonly Group[] = [
  ...connectionGroups,
  ...mailboxGroups,
  ...messageGroups,
  ...searchGroups,
  ...synchronisingGroups,
  ...extensionGroups,
];
