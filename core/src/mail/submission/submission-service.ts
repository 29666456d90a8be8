/**
 * A message on its way out: identity, `submission.before`, `submission.message`, `submission.sentCopy`, then one commit that queues it for
 * all recipients and files the sender's copy. The same for SMTP and HTTP.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Message, SentCopy, Submission } from '@pochard/plugin-sdk';
import { RecordConflict } from '../../store/store.ts';
import { type AddressName, normalizeAddress } from '../accounts/names.ts';
import { messageView } from '../content/message-view.ts';
import type { ParsedSource } from '../content/parsed-source.ts';
import { receivedField } from '../delivery/trace-fields.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import type { MailboxInfo, SubmissionChange } from '../journal/account-mail.ts';
import type { SubmissionOutcome } from '../journal/entry.ts';
import { HookedMailAccess } from '../mail-access.ts';
import type { MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type {
  Delivery,
  DeliverySession,
  MessageSource,
  Spool,
  SubmissionRecipient,
  SubmissionRequest,
  SubmissionSender,
  Submissions,
} from '../services.ts';
import { defaultSubmission } from '../settings.ts';
import { BLIND_FIELDS, type MessageFields, messageFields, missingFields } from './message-fields.ts';
import type { QueuedMessage, QueuedRecipient, QueueRows } from './queue-rows.ts';
import { requireIdentity } from './sender-identity.ts';

export interface SubmissionServiceOptions {
  readonly parts: MailParts;
  readonly delivery: Pick<Delivery, 'resolve'>;
  readonly spool: Spool;
  readonly rows: QueueRows;
  /** Counters of the bus: adds, and returns the sum of the window. */
  readonly count: (key: string, by: number, windowMs: number) => Promise<number>;
  /** There is something new in the queue. */
  readonly queued: () => void;
}

const HOUR_MS = 3_600_000;
const COMMIT_ATTEMPTS = 5;
const NO_COPY: SentCopy = { file: 'no', sameWithinMs: 0 };
const NOTHING = Buffer.alloc(0);

/** What is the same for all steps of one submission. */
interface Step {
  readonly request: SubmissionRequest;
  readonly sender: SubmissionSender;
  readonly signal: AbortSignal;
  readonly submission: Submission<Message>;
  readonly fields: MessageFields;
  /** Date and Message-ID that the sender left out. */
  readonly missing: string;
}

export class SubmissionService implements Submissions {
  readonly #options: SubmissionServiceOptions;

  constructor(options: SubmissionServiceOptions) {
    this.#options = options;
  }

