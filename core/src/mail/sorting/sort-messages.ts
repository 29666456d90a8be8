/** SORT (RFC 5256 §3, BASE.6.4.SORT; RFC 5957): the order of messages by their keys. */
import { decodeHeaderText } from '../../mime/header-text.ts';
import type { MetaColumn } from '../../store/store.ts';
import { TimeSlice } from '../search/time-slice.ts';
import type { ContentMetaRow } from '../services.ts';
import { baseSubject } from './base-subject.ts';
import { type AddressField, type EnvelopeAddress, EnvelopeReader } from './envelope-reader.ts';
import { sortedIndices } from './merge-sort.ts';
import type { MessageRows } from './message-rows.ts';
import { readMetadata, type SortingDeps } from './metadata-pages.ts';
import { TextColumn } from './text-column.ts';

export type SortKey = 'ARRIVAL' | 'CC' | 'DATE' | 'DISPLAYFROM' | 'DISPLAYTO' | 'FROM' | 'RELEVANCY' | 'SIZE' | 'SUBJECT' | 'TO';
export interface SortCriterion {
  readonly key: SortKey;
  readonly reverse: boolean;
}

/** A key of which each message has a text. */
type TextKey = Exclude<SortKey, 'ARRIVAL' | 'DATE' | 'RELEVANCY' | 'SIZE'>;
const TEXT_OF: Readonly<Record<TextKey, (envelope: EnvelopeReader) => string>> = {
  SUBJECT: (envelope) => baseSubject(decodeHeaderText(envelope.subject() ?? '')).text,
  FROM: (envelope) => mailboxOf(envelope.firstAddress('from')),
  TO: (envelope) => mailboxOf(envelope.firstAddress('to')),
  CC: (envelope) => mailboxOf(envelope.firstAddress('cc')),
  DISPLAYFROM: (envelope) => displayed(envelope, 'from'),
  DISPLAYTO: (envelope) => displayed(envelope, 'to'),
};

function isTextKey(key: SortKey): key is TextKey {
  return key in TEXT_OF;
}

/** Whether the order depends on what is in the messages, so that `fetch.authorize` must allow content. */
export function sortsByContent(criteria: readonly SortCriterion[]): boolean {
  return criteria.some(({ key }) => key === 'DATE' || isTextKey(key));
}

/**
 * Indices into `rows` in the order of the criteria, ties by sequence number. DATE is the instant of the Date header field, INTERNALDATE
 * where there is none (RFC 5256 §2.2). What cannot be read has empty texts. Works in slices of 5 ms.
 * @throws MailError locked, unavailable; the signal's reason
 */
export async function sortMessages(
  deps: SortingDeps,
  rows: MessageRows,
  criteria: readonly SortCriterion[],
  signal: AbortSignal,
): Promise<Uint32Array> {
  const slice = new TimeSlice(signal);
  const dates = criteria.some(({ key }) => key === 'DATE') ? internalDatesMs(rows) : undefined;
  const texts = new Map<TextKey, TextColumn>();
  for (const { key } of criteria) if (isTextKey(key)) texts.set(key, new TextColumn(rows.count));
  const columns: MetaColumn[] = [...(dates === undefined ? [] : ['sentAt' as const]), ...(texts.size === 0 ? [] : ['envelope' as const])];
  if (columns.length > 0) {
    await readMetadata(deps, rows, columns, slice, (message, row) => {
      if (dates !== undefined) setSentDate(dates, message, row);
      if (texts.size === 0 || row.envelope === undefined) return;
      const envelope = new EnvelopeReader(row.envelope);
      for (const [key, column] of texts) column.set(message, TEXT_OF[key](envelope));
    });
  }
  const ordered: { readonly values: Float64Array | Uint32Array | Uint8Array; readonly sign: number }[] = [];
  const done = new Set<SortKey>();
  for (const { key, reverse } of criteria) {
    if (done.has(key)) continue; // messages that got so far are equal by it
    done.add(key);
    ordered.push({ values: await valuesOf(key), sign: reverse ? -1 : 1 });
  }
  return sortedIndices(
    rows.count,
    (a, b) => {
      for (const { values, sign } of ordered) {
        const difference = (values[a] as number) - (values[b] as number);
        if (difference !== 0) return difference * sign;
      }
      return 0;
    },
    slice,
  );

  async function valuesOf(key: SortKey): Promise<Float64Array | Uint32Array | Uint8Array> {
    if (key === 'ARRIVAL') return rows.dates;
    if (key === 'RELEVANCY') return rows.irrelevance ?? new Uint8Array(rows.count); // the best first (RFC 6203 §5)
    if (key === 'SIZE') return rows.sizes;
    if (key === 'DATE') return dates ?? rows.dates;
    const column = texts.get(key);
    texts.delete(key); // its texts are not needed any more
    return column === undefined ? rows.dates : column.ranks(slice);
  }
}

/** By message, in ms since 1970. */
export function internalDatesMs({ dates, count }: MessageRows): Float64Array {
  const ms = new Float64Array(count);
  for (let message = 0; message < count; message++) ms[message] = (dates[message] as number) * 1000;
  return ms;
}

/** RFC 5256 §2.2. */
export function setSentDate(dates: Float64Array, message: number, { sentAt }: ContentMetaRow): void {
  if (sentAt !== undefined && sentAt !== null) dates[message] = sentAt;
}

/** addr-mailbox of ENVELOPE; for a group its name. */
function mailboxOf(address: EnvelopeAddress | undefined): string {
  return unicode(address?.mailbox ?? '');
}

/** RFC 5957 §3: the display name, decoded; without one the address, or the name of a group. */
function displayed(envelope: EnvelopeReader, field: AddressField): string {
  const address = envelope.firstAddress(field);
  if (address === undefined) return '';
  const name = decodeHeaderText(address.name ?? '');
  if (name !== '') return name;
  return unicode(address.host === undefined ? (address.mailbox ?? '') : `${address.mailbox ?? ''}@${address.host}`);
}

/** RFC 6532: octets of UTF-8. Encoded-words have no place in an address. */
function unicode(latin1: string): string {
  return /[\u0080-\u00ff]/.test(latin1) ? decodeHeaderText(latin1.replaceAll('=?', '= ?')) : latin1;
}
