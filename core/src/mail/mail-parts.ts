/** What the mail services are built of; made once by `createMailServices`. */
import type { Account, Actor } from '@pochard/plugin-sdk';
import type { HookCalls } from '../plugins/hook-calls.ts';
import type { AccountId, Store } from '../store/store.ts';
import type { Directory } from './accounts/directory.ts';
import type { Codecs } from './content/codecs.ts';
import type { Ingest } from './content/ingest.ts';
import type { ContentCache } from './content/reader.ts';
import type { AccountMails } from './journal/account-mail.ts';
import type { MailLog } from './log.ts';
import type { MatchWindow } from './match-window.ts';
import { accountValue } from './sdk-values.ts';
import type { SearchIndex } from './search-index/search-index.ts';
import type { AccountRecord } from './services.ts';
import type { MailSettings } from './settings.ts';

export interface MailParts {
  readonly store: Store;
  readonly hooks: HookCalls;
  /** `forget` drops what is in memory of an account that is being deleted. */
  readonly mails: AccountMails & { forget?(account: AccountId): Promise<void> | void };
  readonly directory: Directory;
  readonly codecs: Codecs;
  readonly ingest: Ingest;
  readonly cache: ContentCache;
  readonly matches: MatchWindow;
  /** `undefined`: it is switched off. */
  readonly searchIndex: SearchIndex | undefined;
  readonly settings: MailSettings;
  /** Keys the digests of sealed accounts' mail; in memory only. */
  readonly digestKey: Uint8Array;
  readonly log: MailLog;
  /** ms since 1970. */
  now(): number;
  /** A hint that there is something new in some journal. */
  committed(): void;
  /** The server itself, and a delivery, as actors. */
  readonly actors: { readonly system: Actor; readonly delivery: Actor };
}

/** The account as plugins know it. At once unless a codec has to be asked whether it applies. */
export function accountOf(parts: Pick<MailParts, 'codecs'>, record: AccountRecord): Account | Promise<Account> {
  const open = accountValue(record, 'open');
  const sealed = parts.codecs.isSealed(open);
  if (sealed instanceof Promise) return sealed.then((is) => (is ? accountValue(record, 'sealed') : open));
  return sealed ? accountValue(record, 'sealed') : open;
}
