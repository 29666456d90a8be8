/** Accounts, mailboxes and messages as plain data: names and numbers, nothing of what is in the mail. */
import type { Brand } from './brand.ts';

export type AccountId = Brand<string, 'AccountId'>;
export type MailboxId = Brand<string, 'MailboxId'>;
export type EmailId = Brand<string, 'EmailId'>; // RFC 8474; shared by copies
export type Uid = Brand<number, 'Uid'>;
export type ModSeq = Brand<number, 'ModSeq'>; // the account's journal sequence
export type UidRanges = readonly (readonly [first: Uid, last: Uid])[];
export type Flag = string; // '\\Seen', '$Junk'; compared without regard to case
export type SpecialUse = '\\All' | '\\Archive' | '\\Drafts' | '\\Flagged' | '\\Important' | '\\Junk' | '\\Sent' | '\\Trash';

export interface Account {
  readonly id: AccountId;
  readonly username: string; // normalised, U-label domain
  readonly domain: string;
  readonly addresses: readonly string[];
  /** True when a codec that opens only in a session applies: nothing readable of this account's mail may be kept elsewhere. */
  readonly sealed: boolean;
}

export type Protocol = 'imap' | 'submission' | 'http';
export type Origin = 'smtp' | 'lmtp' | 'append' | 'replace' | 'copy' | 'move' | 'api' | 'sent-copy' | 'import';

export interface MailboxRef {
  readonly id: MailboxId;
  readonly accountId: AccountId;
  readonly name: string; // Unicode, '/' between levels
  readonly specialUse: readonly SpecialUse[];
}

/** Points at one message and says nothing of what is in it. */
export interface MessageRef {
  readonly accountId: AccountId;
  readonly mailbox: MailboxRef;
  readonly uid: Uid;
  readonly emailId: EmailId;
  readonly sizeOctets: number;
  readonly internalDate: Date;
}
