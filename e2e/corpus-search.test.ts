/** SEARCH over the 241-message mailbox of expected/dovecot-search.json finds what Dovecot finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptedDifferences } from '../core/src/mime/dovecot-differences.fixture.ts';
import { bulkMessages, digest, expected, readCorpus, withCrlf } from './support/corpus.ts';
import { ImapScript } from './support/imap-script.ts';
import { startServer } from './support/server.ts';
import { needsCorpus } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
/** Commands that are not offered yet; their capabilities, so that a server that offers them fails here. */
const NOT_YET: ReadonlyMap<string, string> = new Map([
  ['SORT', 'SORT'],
  ['THREAD', 'THREAD='],
]);

interface Query {
  readonly kind: string;
  readonly command: string;
  readonly args?: readonly (string | { readonly raw: string })[];
  readonly charset?: string | null;
  readonly result: readonly number[];
}
interface SearchMailbox {
  readonly mailbox: readonly {
    readonly message: string;
    readonly flags: readonly string[];
    readonly internaldate: string;
    readonly size: number;
    readonly sha256_crlf: string;
  }[];
  readonly queries: readonly Query[];
}

test('SEARCH finds in 241 real messages what Dovecot finds', async (t) => {
  if (!needsCorpus(t)) return;
  const { mailbox, queries } = expected<SearchMailbox>('dovecot-search.json');
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  const bulk = new Map([...bulkMessages()].map(({ name, raw }) => [name, raw]));
  for (const { message, flags, internaldate, size, sha256_crlf } of mailbox) {
    const octets = withCrlf(bulk.get(message) ?? readCorpus(message));
    assert.deepEqual(digest(octets), { size, sha256: sha256_crlf }, message);
    assert.match(await imap.append('INBOX', octets, `(${flags.join(' ')}) "${internaldate}"`), /^OK /, message);
  }
  assert.match((await imap.command('SELECT INBOX')).done, /^OK /);
  const { untagged: offered } = await imap.command('CAPABILITY');
  const left = new Map<string, number>();
  const seen = new Set<string>();
  const differences: string[] = [];
  let compared = 0;
  for (const query of queries) {
    const [verb = ''] = query.command.split(' ');
    const capability = NOT_YET.get(verb);
    if (capability !== undefined) {
      assert.ok(!offered.some((line) => line.includes(` ${capability}`)), `${verb} is offered now: compare it`);
      left.set(query.kind, (left.get(query.kind) ?? 0) + 1);
      continue;
    }
    compared += 1;
    const found = await search(imap, query);
    if (JSON.stringify(found) === JSON.stringify(query.result)) {
      assert.ok(!acceptedDifferences.has(query.command), `${query.command} is equal now: take it off the list`);
      continue;
    }
    if (acceptedDifferences.has(query.command)) {
      seen.add(query.command);
      continue;
    }
    differences.push(`${query.command}: ${difference(found, query.result)}`);
  }
  for (const command of seen) console.error(`accepted: ${command}: ${acceptedDifferences.get(command)}`);
  console.error(`dovecot-search.json: ${compared} compared, left out: ${[...left].map(([kind, n]) => `${kind} ${n}`).join(', ')}`);
  assert.deepEqual(differences, []);
  assert.equal(compared, 96);
});

/** Strings as quoted strings or literals, with non-synchronising ones where 8-bit octets ask for a literal. */
async function search(imap: ImapScript, { charset, args = [] }: Query): Promise<number[]> {
  const words = args.map((arg) => {
    if (typeof arg !== 'string') return arg.raw;
    const octets = Buffer.from(arg, 'utf8').toString('latin1');
    return octets.length === arg.length ? `"${arg.replaceAll(/["\\]/g, '\\$&')}"` : `{${octets.length}+}\r\n${octets}`;
  });
  const { untagged, done } = await imap.command(`SEARCH ${charset ? `CHARSET ${charset} ` : ''}${words.join(' ')}`);
  assert.match(done, /^OK /, words.join(' '));
  const answers = untagged.filter((line) => line.startsWith('* SEARCH'));
  assert.equal(answers.length, 1, words.join(' '));
  return (answers[0] ?? '').split(' ').slice(2).map(Number);
}

function difference(found: readonly number[], wanted: readonly number[]): string {
  const missing = wanted.filter((seq) => !found.includes(seq));
  const more = found.filter((seq) => !wanted.includes(seq));
  return `not found ${missing.join(' ')}; also found ${more.join(' ')}`;
}
