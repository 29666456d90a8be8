/**
 * A message on its way in: `delivery.received`, `delivery.scan`, for each recipient `delivery.route`, trace fields, then as APPEND. Parsed
 * once, however many recipients it has; contents are each account's own.
 */
import { createHmac, hash, randomUUID } from 'node:crypto';
import type { Account, Message, Routing, Delivery as SdkDelivery, SpecialUse, Verdict } from '@pochard/plugin-sdk';
import { messageView } from '../content/message-view.ts';
import { countFields, type ParsedSource } from '../content/parsed-source.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import type { AccountMail, MailboxInfo } from '../journal/account-mail.ts';
import { HookedMailAccess } from '../mail-access.ts';
import type { MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { Delivery, DeliveryOutcome, DeliverySession, MessageSource, Recipient, Spool } from '../services.ts';
import type { Recipients } from './recipients.ts';
import { MAX_RECEIVED_FIELDS, type Trace, traceFields } from './trace-fields.ts';

type Target = Recipient['targets'][number];
type Request = Parameters<Delivery['deliver']>[0];

/** What is the same for all recipients. */
interface Prepared {
  readonly request: Request;
  readonly session: DeliverySession;
  readonly signal: AbortSignal;
  readonly message: ParsedSource;
  /** SHA-256 of what was received, when a repeat of it can be told from a second message. */
  readonly receivedDigest: Buffer | undefined;
  readonly delivery: SdkDelivery<Message> | undefined;
  readonly verdicts: readonly Verdict[];
  readonly trace: Trace;
}

export class DeliveryService implements Delivery {
  readonly #parts: MailParts;
  readonly #recipients: Recipients;
  readonly #spool: Spool;

  constructor(parts: MailParts, recipients: Recipients, spool: Spool) {
    this.#parts = parts;
    this.#recipients = recipients;
    this.#spool = spool;
  }

  resolve(
    address: string,
    envelope: { readonly reversePath: string; readonly declaredOctets: number | undefined },
    session: DeliverySession,
  ): Promise<Recipient> {
    return this.#recipients.resolve(address, envelope, session);
  }

  async deliver(request: Request, session: DeliverySession, signal: AbortSignal): Promise<readonly DeliveryOutcome[]> {
    const { source } = request;
    if (source.sizeOctets > this.#parts.settings.messageOctets) throw new MailError('too-big', 'Message is too large');
    let changed: MessageSource | undefined;
    try {
      const received = await this.#parts.ingest.parse(source, 'digest', signal);
      const [hops = 0, messageIds = 0] = countFields(received.parsed.head, ARMING);
      if (hops >= MAX_RECEIVED_FIELDS) throw new MailError('policy', 'The message goes round in circles');
      const { hooks } = this.#parts;
      const isHeard = hooks.has('delivery.received') || hooks.has('delivery.scan') || hooks.has('delivery.route');
      const id = randomUUID();
      let message = received;
      let delivery: SdkDelivery<Message> | undefined;
      if (isHeard) {
        const first = new IncomingDelivery(id, request, await messageView(received));
        delivery = await this.#received(first, session, signal);
        if (delivery.message !== first.message) {
          changed = await this.#spool.receive(delivery.message.open(), { limitOctets: this.#parts.settings.messageOctets, signal });
          message = await this.#parts.ingest.parse(changed, 'parse', signal);
        }
      }
      const verdicts = delivery === undefined ? NO_VERDICTS : await this.#scan(delivery, session, signal);
      const receivedDigest = hops + messageIds > 0 ? received.digest : undefined;
      const trace = this.#trace(id, request, session);
      const prepared: Prepared = { request, session, signal, message, receivedDigest, delivery, verdicts, trace };
      // The recipients of one message share its octets; their commits share a sync.
      return await Promise.all(request.recipients.map((recipient) => this.#toRecipient(recipient, prepared)));
    } catch (error) {
      throw asMailError(error);
    } finally {
      await changed?.dispose();
    }
  }

  async #received(delivery: IncomingDelivery, session: DeliverySession, signal: AbortSignal): Promise<SdkDelivery<Message>> {
    const { hooks, actors } = this.#parts;
    if (!hooks.has('delivery.received')) return delivery;
    const context = { actor: actors.delivery, listener: session.listener, signal };
    return guarded(() => hooks.transform('delivery.received', delivery, context));
  }

  async #scan(delivery: SdkDelivery<Message>, session: DeliverySession, signal: AbortSignal): Promise<readonly Verdict[]> {
    const { hooks, actors } = this.#parts;
    if (!hooks.has('delivery.scan')) return NO_VERDICTS;
    const verdicts = await guarded(() =>
      hooks.collect('delivery.scan', delivery, { actor: actors.delivery, listener: session.listener, signal }),
    );
    const refused = verdicts.find(({ action }) => action === 'reject');
    if (refused !== undefined) throw new MailError('policy', publicReason(refused, 'Message refused'));
    const deferred = verdicts.find(({ action }) => action === 'defer');
    if (deferred !== undefined) throw new MailError('unavailable', publicReason(deferred, 'Try again later'));
    return verdicts;
  }

  async #toRecipient(recipient: Recipient, prepared: Prepared): Promise<DeliveryOutcome> {
    const { address, targets } = recipient;
    try {
      const results = await Promise.all(targets.map((target) => this.#toTarget(target, prepared)));
      const duplicate = results.length > 0 && results.every((result) => result.duplicate);
      const settle = (): void => {
        for (const result of results) result.settle?.();
      };
      return { address, stored: true, duplicate, settle };
    } catch (error) {
      // When some accounts of a list have it and one has not, the retry finds the others' keys and stores nothing twice there.
      return { address, stored: false, error: asMailError(error) };
    }
  }

  async #toTarget(target: Target, prepared: Prepared): Promise<{ readonly duplicate: boolean; readonly settle?: () => void }> {
    const { actors, mails, now } = this.#parts;
    const { request, signal, message, trace } = prepared;
    const { account } = target;
    const mail = await mails.get(accountIdOf(account.id));
    const access = new HookedMailAccess(this.#parts, { account, mail, actor: actors.delivery, session: undefined, by: request.origin });
    const { box, flags } = await this.#route(target, mail, prepared);
    const key = this.#keyOf(account, prepared);
    const item = await access.prepareItem(box.id, message, {
      flags,
      date: Math.floor(now() / 1000),
      way: request.origin,
      signal,
      prefix: Buffer.from(traceFields(trace, target.address), 'utf8'),
      key,
    });
    const { duplicate } = await access.appendItems(box.id, [item], request.origin);
    return key === undefined ? { duplicate } : { duplicate, settle: () => mail.settleKey(key) };
  }

  async #route(
    target: Target,
    mail: AccountMail,
    prepared: Prepared,
  ): Promise<{ readonly box: MailboxInfo; readonly flags: readonly string[] }> {
    const { hooks, actors } = this.#parts;
    const { delivery, verdicts, session, signal } = prepared;
    let routing: Routing = { mailbox: 'INBOX', flags: [] };
    const labelled = target.label === undefined || target.label === '' ? undefined : mailboxLabelled(mail, target.label);
    if (labelled !== undefined) routing = { mailbox: { name: labelled.name }, flags: [] };
    if (verdicts.some(({ action }) => action === 'junk')) routing = { mailbox: '\\Junk', flags: [] };
    if (delivery !== undefined && hooks.has('delivery.route')) {
      const context = { actor: actors.delivery, account: target.account, listener: session.listener, delivery, verdicts, signal };
      const first = routing;
      routing = await guarded(() => hooks.transform('delivery.route', first, context));
    }
    const box = this.#mailboxOf(mail, routing.mailbox) ?? mail.byName('INBOX');
    if (box === undefined) throw new MailError('unavailable', 'The account has no INBOX');
    return { box, flags: routing.flags };
  }

  #mailboxOf(mail: AccountMail, which: Routing['mailbox']): MailboxInfo | undefined {
    const box =
      typeof which === 'object' ? mail.byName(which.name) : which === 'INBOX' ? undefined : mail.bySpecialUse(which satisfies SpecialUse);
    return box?.selectable === true ? box : undefined;
  }

  /** The same message from the same sender to the same account again (LMTP and SMTP retry after a lost reply): design/journal.md row 20. */
  #keyOf(account: Account, { receivedDigest, request }: Prepared): string | undefined {
    if (receivedDigest === undefined) return undefined;
    // Of sealed mail a plain digest would confirm guesses of its content (row 21).
    const octets = Buffer.concat([Buffer.from(`${account.id}\0${request.reversePath}\0`), receivedDigest]);
    if (!account.sealed) return hash('sha256', octets, 'base64url');
    return createHmac('sha256', this.#parts.digestKey).update(octets).digest('base64url');
  }

  #trace(id: string, request: Request, session: DeliverySession): Trace {
    const [only] = request.recipients;
    return {
      hostname: this.#parts.settings.hostname,
      id,
      origin: request.origin,
      helo: request.helo,
      remoteAddress: session.remoteAddress,
      esmtp: request.esmtp,
      reversePath: request.reversePath,
      onlyRecipient: request.recipients.length === 1 ? only?.address : undefined,
      at: new Date(this.#parts.now()),
    };
  }
}

/** Fields without which two equal messages may be two messages. */
const ARMING: readonly string[] = ['received', 'message-id'];
const NO_VERDICTS: readonly Verdict[] = [];

class IncomingDelivery implements SdkDelivery<Message> {
  readonly id: string;
  readonly origin: 'smtp' | 'lmtp' | 'api';
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly message: Message;

  constructor(id: string, request: Pick<Request, 'origin' | 'reversePath' | 'recipients'>, message: Message) {
    this.id = id;
    this.origin = request.origin;
    this.reversePath = request.reversePath;
    this.recipients = request.recipients.map(({ address }) => address);
    this.message = message;
  }
  get sizeOctets(): number {
    return this.message.sizeOctets;
  }
  with(message: Message): IncomingDelivery {
    return new IncomingDelivery(
      this.id,
      { origin: this.origin, reversePath: this.reversePath, recipients: this.recipients.map((address) => ({ address, targets: [] })) },
      message,
    );
  }
}

/** Labels have no case, as addresses have none here; mailbox names do. */
function mailboxLabelled(mail: AccountMail, label: string): MailboxInfo | undefined {
  const exact = mail.byName(label);
  if (exact?.selectable === true) return exact;
  for (const info of mail.mailboxes()) if (info.selectable && info.name.toLowerCase() === label) return info;
  return undefined;
}

/** A scanner's words for the sender's bounce: one line, short. */
function publicReason({ reason }: Verdict, otherwise: string): string {
  return reason === undefined ? otherwise : reason.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ').slice(0, 200);
}