  requireIdentity(sender: SubmissionSender, address: string, where: 'reverse-path' | 'from'): Promise<void> {
    return requireIdentity(this.#options.parts, sender, address, where);
  }

  async resolve(sender: SubmissionSender, address: string, reversePath: string, session: DeliverySession): Promise<'here' | 'out'> {
    const { delivery } = this.#options;
    let name: AddressName;
    try {
      name = normalizeAddress(address);
    } catch (error) {
      throw error instanceof MailError && error.code === 'invalid' ? new MailError('invalid-name', 'Bad address syntax') : error;
    }
    try {
      await delivery.resolve(address, { reversePath, declaredOctets: undefined }, session);
      return 'here';
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      // A full mailbox may have room before the message is given up.
      if (error.code === 'over-quota') return 'here';
      if (error.code !== 'no-such-recipient' || this.#isDomainOfOurs(name.domain, sender)) throw error;
      return 'out';
    }
  }

  async submit(
    request: SubmissionRequest,
    sender: SubmissionSender,
    signal: AbortSignal,
  ): Promise<{ readonly id: string; readonly duplicate: boolean }> {
    const { rows } = this.#options;
    const account = accountIdOf(sender.account.id);
    const { idempotencyKey } = request;
    const key = idempotencyKey === undefined ? undefined : `${account}/${createHash('sha256').update(idempotencyKey).digest('base64url')}`;
    const known = key === undefined ? undefined : await rows.known(key);
    if (known !== undefined) return { id: known, duplicate: true };
    const made: MessageSource[] = [];
    try {
      return await this.#submit(request, sender, signal, key, made);
    } catch (error) {
      throw asMailError(error);
    } finally {
      for (const source of made) await source.dispose();
    }
  }

  async #submit(
    request: SubmissionRequest,
    sender: SubmissionSender,
    signal: AbortSignal,
    key: string | undefined,
    made: MessageSource[],
  ): Promise<{ readonly id: string; readonly duplicate: boolean }> {
    const { parts, rows, queued } = this.#options;
    const { settings, hooks, ingest, now } = parts;
    const { source, recipients } = request;
    if (source.sizeOctets > settings.messageOctets) throw new MailError('too-big', 'Message is too large');
    if (recipients.length === 0) throw new MailError('invalid', 'The message has no recipient');
    await this.#requireRate(sender, recipients.length);
    const message = await ingest.parse(source, 'parse', signal);
    const { head, parts: root } = message.parsed;
    // What is not read of it cannot be searched for Bcc.
    if (head.length < root.bodyStart) throw new MailError('too-big', 'The header of the message is too large');
    const fields = messageFields(head);
    for (const address of fields.from) await this.requireIdentity(sender, address, 'from');

    const id = newId(now());
    const view = await messageView(message);
    const submission: Submission<Message> = {
      id,
      reversePath: request.reversePath,
      recipients: recipients.map(({ address }) => address),
      sizeOctets: source.sizeOctets,
      message: view,
    };
    const context = { actor: sender.actor, session: sender.session, account: sender.account, signal };
    if (hooks.has('submission.before')) await guarded(() => hooks.gate('submission.before', submission, context));
    const missing = missingFields(fields, { id, hostname: settings.hostname, at: new Date(now()) });
    const step: Step = { request, sender, signal, submission, fields, missing };

    const outgoing = await this.#outgoing(message, step, made);
    const trace = Buffer.from(receivedField(this.#trace(step)) + (outgoing === message ? missing : ''), 'utf8');
    const content = await ingest.preparePlain(outgoing, trace, { ...context });
    const queue: QueuedMessage = {
      id,
      account: accountIdOf(sender.account.id),
      username: sender.account.username,
      content: content.id,
      sizeOctets: content.sizeOctets,
      reversePath: request.reversePath,
      submittedAt: now(),
      isUtf8: fields.isUtf8,
      ...(request.returns === undefined ? {} : { returns: request.returns }),
      ...(request.envelopeId === undefined ? {} : { envelopeId: request.envelopeId }),
      reportMadeAt: 0,
      reportDueAt: 0,
      reportAttempts: 0,
      reports: 0,
      recipients: recipients.map((recipient) => queuedRecipient(recipient, now())),
    };
    const change = {
      outcomes: outcomesOf(sender, id, recipients),
      keeps: [content],
      drops: [],
      records: [...rows.added(queue), ...(key === undefined ? [] : [rows.keyed(key, id, now())])],
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#commit(message, change, step);
        break;
      } catch (error) {
        const earlier = key === undefined ? undefined : await rows.known(key);
        if (earlier !== undefined && earlier !== id) return { id: earlier, duplicate: true }; // the same request at the same time
        // It was the record of another submission that shared the entry.
        if (!(error instanceof RecordConflict) || attempt === COMMIT_ATTEMPTS) throw error;
      }
    }
    parts.committed();
    queued();
    return { id, duplicate: false };
  }

  async #requireRate({ account }: SubmissionSender, recipients: number): Promise<void> {
    const { parts, count } = this.#options;
    const most = (parts.settings.submission ?? defaultSubmission).recipientsPerHour;
    const key = `submission ${account.id}`;
    if ((await count(key, recipients, HOUR_MS)) <= most) return;
    // What was not sent uses nothing up.
    await count(key, -recipients, HOUR_MS);
    throw new MailError('rate', 'Too many recipients within an hour, try again later');
  }

  /** Bcc gone, missing fields added, `submission.message`. The message itself when none of it changes its octets. */
  async #outgoing(message: ParsedSource, step: Step, made: MessageSource[]): Promise<ParsedSource> {
    const { parts, spool } = this.#options;
    const { hooks, settings, ingest } = parts;
    const { sender, submission, fields, missing, signal } = step;
    const isTapped = hooks.has('submission.message');
    if (!isTapped && !fields.hasBlindCopies) return message;
    let out = submission.message;
    for (const name of BLIND_FIELDS) out = out.without(name);
    for (const line of missing.split('\r\n').reverse()) {
      const colon = line.indexOf(':');
      if (colon > 0) out = out.prepend(line.slice(0, colon), line.slice(colon + 2));
    }
    if (isTapped) {
      const first = out;
      const context = { actor: sender.actor, session: sender.session, account: sender.account, signal, submission };
      out = await guarded(() => hooks.transform('submission.message', first, context));
    }
    const source = await spool.receive(out.open(), { limitOctets: settings.messageOctets, signal });
    made.push(source);
    return ingest.parse(source, 'parse', signal);
  }

