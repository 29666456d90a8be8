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
  /** U-labels in lower case; empty or absent: whatever accounts and addresses say. */
  readonly domains?: readonly string[];
  /** Absent: no relay, the defaults of the configuration. */
  readonly submission?: SubmissionSettings;
  readonly attachments: { readonly thresholdOctets: number; readonly dedupe: 'account' | 'global' };
}

/** `none` and `opportunistic` look at no certificate. */
export type RelayTls = 'none' | 'opportunistic' | 'starttls' | 'implicit';
export interface SubmissionSettings {
  /** Where all mail for other servers goes; `undefined`: to each domain's MX. */
  readonly relay:
    | {
        readonly host: string;
        readonly port: number;
        readonly tls: RelayTls;
        /** PEM. */
        readonly ca: string | undefined;
        readonly auth: { readonly user: string; readonly password: string } | undefined;
      }
    | undefined;
  readonly queue: {
    readonly retryFirstMs: number;
    readonly retryMaxMs: number;
    readonly lifetimeMs: number;
    /** 0: no notice. */
    readonly delayNoticeMs: number;
    readonly connections: number;
    readonly connectionsPerDomain: number;
  };
  readonly recipientsPerHour: number;
}

export const defaultSubmission: SubmissionSettings = {
  relay: undefined,
  queue: {
    retryFirstMs: 60_000,
    retryMaxMs: 3_600_000,
    lifetimeMs: 432_000_000,
    delayNoticeMs: 14_400_000,
    connections: 20,
    connectionsPerDomain: 4,
  },
  recipientsPerHour: 1000,
};
