/** What plugins are given of the mail services, through the same gates as a client. */
import { argon2, createHash, hkdf } from 'node:crypto';
import { promisify } from 'node:util';
import {
  type Account,
  Gone,
  type Kdf,
  Locked,
  type MailboxRef,
  type Message,
  type MessageRef,
  Refusal,
  type AccountId as SdkAccountId,
  type SpecialUse,
  Unavailable,
} from '@pochard/plugin-sdk';
import { PasswordError } from '../passwords/password-error.ts';
import type { Passwords } from '../passwords/passwords.ts';
import type { AccountContext, CallContext } from '../plugins/hook-calls.ts';
import type { HostMailWriter, HostPasswords, HostServices, TableStore } from '../plugins/host-services.ts';
import type { Bus, ContentId, RecordRow, RecordWrite } from '../store/store.ts';
import type { AccountService } from './accounts/account-service.ts';
import { CommitBatch } from './commit-batch.ts';
import { storedMessageView } from './content/message-view.ts';
import { Slots } from './content/slots.ts';
import { MailError } from './errors.ts';
import { contentAtRow } from './journal/layout.ts';
import { runOf, runsOf } from './journal/uid-runs.ts';
import type { HookedMailAccess } from './mail-access.ts';
import { accountOf, type MailParts } from './mail-parts.ts';
import { accountIdOf, contentIdOf, mailboxIdOf, mailboxRef, messageRef } from './sdk-values.ts';
import type { Spool } from './services.ts';

const PAGE = 500;
const DERIVATIONS_AT_ONCE = 4;

/** What the services are, once they are made: the plugin host is made before them, as they call its hooks. */
export interface HostBinding {
  readonly parts: MailParts;
  readonly accounts: AccountService;
  readonly spool: Spool;
  readonly passwords: Passwords;
  readonly bus: Bus;
}

export class MailHostServices implements HostServices {
  #binding: HostBinding | undefined;

  /** Once, before any plugin is loaded. */
  bind(binding: HostBinding): void {
    this.#binding = binding;
  }

  readonly accounts = {
    get: async (id: SdkAccountId): Promise<Account | undefined> => {
      const { accounts, parts } = this.#bound;
      const record = await accounts.get(accountIdOf(id));
      return record && accountOf(parts, record);
    },
    find: async (usernameOrAddress: string): Promise<Account | undefined> => {
      const { accounts, parts } = this.#bound;
      const record = await accounts.find(usernameOrAddress);
      return record && accountOf(parts, record);
    },
  };

  readonly mailboxes = {
    find: async (accountId: SdkAccountId, which: SpecialUse | { readonly name: string }): Promise<MailboxRef | undefined> => {
      const mail = await this.#bound.parts.mails.get(accountIdOf(accountId));
      const info = typeof which === 'string' ? mail.bySpecialUse(which) : mail.byName(which.name);
      return info && mailboxRef(mail.account, info);
    },
    list: (accountId: SdkAccountId): AsyncIterable<MailboxRef> => this.#mailboxes(accountId),
  };

  readonly messages = {
    open: async (message: MessageRef, context: AccountContext): Promise<Message> => {
      const access = await this.#access(message.accountId, context);
      try {
        return await openMessage(access, message, context.signal ?? new AbortController().signal);
      } catch (error) {
        throw asPluginError(error);
      }
    },
  };

