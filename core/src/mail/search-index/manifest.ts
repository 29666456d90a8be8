/** The list of an account's search segments: one record, each change guarded by its version. */
import { type AccountId, RecordConflict, type Records, type Seq } from '../../store/store.ts';

export interface SegmentEntry {
  readonly id: string;
  readonly docs: number;
  readonly pieces: number;
  readonly octets: number;
}
export interface Manifest {
  /** 0: there is no record. */
  readonly version: number;
  /** Contents of all entries up to this one are in a segment, or are gone; 0: nobody knows, look at all of them. */
  readonly seq: Seq;
  readonly segments: readonly SegmentEntry[];
}

const KEY = 'segments';
/** A reader leaves a manifest of a higher format alone. */
const FORMAT = 1;
const SEGMENTS_AT_MOST = 10_000;

function tableOf(account: AccountId): string {
  return `account/${account}/search-index`;
}

/** `undefined`: a newer Pochard wrote it; neither to be used nor to be changed. What makes no sense is an empty list. */
export async function readManifest(records: Records, account: AccountId): Promise<Manifest | undefined> {
  const row = await records.get(tableOf(account), KEY);
  if (row === undefined) return { version: 0, seq: 0, segments: [] };
  const { value, version } = row;
  if (!isObject(value)) return { version, seq: 0, segments: [] };
  const { format, seq, segments } = value;
  if (typeof format === 'number' && format > FORMAT) return undefined;
  const isSound = isCount(seq) && Array.isArray(segments) && segments.length <= SEGMENTS_AT_MOST && segments.every(isEntry);
  return isSound ? { version, seq, segments } : { version, seq: 0, segments: [] };
}

/** Returns it as it is now; `undefined`: another writer was first. */
export async function writeManifest(
  records: Records,
  account: AccountId,
  before: Manifest,
  change: { readonly seq: Seq; readonly segments: readonly SegmentEntry[] },
): Promise<Manifest | undefined> {
  const value = { format: FORMAT, ...change };
  try {
    await records.write([{ table: tableOf(account), key: KEY, value, ifVersion: before.version }]);
  } catch (error) {
    if (error instanceof RecordConflict) return undefined;
    throw error;
  }
  return { version: before.version + 1, ...change };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
function isEntry(value: unknown): value is SegmentEntry {
  if (!isObject(value)) return false;
  const { id, docs, pieces, octets } = value;
  return typeof id === 'string' && /^[a-z0-9-]{1,64}$/.test(id) && isCount(docs) && isCount(pieces) && isCount(octets);
}
