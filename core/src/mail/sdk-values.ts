/** The core's accounts, mailboxes and messages as the plain values that plugins see. */
import type {
  Account,
  EmailId,
  MailboxRef,
  MessageRef,
  AccountId as SdkAccountId,
  MailboxId as SdkMailboxId,
  SpecialUse,
  Uid,
  UidRanges,
} from '@pochard/plugin-sdk';
import type { AccountId, ContentId, MailboxId } from '../store/store.ts';
import type { MailboxInfo } from './journal/account-mail.ts';
import type { UidRuns } from './journal/entry.ts';
import { contentAtRow, DATE, SIZE } from './journal/layout.ts';
import type { AccountRecord } from './services.ts';

const SPECIAL_USES: ReadonlySet<string> = new Set<SpecialUse>([
  '\\All',
  '\\Archive',
  '\\Drafts',
  '\\Flagged',
  '\\Important',
  '\\Junk',
  '\\Sent',
  '\\Trash',
]);

export function isSpecialUse(name: string): name is SpecialUse {
  return SPECIAL_USES.has(name);
}

export function accountValue(record: AccountRecord, lies: 'sealed' | 'open'): Account {
  const { id, username, domain, addresses } = record;
  return Object.freeze({ id: sdkAccountId(id), username, domain, addresses, sealed: lies === 'sealed' });
}

/* The same ids carry one brand here and another in the SDK, which imports nothing of the core. */
export function sdkAccountId(id: AccountId): SdkAccountId {
  return id as string as SdkAccountId;
}
export function accountIdOf(id: SdkAccountId): AccountId {
  return id as string as AccountId;
}

export function mailboxRef(account: AccountId, info: Pick<MailboxInfo, 'id' | 'name' | 'specialUse'>): MailboxRef {
  return Object.freeze({
    id: mailboxIdText(info.id),
    accountId: sdkAccountId(account),
    name: info.name,
    specialUse: info.specialUse.filter(isSpecialUse),
  });
}
/** RFC 8474 MAILBOXID; also the id that plugins know. */
export function mailboxIdText(id: MailboxId): SdkMailboxId {
  return `F${id}` as SdkMailboxId;
}
export function mailboxIdOf(text: string): MailboxId | undefined {
  return /^F[1-9][0-9]{0,9}$/.test(text) ? (Number(text.slice(1)) as MailboxId) : undefined;
}
/** RFC 8474 EMAILID: shared by copies, as they share the content. */
export function emailIdText(id: ContentId): EmailId {
  return `M${id}` as EmailId;
}
export function contentIdOf(text: string): ContentId | undefined {
  return /^M[1-9][0-9]{0,14}$/.test(text) ? (Number(text.slice(1)) as ContentId) : undefined;
}

/** A message from its row of packed state. */
export function messageRef(account: AccountId, mailbox: MailboxRef, uid: number, words: Uint32Array, at: number): MessageRef {
  return {
    accountId: sdkAccountId(account),
    mailbox,
    uid: uid as Uid,
    emailId: emailIdText(contentAtRow(words, at) as ContentId),
    sizeOctets: words[at + SIZE] ?? 0,
    internalDate: new Date((words[at + DATE] ?? 0) * 1000),
  };
}

export function uidRanges(runs: UidRuns): UidRanges {
  const ranges: (readonly [Uid, Uid])[] = [];
  for (let at = 0; at + 1 < runs.length; at += 2) ranges.push([(runs[at] ?? 0) as Uid, (runs[at + 1] ?? 0) as Uid]);
  return ranges;
}