  readonly mail: HostMailWriter = {
    store: async (target, content, options, context) => {
      const { spool, parts } = this.#bound;
      const signal = context.signal ?? new AbortController().signal;
      const access = await this.#access(target.accountId, context);
      const box = boxOf(target);
      const source = await spool.receive(content.open(), { limitOctets: parts.settings.messageOctets, signal });
      try {
        const message = await parts.ingest.parse(source, 'parse', signal);
        const date = Math.floor((options.internalDate?.getTime() ?? parts.now()) / 1000);
        const key = createHash('sha256').update(`${context.actor.name}\0${options.key}`).digest('base64url');
        const item = await access.prepareItem(box, message, {
          flags: options.flags,
          date,
          way: options.origin,
          signal,
          key: `plugin ${key}`,
        });
        const { uids } = await access.appendItems(box, [item], options.origin);
        const info = access.mail.byId(box);
        let ref: MessageRef | undefined;
        const [uid = 0] = uids;
        (await access.mail.state(box)).visit(runOf(uid, uid), (words, at) => {
          if (info !== undefined) ref = messageRef(access.mail.account, mailboxRef(access.mail.account, info), uid, words, at);
        });
        if (ref === undefined) throw new Gone(); // stored by an earlier call, and expunged since
        return ref;
      } catch (error) {
        throw asPluginError(error);
      } finally {
        await source.dispose();
      }
    },
    createMailbox: async (accountId, name, context) => {
      const access = await this.#access(accountId, context);
      try {
        return mailboxRef(access.mail.account, await access.create(name));
      } catch (error) {
        throw asPluginError(error);
      }
    },
    flag: async (messages, { add, remove }, context) => {
      for (const { access, box, uids } of await this.#byMailbox(messages, context)) {
        try {
          if (add.length > 0) await access.store(box, uids, { mode: 'add', flags: add });
          if (remove.length > 0) await access.store(box, uids, { mode: 'remove', flags: remove });
        } catch (error) {
          throw asPluginError(error);
        }
      }
    },
    move: async (messages, target, context) => {
      if (messages.some(({ accountId }) => accountId !== target.accountId))
        throw new Refusal('unsupported', 'Mail moves within one account');
      for (const { access, box, uids } of await this.#byMailbox(messages, context)) {
        try {
          await access.move(box, uids, boxOf(target));
        } catch (error) {
          throw asPluginError(error);
        }
      }
    },
  };

  readonly passwords: HostPasswords = {
    verify: async (secret, storedHash, signal) => {
      const verdict = await this.#bound.passwords.verify(secret, storedHash, signal).catch(notThePlugins);
      return verdict === 'match';
    },
    hash: (secret, signal) => this.#bound.passwords.hash(secret, signal).catch(notThePlugins),
    deriveKey: (secret, options, signal) => {
      const copy = Uint8Array.from(secret); // the handle's octets are wiped when the tap ends
      return this.#derivations
        .run(async () => {
          signal.throwIfAborted();
          return deriveKey(copy, options);
        })
        .finally(() => copy.fill(0));
    },
  };

  readonly tables: TableStore = {
    get: async (table, owner, key) => {
      const row = await this.#bound.parts.store.records.get(tableOf(table, owner), key);
      return row && octetsOf(row);
    },
    put: (table, owner, key, row, options) => {
      const value = { row: Buffer.from(row).toString('base64') };
      const expires = options.expiresAt === undefined ? {} : { expiresAt: options.expiresAt.getTime() };
      return this.#write({ table: tableOf(table, owner), key, value, ...expires }, owner, options.in && CommitBatch.of(options.in));
    },
    delete: (table, owner, key, options) =>
      this.#write({ table: tableOf(table, owner), key, value: undefined }, owner, options.in && CommitBatch.of(options.in)),
    entries: (table, owner, prefix) => this.#entries(tableOf(table, owner), prefix),
  };

  readonly leases = {
    take: async (name: string, forMs: number): Promise<boolean> => (await this.#bound.bus.count(`task:${name}`, 1, forMs)) === 1,
  };

  readonly #derivations = new Slots(DERIVATIONS_AT_ONCE);

  get #bound(): HostBinding {
    if (this.#binding === undefined) throw new TypeError('the mail services are not made yet');
    return this.#binding;
  }

  async *#mailboxes(accountId: SdkAccountId): AsyncGenerator<MailboxRef> {
    const mail = await this.#bound.parts.mails.get(accountIdOf(accountId));
    for (const info of [...mail.mailboxes()]) if (info.selectable) yield mailboxRef(mail.account, info);
  }

