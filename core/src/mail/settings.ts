/** What the mail services need of the configuration. */
import type { SpecialUse } from '@pochard/plugin-sdk';

export interface MailSettings {
  /** Name in Received fields. */
  readonly hostname: string;
  readonly messageOctets: number;
  /** Octets of an account without a quota of its own; `undefined`: no limit. */
  readonly defaultQuotaOctets: number | undefined;
  /** Between local part and label; '' for no labels. */
  readonly recipientDelimiter: string;
  /** Mailboxes of a new account besides INBOX. */
  readonly mailboxes: readonly { readonly name: string; readonly specialUse: SpecialUse }[];
  /** Whether a login replaces a weaker or older hash of its password. */
  readonly passwordUpgrade: 'onLogin' | 'never';
  /** Whether keys of SCRAM-SHA-256 are kept beside new hashes; off when absent. */
  readonly scram?: 'off' | 'on';
  /** Absent: no index. */
  readonly search?: { readonly index: 'on' | 'off' };
  readonly attachments: { readonly thresholdOctets: number; readonly dedupe: 'account' | 'global' };
}
