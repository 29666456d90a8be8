/** For tests: what Dovecot answers for a mailbox of real mail. The corpus does not belong to this repository: ../shared/corpus beside the checkout, or POCHARD_CORPUS. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { SearchQuery, UidRanges } from '@pochard/plugin-sdk';
import { parse } from '../../imap/grammar/command.fixture.ts';
import { searchProgram } from '../../imap/grammar/search.ts';
import type { SearchKey } from '../../imap/grammar/syntax-tree.ts';

const CORPUS = process.env['POCHARD_CORPUS'] ?? join(import.meta.dirname, '../../../../../shared/corpus');
const EXPECTED = join(CORPUS, 'expected', 'dovecot-search.json');
/** Why a test of it is skipped, or `false`. */
export const skip = existsSync(EXPECTED) ? false : `SKIPPED: no corpus at ${CORPUS}, set POCHARD_CORPUS`;

interface Expected {
  readonly mailbox: readonly {
    readonly message: string;
    readonly flags: readonly string[];
    readonly internaldate: string;
    readonly size: number;
  }[];
  readonly queries: readonly {
    readonly command: string;
    readonly args: readonly (string | { readonly raw: string })[];
    readonly charset: string | null;
    readonly result: readonly number[];
  }[];
}

const DAY_MS = 86_400_000;

function bulkMessages(file: string): Map<string, Buffer> {
  const messages = new Map<string, Buffer>();
  for (const line of gunzipSync(readFileSync(join(CORPUS, file)))
    .toString('utf8')
    .split('\n')) {
    if (line === '') continue;
    const { id, raw } = JSON.parse(line) as { id: string; raw: string };
    messages.set(id, Buffer.from(raw, 'latin1'));
  }
  return messages;
}

/** Sequence numbers are UIDs in this mailbox, where nothing was ever expunged. */
function queryOf(key: SearchKey): SearchQuery {
  switch (key.op) {
    case 'and':
    case 'or':
      return { op: key.op, of: key.of.map(queryOf) };
    case 'not':
    case 'fuzzy':
      return { op: key.op, of: queryOf(key.of) };
    case 'sequence':
    case 'uid': {
      const ranges: (readonly [number, number])[] = [];
      for (let at = 0; at < key.in.ranges.length; at += 2) ranges.push([key.in.ranges[at] ?? 0, key.in.ranges[at + 1] ?? 0]);
      return { op: 'uid', in: ranges as readonly (readonly [number, number])[] as UidRanges };
    }
    case 'flag':
      return key.set ? { op: 'flag', flag: key.flag } : { op: 'not', of: { op: 'flag', flag: key.flag } };
    case 'date': {
      const day = new Date(key.day * DAY_MS);
      const next = new Date((key.day + 1) * DAY_MS);
      const { field } = key;
      if (key.relation === 'before') return { op: 'date', field, before: day };
      return key.relation === 'since' ? { op: 'date', field, from: day } : { op: 'date', field, from: day, before: next };
    }
    case 'larger':
      return { op: 'size', above: key.octets };
    case 'smaller':
      return { op: 'size', below: key.octets };
    case 'all':
    case 'text':
    case 'body':
    case 'subject':
    case 'from':
    case 'to':
    case 'cc':
    case 'bcc':
    case 'header':
      return key;
    default:
      throw new Error(`${key.op} is not in the expected values`);
  }
}

export interface CorpusMessage {
  readonly message: string;
  readonly raw: Buffer;
  readonly flags: readonly string[];
  /** Seconds since 1970. */
  readonly date: number;
  readonly size: number;
}
/** UIDs are 1, 2... in this order. */
export function corpusMailbox(): readonly CorpusMessage[] {
  const bulk = new Map<string, Map<string, Buffer>>();
  return expected().mailbox.map(({ message, flags, internaldate, size }) => {
    const [file = '', id] = message.split('#');
    if (id !== undefined && !bulk.has(file)) bulk.set(file, bulkMessages(file));
    const raw = id === undefined ? readFileSync(join(CORPUS, file)) : bulk.get(file)?.get(id);
    if (raw === undefined) throw new Error(`no message ${message}`);
    return { message, raw, flags, date: Date.parse(internaldate.replaceAll('-', ' ').replace(' +', ' +')) / 1000, size };
  });
}

/** The SEARCH commands (not SORT, not THREAD) and what Dovecot finds. */
export function corpusQueries(): readonly { readonly command: string; readonly query: SearchQuery; readonly result: readonly number[] }[] {
  return expected()
    .queries.filter(({ command }) => command.startsWith('SEARCH '))
    .map(({ command, args, charset, result }) => {
      const words = args.map((arg) => (typeof arg === 'string' ? literal(arg) : arg.raw));
      const wire = `${charset === null ? '' : `CHARSET ${charset} `}${words.join(' ')}`;
      return { command, query: queryOf(parse(searchProgram, wire).key), result };
    });
}

function expected(): Expected {
  return JSON.parse(readFileSync(EXPECTED, 'utf8')) as Expected;
}

/** A literal in octets of UTF-8, as the wire has them. */
function literal(text: string): string {
  const octets = Buffer.from(text, 'utf8');
  return `{${octets.length}+}\r\n${octets.toString('latin1')}`;
}