  /** The sender's copy is as the client made it, Bcc and all: it is what the client would file. */
  async #commit(message: ParsedSource, change: Omit<SubmissionChange, 'file'>, step: Step): Promise<void> {
    const { parts } = this.#options;
    const { sender, submission, signal, missing } = step;
    const { hooks, mails } = parts;
    const { account, actor, session } = sender;
    const mail = await mails.get(accountIdOf(account.id));
    const origin = { by: 'submission', actor: actor.name };
    const context = { actor, session, account, signal, submission };
    const copy = hooks.has('submission.sentCopy') ? await guarded(() => hooks.transform('submission.sentCopy', NO_COPY, context)) : NO_COPY;
    if (copy.file === 'no') return mail.submission(change, origin);
    const access = new HookedMailAccess(parts, { account, mail, actor, session, by: 'submission' });
    const { mailbox, flags } = copy.file;
    const box = await this.#mailboxFor(access, mailbox);
    const prefix = missing === '' ? NOTHING : Buffer.from(missing, 'utf8');
    const secret = account.sealed ? parts.digestKey : undefined;
    const key = copy.sameWithinMs > 0 ? await parts.matches.keyFor(mail.account, box.id, message, copy.sameWithinMs, secret) : undefined;
    const item = await access.prepareItem(box.id, message, {
      flags,
      date: Math.floor(parts.now() / 1000),
      way: 'sent-copy',
      signal,
      prefix,
      key,
    });
    await mail.submission({ ...change, file: { box: box.id, item, limits: await access.limitsFor('sent-copy') } }, origin);
  }

  /** Made when it is missing: a copy that nobody can find would be a copy lost. */
  async #mailboxFor(access: HookedMailAccess, which: Exclude<SentCopy['file'], 'no'>['mailbox']): Promise<MailboxInfo> {
    const { mail } = access;
    if (typeof which === 'object') {
      const named = mail.byName(which.name);
      return named?.selectable === true ? named : access.create(which.name);
    }
    const found = mail.bySpecialUse(which);
    if (found?.selectable === true) return found;
    const planned = this.#options.parts.settings.mailboxes.find(({ specialUse }) => specialUse === which)?.name ?? which.slice(1);
    const named = mail.byName(planned);
    return named?.selectable === true ? named : access.create(planned, { specialUse: [which] });
  }

  #trace({ request, submission }: Step): Parameters<typeof receivedField>[0] {
    const { parts } = this.#options;
    return {
      hostname: parts.settings.hostname,
      id: submission.id,
      origin: request.way,
      helo: undefined,
      remoteAddress: '',
      esmtp: request.esmtp,
      reversePath: request.reversePath,
      onlyRecipient: undefined,
      at: new Date(parts.now()),
    };
  }

  #isDomainOfOurs(domain: string, { account }: SubmissionSender): boolean {
    const { domains = [] } = this.#options.parts.settings;
    if (domain === '' || domains.includes(domain)) return true;
    if (domains.length > 0) return false;
    // Nobody has said which domains are ours; the sender's own are.
    return domain === account.domain || account.addresses.some((address) => address.endsWith(`@${domain}`));
  }
}

function queuedRecipient({ address, goes, notify, originalRecipient }: SubmissionRecipient, now: number): QueuedRecipient {
  return {
    address,
    goes,
    state: 'waiting',
    attempts: 0,
    dueAt: now,
    ...(notify === undefined ? {} : { notify }),
    ...(originalRecipient === undefined ? {} : { originalRecipient }),
  };
}

/** Whom the owner of a sealed account writes to is sealed as well. */
function outcomesOf({ account }: SubmissionSender, submission: string, recipients: readonly SubmissionRecipient[]): SubmissionOutcome[] {
  return recipients.map(({ address }) => ({ submission, recipient: account.sealed ? '' : address, outcome: 'queued', reply: '' }));
}

/** Sorts by time; [a-z0-9]. */
function newId(now: number): string {
  return `${now.toString(36).padStart(9, '0')}${randomBytes(5).toString('hex')}`;
}
