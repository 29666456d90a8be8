/** One transaction with another SMTP server (RFC 5321 §3.3), on nodemailer's connection: a reply for each recipient, or one error for all. */
import { Readable } from 'node:stream';
import { domainToASCII } from 'node:url';
import SMTPConnection, { type SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import type { DsnNotify, MessageSource } from '../services.ts';
import type { RelayTls } from '../settings.ts';

export interface RelayHost {
  readonly host: string;
  readonly port: number;
  readonly tls: RelayTls;
  /** PEM; `undefined`: Node's own. */
  readonly ca?: string | undefined;
  readonly auth?: { readonly user: string; readonly password: string } | undefined;
}
/** Recipients of one transaction ask for the same notices: nodemailer says them once. */
export interface RelayTransaction {
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly notify: readonly DsnNotify[] | undefined;
  readonly originalRecipient: string | undefined;
  readonly returns: 'full' | 'headers' | undefined;
  readonly envelopeId: string | undefined;
  readonly isUtf8: boolean;
  readonly source: MessageSource;
}
export interface SmtpReply {
  /** 0 when there was no reply. */
  readonly code: number;
  /** Enhanced status code, made from the code where the server gave none. */
  readonly status: string;
  /** One line, no control characters. */
  readonly text: string;
}
export interface RelayResult {
  readonly replies: ReadonlyMap<string, SmtpReply>;
  /** The server has taken over what the sender asked to be told (RFC 3461 §5.2.2). */
  readonly takesDsn: boolean;
}
/** The transaction failed for all recipients. */
export class RelayFailure extends Error {
  override name = 'RelayFailure';
  readonly reply: SmtpReply;
  /** `host`: another host of the domain may do better. `final`: the message was refused for good. */
  readonly scope: 'host' | 'message' | 'final';
  constructor(reply: SmtpReply, scope: RelayFailure['scope'], options?: ErrorOptions) {
    super(reply.text, options);
    this.reply = reply;
    this.scope = scope;
  }
}

const CONNECT_MS = 30_000;
/** RFC 5321 §4.5.3.2.1 to 4.5.3.2.6: five minutes for a command, ten for the end of data. */
const GREETING_MS = 300_000;
const SILENCE_MS = 600_000;
const MAX_TEXT = 500;

/** nodemailer says SMTPUTF8 only when an address needs it; a header may need it alone (RFC 6531 §3.7.1). */
class Utf8Connection extends SMTPConnection {
  isUtf8 = false;
  _sendCommand(command: string, logged?: string): void {
    const isMail = this.isUtf8 && command.startsWith('MAIL FROM:<') && !/ SMTPUTF8(?: |$)/.test(command);
    const send: unknown = Reflect.get(SMTPConnection.prototype, '_sendCommand');
    if (typeof send !== 'function') throw new TypeError('nodemailer has changed');
    Reflect.apply(send, this, [isMail ? `${command} SMTPUTF8` : command, logged]);
  }
}

/** @throws RelayFailure; whatever the signal was aborted with */
export async function sendBySmtp(
  host: RelayHost,
  transaction: RelayTransaction,
  options: { readonly hostname: string; readonly signal: AbortSignal },
): Promise<RelayResult> {
  try {
    return await attempt(host, transaction, options);
  } catch (error) {
    // Opportunistic means: rather open than not at all (RFC 7435).
    if (host.tls !== 'opportunistic' || !(error instanceof RelayFailure) || !isOfTls(error.cause)) throw error;
    return attempt({ ...host, tls: 'none' }, transaction, options);
  }
}

async function attempt(
  host: RelayHost,
  transaction: RelayTransaction,
  { hostname, signal }: { readonly hostname: string; readonly signal: AbortSignal },
): Promise<RelayResult> {
  signal.throwIfAborted();
  const connection = new Utf8Connection(connectionOptions(host, hostname));
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => undefined); // awaited below, if it comes in time
  connection.on('error', (error: Error) => broken.reject(error));
  const abort = (): void => {
    broken.reject(signal.reason);
    connection.close();
  };
  signal.addEventListener('abort', abort, { once: true });
  const body = Readable.from(transaction.source.open(), { objectMode: false });
  body.on('error', (error) => broken.reject(error));
  try {
    await Promise.race([called((done) => connection.connect(done)), broken.promise]);
    const extensions = extensionsIn(connection.lastServerResponse);
    const isUtf8 = needsUtf8(transaction);
    if (isUtf8 && !extensions.has('SMTPUTF8')) {
      throw new RelayFailure({ code: 0, status: '5.6.7', text: 'The server takes no internationalised addresses or headers' }, 'final');
    }
    connection.isUtf8 = isUtf8;
    const { auth } = host;
    if (auth !== undefined) {
      await Promise.race([called((done) => connection.login({ user: auth.user, pass: auth.password }, done)), broken.promise]);
    }
    const { recipients, returns, envelopeId, notify, originalRecipient, source } = transaction;
    const envelope = {
      from: asciiDomain(transaction.reversePath),
      to: recipients.map(asciiDomain),
      size: source.sizeOctets,
      use8BitMime: true,
      dsn: {
        ...(returns === undefined ? {} : { ret: returns === 'full' ? 'FULL' : 'HDRS' }),
        ...(envelopeId === undefined ? {} : { envid: envelopeId }),
        ...(notify === undefined ? {} : { notify: notify.map((word) => word.toUpperCase()) }),
        ...(originalRecipient === undefined ? {} : { orcpt: originalRecipient }),
      },
    };
    const info = await Promise.race([
      called<SMTPConnection.SentMessageInfo>((done) => connection.send(envelope, body, done)),
      broken.promise,
    ]);
    const accepted = replyIn(info.response);
    const replies = new Map<string, SmtpReply>();
    for (const recipient of recipients) replies.set(recipient, accepted);
    refuse(replies, recipients, info.rejectedErrors ?? []);
    return { replies, takesDsn: extensions.has('DSN') };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const all = allRejected(error, transaction.recipients);
    if (all !== undefined) return { replies: all, takesDsn: false };
    throw error instanceof RelayFailure ? error : failureOf(error);
  } finally {
    signal.removeEventListener('abort', abort);
    body.destroy();
    connection.quit();
    connection.close();
  }
}