  #access(accountId: SdkAccountId, context: CallContext): Promise<HookedMailAccess> {
    return this.#bound.accounts.access(accountIdOf(accountId), context.actor, context.session);
  }

  async #byMailbox(messages: readonly MessageRef[], context: CallContext) {
    const groups = new Map<string, MessageRef[]>();
    for (const message of messages) {
      const key = `${message.accountId} ${message.mailbox.id}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [message]);
      else group.push(message);
    }
    return Promise.all(
      [...groups.values()].map(async (group) => {
        const [first] = group;
        if (first === undefined) throw new TypeError('empty group');
        return {
          access: await this.#access(first.accountId, context),
          box: boxOf(first.mailbox),
          uids: runsOf(group.map(({ uid }) => uid)),
        };
      }),
    );
  }

  async #write(write: RecordWrite, owner: SdkAccountId | 'all', batch: CommitBatch | undefined): Promise<void> {
    const { store, codecs } = this.#bound.parts;
    if (batch !== undefined) return batch.add(write);
    await store.records.write([write]);
    await codecs.forget(owner); // what a codec applies to may be written there
  }

  async *#entries(table: string, prefix: string): AsyncGenerator<readonly [string, Uint8Array]> {
    const { records } = this.#bound.parts.store;
    for (let after: string | undefined; ; ) {
      const rows = await records.list(table, { prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const row of rows) yield [row.key, octetsOf(row)];
      after = rows.at(-1)?.key;
      if (rows.length < PAGE || after === undefined) return;
    }
  }
}

/** @throws Gone, MailError */
async function openMessage(access: HookedMailAccess, message: MessageRef, signal: AbortSignal): Promise<Message> {
  const box = mailboxIdOf(message.mailbox.id);
  const id = contentIdOf(message.emailId);
  if (box === undefined || id === undefined || access.mail.byId(box) === undefined) throw new Gone();
  const uids = runOf(message.uid, message.uid);
  let isThere = false;
  (await access.mail.state(box)).visit(uids, (words, at) => {
    isThere = contentAtRow(words, at) === id;
  });
  if (!isThere) throw new Gone();
  await access.authorize(box, uids, 'content');
  const [content] = await access.content.open([id satisfies ContentId]);
  if (content === undefined) throw new Gone();
  return storedMessageView({
    sizeOctets: content.sizeOctets,
    head: content.head,
    parts: content.parts,
    read: (from, to) => content.read(from, to, signal),
  });
}

/** The SDK's words for what a service said. */
function asPluginError(error: unknown): unknown {
  if (!(error instanceof MailError)) return error;
  switch (error.code) {
    case 'locked':
      return new Locked(error.message);
    case 'expunged':
    case 'no-such-mailbox':
      return new Gone(error.message);
    case 'forbidden':
    case 'policy':
    case 'rate':
    case 'held':
    case 'unsupported':
      return new Refusal(error.code, error.message, { cause: error });
    case 'over-quota':
      return new Refusal('overquota', error.message, { cause: error });
    case 'too-big':
      return new Refusal('toobig', error.message, { cause: error });
    default:
      return error;
  }
}

function boxOf(mailbox: MailboxRef) {
  const box = mailboxIdOf(mailbox.id);
  if (box === undefined) throw new Gone('mailbox is gone');
  return box;
}

/** `<plugin>/<name>` in the store's alphabet; rows of an account lie where they leave with it. */
function tableOf(table: string, owner: SdkAccountId | 'all'): string {
  const name = table.replaceAll(/[^a-z0-9/-]/g, (character) => `.${character.charCodeAt(0).toString(16)}.`);
  return owner === 'all' ? `plugin/${name}` : `account/${owner}/plugin/${name}`;
}

function octetsOf({ value }: RecordRow): Uint8Array {
  if (typeof value !== 'object' || value === null || !('row' in value) || typeof value.row !== 'string') {
    throw new TypeError('a stored row of a plugin is damaged');
  }
  return Buffer.from(value.row, 'base64');
}

const argon2Async = promisify(argon2);
const hkdfAsync = promisify(hkdf);

async function deriveKey(
  secret: Uint8Array,
  options: { readonly salt: Uint8Array; readonly octets: number; readonly kdf: Kdf; readonly context: string },
): Promise<Uint8Array> {
  const { salt, octets, kdf, context } = options;
  if (kdf.name === 'hkdf') return new Uint8Array(await hkdfAsync('sha256', secret, salt, context, octets));
  const { memoryKiB, passes } = kdf;
  return argon2Async('argon2id', {
    message: secret,
    nonce: salt,
    parallelism: 1,
    tagLength: octets,
    memory: memoryKiB,
    passes,
    associatedData: Buffer.from(context, 'utf8'),
  });
}

/** Too many checks that wait are no fault of the plugin that asked for one more. */
function notThePlugins(error: unknown): never {
  const isBusy = error instanceof PasswordError && (error.code === 'unavailable' || error.code === 'closed');
  throw isBusy ? new Unavailable(error.message, { cause: error }) : error;
}
