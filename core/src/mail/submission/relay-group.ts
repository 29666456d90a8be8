/** One attempt for recipients who share a way out and what they want to be told: the hosts in their order, until one has an answer. */
import type { Account } from '@pochard/plugin-sdk';
import { MailError } from '../errors.ts';
import type { MailParts } from '../mail-parts.ts';
import type { MessageSource } from '../services.ts';
import { type AttemptOutcome, outcomeOfError } from './attempt-outcome.ts';
import type { QueuedMessage, QueuedRecipient } from './queue-rows.ts';
import type { Routes } from './routes.ts';
import { RelayFailure, type RelayHost, type RelayTransaction, type SmtpReply, type sendBySmtp } from './smtp-client.ts';

export interface RelayGroupOptions {
  readonly domain: string;
  readonly members: readonly { readonly n: number; readonly recipient: QueuedRecipient }[];
  readonly message: QueuedMessage;
  readonly source: MessageSource;
  readonly account: Account;
  /** Aborts when the server stops: nothing is known then. */
  readonly signal: AbortSignal;
  readonly routes: Routes;
  readonly parts: MailParts;
  readonly send: SendMail;
}
export type SendMail = typeof sendBySmtp;

/** By the number of the recipient. @throws what the signal was aborted with */
export async function relayGroup(options: RelayGroupOptions): Promise<ReadonlyMap<number, AttemptOutcome>> {
  const { domain, members, message, account, signal, routes, parts } = options;
  let last: AttemptOutcome;
  try {
    const hosts = await routes.hostsFor(domain, message.reversePath, account, signal);
    last = noHost();
    for (const host of hosts) {
      const result = await tryHost(host, options);
      if (result instanceof Map) return result;
      last = { result: 'deferred', reply: result.reply, host: host.host, isTold: false };
      parts.log.info({ submission: message.id, host: host.host, reply: logged(result.reply), err: result.cause }, 'a relay took nothing');
      if (result.scope === 'final') {
        last = { ...last, result: 'failed' };
        break;
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RelayFailure)
      last = { result: error.scope === 'final' ? 'failed' : 'deferred', reply: error.reply, host: undefined, isTold: false };
    else if (error instanceof MailError) last = outcomeOfError(error);
    else throw error;
  }
  return new Map(members.map(({ n }) => [n, last]));
}

async function tryHost(
  host: RelayHost,
  { members, message, source, signal, parts, send }: RelayGroupOptions,
): Promise<Map<number, AttemptOutcome> | RelayFailure> {
  const first = members[0]?.recipient;
  const transaction: RelayTransaction = {
    reversePath: message.reversePath,
    recipients: members.map(({ recipient }) => recipient.address),
    notify: first?.notify,
    originalRecipient: first?.originalRecipient,
    returns: message.returns,
    envelopeId: message.envelopeId,
    isUtf8: message.isUtf8,
    source,
  };
  try {
    const { replies, takesDsn } = await send(host, transaction, { hostname: parts.settings.hostname, signal });
    const outcomes = new Map<number, AttemptOutcome>();
    for (const { n, recipient } of members) {
      const reply = replies.get(recipient.address) ?? { code: 0, status: '4.4.2', text: 'No reply' };
      const result = reply.code >= 500 ? 'failed' : reply.code >= 200 && reply.code < 300 ? 'sent' : 'deferred';
      outcomes.set(n, { result, reply, host: host.host, isTold: takesDsn });
    }
    return outcomes;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RelayFailure) return error;
    throw error;
  }
}

function noHost(): AttemptOutcome {
  return { result: 'deferred', reply: { code: 0, status: '4.4.4', text: 'No server to send to' }, host: undefined, isTold: false };
}
/** Codes only: what others write stays out of the log. */
function logged({ code, status }: SmtpReply): string {
  return `${code} ${status}`;
}
