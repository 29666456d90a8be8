/**
 * The queue of submissions at rest: records that every driver keeps. A row a message; beside it a row whose key sorts by when it is due, so
 * that looking for work reads only what is due. The message itself is a content of its sender's account.
 */
import type { AccountId, ContentId, RecordRow, Records, RecordWrite } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { DsnNotify } from '../services.ts';

const QUEUE = 'submission/queue';
const DUE = 'submission/due';
const KEYS = 'submission/key';
/** Digits of a due time in ms: enough until the year 11970, so that keys sort as the numbers do. */
const DUE_DIGITS = 15;
const KEY_MS = 86_400_000;

export type ReportAction = 'failed' | 'delayed' | 'delivered' | 'relayed';
export interface QueuedRecipient {
  readonly address: string;
  readonly goes: 'here' | 'out';
  /** `waiting`: to be tried (again). `settled`: nothing more will be tried. */
  readonly state: 'waiting' | 'settled';
  readonly attempts: number;
  /** ms since 1970. */
  readonly dueAt: number;
  readonly notify?: readonly DsnNotify[];
  readonly originalRecipient?: string;
  /** What the sender is yet to be told. */
  readonly report?: ReportAction;
  /** A notice of delay was sent. */
  readonly isDelayTold?: boolean;
  /** Enhanced status code of the last attempt (RFC 3463). */
  readonly status?: string;
  /** The last reply, one line, and who gave it. */
  readonly reply?: string;
  readonly host?: string;
}
export interface QueuedMessage {
  readonly id: string;
  readonly account: AccountId;
  readonly username: string;
  readonly content: ContentId;
  readonly sizeOctets: number;
  readonly reversePath: string;
  /** ms since 1970. */
  readonly submittedAt: number;
  /** Header block with octets above 127: RFC 6531. */
  readonly isUtf8: boolean;
  readonly returns?: 'full' | 'headers';
  readonly envelopeId?: string;
  /** When {@link QueuedRecipient.report}s were owed first, are due, and how often telling them has failed. */
  readonly reportMadeAt: number;
  readonly reportDueAt: number;
  readonly reportAttempts: number;
  /** Reports made so far: names the next one. */
  readonly reports: number;
  readonly recipients: readonly QueuedRecipient[];
}
export interface VersionedMessage {
  readonly message: QueuedMessage;
  readonly version: number;
}

/** When something is to be done for the message, ms since 1970; `undefined`: it is finished. */
export function dueAt(message: QueuedMessage): number | undefined {
  let due: number | undefined;
  for (const recipient of message.recipients) {
    if (recipient.state === 'waiting') due = Math.min(due ?? recipient.dueAt, recipient.dueAt);
    if (recipient.report !== undefined) due = Math.min(due ?? message.reportDueAt, message.reportDueAt);
  }
  return due;
}

export class QueueRows {
  readonly #records: Records;
  constructor(records: Records) {
    this.#records = records;
  }

  async get(id: string): Promise<VersionedMessage | undefined> {
    const row = await this.#records.get(QUEUE, id);
    return row === undefined ? undefined : { message: readMessage(row), version: row.version };
  }
  async list(options: { readonly after?: string; readonly limit: number }): Promise<readonly QueuedMessage[]> {
    return (await this.#records.list(QUEUE, options)).map(readMessage);
  }
  /** Due at or before `until`, earliest first. `next` is the key to go on after, `later` when the first is due that is not yet. */
  async due(
    until: number,
    after: string | undefined,
    limit: number,
  ): Promise<{
    readonly rows: readonly { readonly id: string; readonly key: string }[];
    readonly next: string | undefined;
    readonly later: number | undefined;
  }> {
    const found = await this.#records.list(DUE, after === undefined ? { limit } : { after, limit });
    const rows: { readonly id: string; readonly key: string }[] = [];
    for (const { key } of found) {
      const at = Number(key.slice(0, DUE_DIGITS));
      if (at > until) return { rows, next: undefined, later: at };
      rows.push({ id: key.slice(DUE_DIGITS + 1), key });
    }
    return { rows, next: found.length < limit ? undefined : found.at(-1)?.key, later: undefined };
  }
  /** A due row without its message: what is left of one that was removed by hand. */
  forgetDue(key: string): Promise<void> {
    return this.#records.write([{ table: DUE, key, value: undefined }]);
  }
  write(writes: readonly RecordWrite[]): Promise<void> {
    return this.#records.write(writes);
  }

  added(message: QueuedMessage): readonly RecordWrite[] {
    return [{ table: QUEUE, key: message.id, value: message, ifVersion: 0 }, ...dueWrites(undefined, message)];
  }
  changed(from: VersionedMessage, to: QueuedMessage): readonly RecordWrite[] {
    return [{ table: QUEUE, key: to.id, value: to, ifVersion: from.version }, ...dueWrites(from.message, to)];
  }
  removed({ message, version }: VersionedMessage): readonly RecordWrite[] {
    return [{ table: QUEUE, key: message.id, value: undefined, ifVersion: version }, ...dueWrites(message, undefined)];
  }

  /** The submission that an earlier request with this key made. */
  async known(key: string): Promise<string | undefined> {
    const row = await this.#records.get(KEYS, key);
    if (row === undefined) return undefined;
    const { id } = fields(row.value);
    return typeof id === 'string' ? id : undefined;
  }
  keyed(key: string, id: string, now: number): RecordWrite {
    return { table: KEYS, key, value: { id }, ifVersion: 0, expiresAt: now + KEY_MS };
  }
}

function dueKey(message: QueuedMessage | undefined): string | undefined {
  const at = message === undefined ? undefined : dueAt(message);
  return message === undefined || at === undefined ? undefined : `${String(Math.floor(at)).padStart(DUE_DIGITS, '0')} ${message.id}`;
}

function dueWrites(from: QueuedMessage | undefined, to: QueuedMessage | undefined): readonly RecordWrite[] {
  const before = dueKey(from);
  const after = dueKey(to);
  if (before === after) return [];
  return [
    ...(before === undefined ? [] : [{ table: DUE, key: before, value: undefined }]),
    ...(after === undefined ? [] : [{ table: DUE, key: after, value: {} }]),
  ];
}

/* Rows are JSON that this file wrote; they are read with the care that a database edited by hand deserves. */

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw damaged();
  return { ...value };
}
function damaged(): MailError {
  return new MailError('damaged', 'A record of the queue is damaged');
}
function readMessage({ key, value }: RecordRow): QueuedMessage {
  const row = fields(value);
  const { account, username, content, sizeOctets, reversePath, submittedAt, recipients, reports } = row;
  const { reportMadeAt, reportDueAt, reportAttempts } = row;
  const isWhole =
    typeof account === 'string' &&
    typeof username === 'string' &&
    typeof reversePath === 'string' &&
    [content, sizeOctets, submittedAt, reportMadeAt, reportDueAt, reportAttempts, reports].every(Number.isSafeInteger) &&
    Array.isArray(recipients) &&
    recipients.every(isRecipient);
  if (!isWhole || row['id'] !== key) throw damaged();
  return value as QueuedMessage;
}
function isRecipient(value: unknown): value is QueuedRecipient {
  const { address, goes, state, attempts, dueAt: at } = fields(value);
  return (
    typeof address === 'string' &&
    (goes === 'here' || goes === 'out') &&
    (state === 'waiting' || state === 'settled') &&
    Number.isSafeInteger(attempts) &&
    Number.isFinite(at)
  );
}
