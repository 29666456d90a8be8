/** RCPT TO: what an address means (core's own names first, then plugins), lists and aliases followed, and whether mail is taken for it. */
import type { Account } from '@pochard/plugin-sdk';
import type { AccountCreation } from '../accounts/account-creation.ts';
import { type AddressName, normalizeAddress } from '../accounts/names.ts';
import { octetLimit } from '../accounts/quota.ts';
import { MailError } from '../errors.ts';
import { guarded } from '../hook-errors.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { AccountRecord, DeliverySession, Recipient } from '../services.ts';

/** Aliases of aliases. */
const MAX_DEPTH = 10;
/** Accounts that one recipient may reach. */
const MAX_TARGETS = 1000;

type Target = Recipient['targets'][number];

export class Recipients {
  readonly #parts: MailParts;
  readonly #creation: AccountCreation;

  constructor(parts: MailParts, creation: AccountCreation) {
    this.#parts = parts;
    this.#creation = creation;
  }

  /** @throws MailError no-such-recipient, disabled, over-quota, policy, unavailable */
  async resolve(
    address: string,
    envelope: { readonly reversePath: string; readonly declaredOctets: number | undefined },
    session: DeliverySession,
  ): Promise<Recipient> {
    let name: AddressName;
    try {
      name = normalizeAddress(address);
    } catch (error) {
      throw error instanceof MailError && error.code === 'invalid' ? noSuchRecipient(error) : error;
    }
    const targets = new Map<string, Target>();
    await this.#follow(name, envelope.reversePath, session, [], targets);
    if (targets.size === 0) throw noSuchRecipient();
    for (const target of targets.values()) await this.#accept(address, target, envelope, session);
    return { address, targets: [...targets.values()] };
  }

  async #follow(
    address: AddressName,
    reversePath: string,
    session: DeliverySession,
    path: readonly string[],
    targets: Map<string, Target>,
  ): Promise<void> {
    if (path.includes(address.full)) throw new MailError('policy', 'The address forwards to itself');
    if (path.length >= MAX_DEPTH) throw new MailError('policy', 'The address forwards too many times');
    const { directory, hooks, actors } = this.#parts;
    const context = { actor: actors.delivery, listener: session.listener };
    const way = [...path, address.full];
    const meaning = await directory.meaning(address);
    let next: readonly string[] | undefined;
    /** The account whose address it is: what is expanded may keep it among others. */
    let own: { readonly record: AccountRecord; readonly address: string; readonly label: string | undefined } | undefined;
    if (meaning?.to === 'account') {
      const record = await directory.get(meaning.id);
      if (record === undefined) throw noSuchRecipient();
      own = { record, address: meaning.address, label: meaning.label };
    } else if (meaning?.to === 'alias') {
      next = meaning.addresses;
    } else {
      const question = { address: address.full, reversePath };
      const answer = hooks.has('rcpt.resolve') ? await guarded(() => hooks.decide('rcpt.resolve', question, context)) : undefined;
      if (answer?.result === 'reject') {
        if (answer.reason === 'unknown') throw noSuchRecipient();
        throw answer.reason === 'disabled' ? new MailError('disabled', 'Mailbox disabled') : new MailError('policy', 'Recipient refused');
      }
      if (answer?.result === 'alias') next = answer.to;
      else {
        const lookup = answer === undefined && hooks.has('account.lookup');
        const seed =
          answer?.account ??
          (lookup ? await guarded(() => hooks.decide('account.lookup', { username: address.full }, context)) : undefined);
        if (seed === undefined) throw noSuchRecipient();
        const { record } = await this.#creation.fromSeed(seed, undefined);
        own = { record, address: address.full, label: undefined };
      }
    }
    if (own !== undefined) next = hooks.has('rcpt.expand') ? await this.#expanded(address.full, session) : [address.full];
    if (next === undefined) throw noSuchRecipient();
    if (next.length > MAX_TARGETS) throw new MailError('policy', 'The address reaches too many others');
    for (const other of next) {
      const target = normalizeAddress(other);
      // A mailbox that also forwards, or only itself.
      if (target.full === address.full && own !== undefined) await this.#add(own.record, own.address, own.label, targets);
      else await this.#follow(target, reversePath, session, way, targets);
    }
  }

  async #expanded(address: string, session: DeliverySession): Promise<readonly string[]> {
    const { hooks, actors } = this.#parts;
    const context = { actor: actors.delivery, listener: session.listener, address };
    const addresses = await guarded(() => hooks.transform('rcpt.expand', [address], context));
    return addresses.map((one) => normalizeAddress(one).full);
  }

  async #add(record: AccountRecord, address: string, label: string | undefined, targets: Map<string, Target>): Promise<void> {
    if (record.disabled) throw new MailError('disabled', 'Mailbox disabled');
    if (targets.has(record.id)) return; // one copy for each account
    if (targets.size >= MAX_TARGETS) throw new MailError('policy', 'The address reaches too many others');
    targets.set(record.id, { account: await accountOf(this.#parts, record), address, label });
  }

  async #accept(
    address: string,
    target: Target,
    envelope: { readonly reversePath: string; readonly declaredOctets: number | undefined },
    session: DeliverySession,
  ): Promise<void> {
    const { hooks, actors } = this.#parts;
    const { reversePath, declaredOctets } = envelope;
    if (hooks.has('rcpt.accept')) {
      const context = { actor: actors.delivery, listener: session.listener, account: target.account };
      await guarded(() => hooks.gate('rcpt.accept', { address, reversePath, declaredOctets }, context));
    }
    await this.#requireRoom(target.account, declaredOctets ?? 0);
  }

  /** Advisory: the commit judges again, exactly. */
  async #requireRoom(account: Account, octets: number): Promise<void> {
    const { directory, hooks, mails, settings, actors } = this.#parts;
    const id = accountIdOf(account.id);
    const context = { actor: actors.delivery, account };
    const answer = hooks.has('quota.limits') ? await guarded(() => hooks.decide('quota.limits', { origin: 'smtp' }, context)) : undefined;
    const limit = octetLimit(answer?.octets, directory.cached(id)?.quotaOctets, settings.defaultQuotaOctets);
    const most = answer?.messages;
    if (limit === undefined && most === undefined) return;
    const { usage } = await mails.get(id);
    const isFull = (limit !== undefined && usage.octets + octets > limit) || (most !== undefined && usage.messages >= most);
    if (isFull) throw new MailError('over-quota', 'Mailbox is full');
  }
}

function noSuchRecipient(cause?: Error): MailError {
  return new MailError('no-such-recipient', 'No such recipient', cause === undefined ? undefined : { cause });
}
