import type { ContentMeta, MetaColumn, MetaColumns } from './store.ts';

/** The columns asked for, of metadata that is in memory whole. */
export function pickColumns(meta: ContentMeta, columns: readonly MetaColumn[]): Partial<MetaColumns> {
  return Object.fromEntries(columns.map((column) => [column, column === 'headText' ? latin1(meta.head) : meta[column]]));
}

/** One character an octet. */
export function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('latin1');
}
