/** What Dovecot answers for a mailbox of real mail, and where we answer otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOf } from '../journal/uid-runs.ts';
import { corpusMailbox, corpusQueries, skip } from './dovecot.fixture.ts';
import { TestMailbox } from './mailbox.fixture.ts';
import { searchMailbox } from './search.ts';

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

for (const storage of ['in memory', 'streamed in pieces of 61 octets'] as const) {
  test(`SEARCH finds in 241 real messages what Dovecot finds, bodies ${storage}`, { skip }, async (t) => {
    const box = new TestMailbox();
    if (storage !== 'in memory') box.content.chunkOctets = 61;
    for (const { message, raw, flags, date, size } of corpusMailbox()) {
      const uid = box.add({ raw, flags, date });
      assert.equal(box.content.message(uid)?.octets.length, size, message);
    }
    let compared = 0;
    const differing = new Set<string>();
    for (const { command, query, result } of corpusQueries()) {
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