function connectionOptions({ host, port, tls, ca }: RelayHost, hostname: string): SMTPConnectionOptions {
  return {
    host,
    port,
    name: hostname,
    secure: tls === 'implicit',
    ignoreTLS: tls === 'none',
    requireTLS: tls === 'starttls',
    opportunisticTLS: tls === 'opportunistic',
    connectionTimeout: CONNECT_MS,
    greetingTimeout: GREETING_MS,
    socketTimeout: SILENCE_MS,
    allowInternalNetworkInterfaces: true,
    // An MX proves nothing by its certificate, as its name came from the DNS.
    tls: { minVersion: 'TLSv1.2', rejectUnauthorized: tls !== 'opportunistic', ...(ca === undefined ? {} : { ca }) },
  };
}

/** A callback of nodemailer's as a promise. */
function called<T = unknown>(start: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error !== undefined && error !== null) reject(error);
      else resolve(value as T);
    });
  });
}

/** The keywords of an EHLO reply. */
function extensionsIn(reply: string | false): ReadonlySet<string> {
  const words = new Set<string>();
  for (const line of reply === false ? [] : reply.split(/\r?\n/)) {
    const [, keyword] = /^250[ -]([A-Za-z0-9-]+)/.exec(line) ?? [];
    if (keyword !== undefined) words.add(keyword.toUpperCase());
  }
  return words;
}

function needsUtf8({ isUtf8, reversePath, recipients }: RelayTransaction): boolean {
  return isUtf8 || [reversePath, ...recipients].some((address) => /[^\0-\x7f]/.test(asciiDomain(address)));
}

/** A-labels: what the name system and most servers know. */
function asciiDomain(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  if (at < 0 || !/[^\0-\x7f]/.test(domain)) return address;
  const ascii = domainToASCII(domain);
  return ascii === '' ? address : `${address.slice(0, at)}@${ascii}`;
}

/* ── What went wrong, from nodemailer's errors ── */

function member(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
function codeOf(error: unknown): string {
  const code = member(error, 'code');
  return typeof code === 'string' ? code : '';
}

/** nodemailer keeps the code of a failed handshake beside its own. */
function isOfTls(error: unknown): boolean {
  const original = member(error, 'originalCode');
  return codeOf(error) === 'ETLS' || (typeof original === 'string' && /SSL|TLS|CERT/.test(original));
}

function refuse(replies: Map<string, SmtpReply>, recipients: readonly string[], errors: readonly unknown[]): void {
  for (const error of errors) {
    const refused = member(error, 'recipient');
    for (const recipient of recipients) if (asciiDomain(recipient) === refused) replies.set(recipient, replyOfError(error));
  }
}

/** No recipient was taken: each has its own reply. */
function allRejected(error: unknown, recipients: readonly string[]): Map<string, SmtpReply> | undefined {
  const errors = member(error, 'rejectedErrors');
  if (!Array.isArray(errors) || errors.length === 0) return undefined;
  const replies = new Map<string, SmtpReply>();
  for (const recipient of recipients) replies.set(recipient, replyOfError(error));
  refuse(replies, recipients, errors);
  return replies;
}

function failureOf(error: unknown): RelayFailure {
  const reply = replyOfError(error);
  const command = member(error, 'command');
  const isOfMessage = command === 'MAIL FROM' || command === 'RCPT TO' || command === 'DATA';
  const isTooLarge = codeOf(error) === 'EMESSAGE' && reply.code === 0;
  // A server that greets or authenticates with 5xx says nothing about the message.
  if (isTooLarge) return new RelayFailure({ ...reply, status: '5.3.4' }, 'final', { cause: error });
  if (isOfMessage && reply.code >= 500) return new RelayFailure(reply, 'final', { cause: error });
  return new RelayFailure(reply, isOfMessage && reply.code !== 0 ? 'message' : 'host', { cause: error });
}

function replyOfError(error: unknown): SmtpReply {
  const response = member(error, 'response');
  if (typeof response === 'string' && /^[2-5]\d\d/.test(response)) return replyIn(response);
  const text = line(error instanceof Error ? error.message : 'The connection failed');
  return { code: 0, status: isOfTls(error) ? '4.7.5' : codeOf(error) === 'EAUTH' ? '4.7.0' : '4.4.1', text };
}

function replyIn(response: string): SmtpReply {
  const code = Number(/^\d{3}/.exec(response)?.[0] ?? 0);
  const text = line(response);
  const status = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?: |$)/.exec(text)?.[1];
  const isFitting = status?.startsWith(String(Math.floor(code / 100))) === true;
  return { code, status: status !== undefined && isFitting ? status : `${Math.floor(code / 100)}.0.0`, text };
}

function line(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, MAX_TEXT);
}
