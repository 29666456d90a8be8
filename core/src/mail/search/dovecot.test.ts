/** What Dovecot answers for a mailbox of real mail. The corpus does not belong to this repository: ../shared/corpus beside the checkout, or POCHARD_CORPUS. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { SearchQuery, UidRanges } from '@pochard/plugin-sdk';
import { parse } from '../../imap/grammar/command.fixture.ts';
import { searchProgram } from '../../imap/grammar/search.ts';
import type { SearchKey } from '../../imap/grammar/syntax-tree.ts';
import { runOf } from '../journal/uid-runs.ts';
import { TestMailbox } from './mailbox.fixture.ts';
import { searchMailbox } from './search.ts';

const CORPUS = process.env['POCHARD_CORPUS'] ?? join(import.meta.dirname, '../../../../../shared/corpus');
const EXPECTED = join(CORPUS, 'expected', 'dovecot-search.json');
const skip = existsSync(EXPECTED) ? false : `SKIPPED: no corpus at ${CORPUS}, set POCHARD_CORPUS`;

/** Where we answer otherwise than Dovecot 2.3: the messages that only one of the two finds, and why. */
const DIFFERENCES: ReadonlyMap<string, { readonly ours: readonly number[]; readonly theirs: readonly number[]; readonly why: string }> =
  new Map([
    [
      'SEARCH CHARSET UTF-8 SUBJECT "лучше"',
      { ours: [209], theirs: [], why: 'koi8_r is read as KOI8-R (RFC 2978); Dovecot does not know the name' },
    ],
    [
      'SEARCH CHARSET UTF-8 BODY "лучше"',
      { ours: [209], theirs: [], why: 'koi8_r is read as KOI8-R (RFC 2978); Dovecot does not know the name' },
    ],
    [
      'SEARCH BODY "client"',
      { ours: [217], theirs: [], why: 'RFC 9051 §6.4.4: the header of an embedded message is in the body of the message that holds it' },
    ],
    [
      'SEARCH SENTBEFORE 1-Jan-2002',
      {
        ours: [],
        theirs: [1, 20, 34, 42, 112, 114, 139, 150, 159, 195, 197],
        why: 'RFC 9051 §6.4.4 compares the Date header: a message without one, which Dovecot dates to 1970, was sent on no day',
      },
    ],
    [
      'SEARCH SINCE 20-Jan-2024 NOT FROM "@"',
      {
        ours: [89, 185, 223],
        theirs: [],
        why: 'RFC 9051 §6.4.4: FROM looks into the field, and "From: Darren New <dnew>" holds no "@"; Dovecot adds "@MISSING_DOMAIN"',
      },
    ],
  ]);

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

for (const storage of ['in memory', 'streamed in pieces of 61 octets'] as const) {
  test(`SEARCH finds in 241 real messages what Dovecot finds, bodies ${storage}`, { skip }, async (t) => {
    const expected = JSON.parse(readFileSync(EXPECTED, 'utf8')) as Expected;
    const bulk = new Map<string, Map<string, Buffer>>();
    const box = new TestMailbox();
    if (storage !== 'in memory') box.content.chunkOctets = 61;
    for (const { message, flags, internaldate, size } of expected.mailbox) {
      const [file = '', id] = message.split('#');
      if (id !== undefined && !bulk.has(file)) bulk.set(file, bulkMessages(file));
      const raw = id === undefined ? readFileSync(join(CORPUS, file)) : bulk.get(file)?.get(id);
      assert.ok(raw, message);
      const uid = box.add({ raw, flags, date: Date.parse(internaldate.replaceAll('-', ' ').replace(' +', ' +')) / 1000 });
      assert.equal(box.content.message(uid)?.octets.length, size, message);
    }
    let compared = 0;
    const differing = new Set<string>();
    for (const { command, args, charset, result } of expected.queries) {
      if (!command.startsWith('SEARCH ')) continue;
      const words = args.map((arg) => (typeof arg === 'string' ? literal(arg) : arg.raw));
      const wire = `${charset === null ? '' : `CHARSET ${charset} `}${words.join(' ')}`;
      const query = queryOf(parse(searchProgram, wire).key);
      const found = [...(await searchMailbox(box, query, box.state, runOf(1, 241), AbortSignal.timeout(60_000)))];
      compared += 1;
      const difference = DIFFERENCES.get(command);
      if (difference === undefined) {
        assert.deepEqual(found, result, command);
        continue;
      }
      differing.add(command);
      assert.deepEqual(
        { ours: found.filter((uid) => !result.includes(uid)), theirs: result.filter((uid) => !found.includes(uid)) },
        { ours: difference.ours, theirs: difference.theirs },
        command,
      );
    }
    assert.equal(differing.size, DIFFERENCES.size);
    t.diagnostic(`${compared} queries, ${differing.size} differ for a reason`);
  });
}

/** A literal in octets of UTF-8, as the wire has them. */
function literal(text: string): string {
  const octets = Buffer.from(text, 'utf8');
  return `{${octets.length}+}\r\n${octets.toString('latin1')}`;
}
