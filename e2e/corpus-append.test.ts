/** All mail of the corpus by APPEND: what comes back is what went in, octet by octet, and every answer about it is valid IMAP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptedDifferences } from '../core/src/mime/dovecot-differences.fixture.ts';
import { quotedForm } from '../core/src/mime/testing-wire.ts';
import { bodyParts } from './support/body-parts.ts';
import { CORPUS_STEP, type CorpusMessage, digest, everyMessage, expected, readCorpus, withCrlf } from './support/corpus.ts';
import { type FetchResponse, readFetch } from './support/fetch-response.ts';
import { ImapScript } from './support/imap-script.ts';
import { startServer } from './support/server.ts';
import { needsCorpus } from './support/skip.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
/** Connections that append at once, so that commits share a sync. */
const APPENDERS = 8;

/**
 * Where the whole server differs from Dovecot 2.3 beyond `acceptedDifferences`. A rule, as its members are many: BINARY of a multipart or of an
 * embedded message is its octets. RFC 2045 §6.4 lets composite types have identity encodings only, and RFC 3516 §4.2 decodes
 * the section's own encoding; Dovecot decodes the parts inside it too and writes their headers anew.
 */
const isComposite = (type: string): boolean => type === 'multipart' || type === 'message';

interface Digest {
  readonly size: number;
  readonly sha256: string;
}
interface ExpectedMessage {
  readonly file: string;
  readonly rfc822_size: number;
  readonly body_full: Digest;
  readonly header: Digest;
  readonly text: Digest;
  readonly header_fields: Digest;
  readonly header_fields_not: Digest;
  readonly partial_10_50: Digest;
  readonly envelope_wire: string;
  readonly bodystructure_wire: string;
  readonly body_wire: string;
  readonly parts: Readonly<Record<string, { readonly body?: Digest; readonly mime?: Digest; readonly binary?: Digest }>>;
}

async function fetchOne(imap: ImapScript, seq: number, items: string, name: string): Promise<FetchResponse> {
  const { untagged, done } = await imap.command(`FETCH ${seq} (${items})`);
  assert.match(done, /^OK /, `${name}: ${items}`);
  const fetched = untagged.filter((line) => line.startsWith('*') && line.includes(' FETCH ')).map(readFetch);
  assert.equal(fetched.length, 1, `${name}: one FETCH response to ${items}`);
  const [response] = fetched;
  assert(response !== undefined && response.seq === seq);
  return response;
}

/** A section's octets; `undefined` for NIL. */
function octetsOf(response: FetchResponse, item: string): Buffer | undefined {
  const value = response.items.get(item);
  assert(value !== undefined, `no ${item} in the response`);
  if (value === null) return undefined;
  assert(typeof value === 'string', `${item} is no string`);
  return Buffer.from(value, 'latin1');
}

test('mail of the corpus comes back from APPEND as it went in, and every answer about it is valid', async (t) => {
  if (!needsCorpus(t)) return;
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const port = server.port('imap');
  const imap = await ImapScript.login(t, port, USER, PASSWORD);

  await t.test('74 messages: ENVELOPE, BODYSTRUCTURE, BODY and every section are what Dovecot answers', async () => {
    const { messages } = expected<{ messages: readonly ExpectedMessage[] }>('dovecot.json');
    assert.equal(messages.length, 74);
    const seen = new Set<string>();
    let compared = 0;
    const compare = (key: string, actual: unknown, wanted: unknown): void => {
      compared += 1;
      if (!acceptedDifferences.has(key)) assert.deepEqual(actual, wanted, key);
      else {
        assert.notDeepEqual(actual, wanted, `${key} is equal now: take it off the list`);
        seen.add(key);
      }
    };
    assert.match((await imap.command('CREATE dovecot')).done, /^OK /);
    for (const { file } of messages)
      assert.match(await imap.append('dovecot', withCrlf(readCorpus(file))), /^OK \[APPENDUID \d+ \d+\]/, file);
    assert.match((await imap.command('SELECT dovecot')).done, /^OK /);
    let compositeBinary = 0;
    for (const [index, wanted] of messages.entries()) {
      const { file } = wanted;
      const seq = index + 1;
      const whole = await fetchOne(
        imap,
        seq,
        'RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[]<10.50> ' +
          'BODY.PEEK[HEADER.FIELDS (SUBJECT FROM TO DATE MESSAGE-ID)] BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]',
        file,
      );
      const wire = (item: string): string => quotedForm(whole.wire.get(item) ?? '');
      const sha = (item: string): Digest => digest(octetsOf(whole, item) ?? Buffer.alloc(0));
      compare(`${file} envelope`, wire('ENVELOPE'), wanted.envelope_wire);
      compare(`${file} bodystructure`, wire('BODYSTRUCTURE'), wanted.bodystructure_wire);
      compare(`${file} body`, wire('BODY'), wanted.body_wire);
      compare(`${file} RFC822.SIZE`, whole.items.get('RFC822.SIZE'), wanted.rfc822_size);
      compare(`${file} BODY[]`, sha('BODY[]'), wanted.body_full);
      compare(`${file} HEADER`, sha('BODY[HEADER]'), wanted.header);
      compare(`${file} TEXT`, sha('BODY[TEXT]'), wanted.text);
      compare(`${file} HEADER.FIELDS`, sha('BODY[HEADER.FIELDS (SUBJECT FROM TO DATE MESSAGE-ID)]'), wanted.header_fields);
      compare(`${file} HEADER.FIELDS.NOT`, sha('BODY[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]'), wanted.header_fields_not);
      compare(`${file} partial`, sha('BODY[]<10>'), wanted.partial_10_50);
      const types = new Map(bodyParts(whole.items.get('BODYSTRUCTURE')).map((part) => [part.path, part.type]));
      for (const [number, { body, mime, binary }] of Object.entries(wanted.parts)) {
        if (body === undefined && mime === undefined && binary === undefined) continue;
        const part = await fetchOne(imap, seq, `BODY.PEEK[${number}] BODY.PEEK[${number}.MIME]`, file);
        const section = (item: string): Digest | undefined => {
          const octets = octetsOf(part, item);
          return octets && digest(octets);
        };
        if (body) compare(`${file} ${number}`, section(`BODY[${number}]`), body);
        if (mime) compare(`${file} ${number}.MIME`, section(`BODY[${number}.MIME]`), mime);
        if (binary === undefined) continue;
        const decoded = await fetchOne(imap, seq, `BINARY.PEEK[${number}] BINARY.SIZE[${number}]`, file);
        const octets = octetsOf(decoded, `BINARY[${number}]`) ?? Buffer.alloc(0);
        assert.equal(decoded.items.get(`BINARY.SIZE[${number}]`), octets.length, `${file} BINARY.SIZE[${number}]`);
        if (isComposite(types.get(number) ?? '')) {
          compositeBinary += 1;
          assert.deepEqual(octets, octetsOf(part, `BODY[${number}]`), `${file} BINARY[${number}] of a composite part`);
        } else compare(`${file} BINARY ${number}`, digest(octets), binary);
      }
    }
    console.error(
      `dovecot.json: ${compared} answers compared, ${compositeBinary} BINARY of composite parts by rule, accepted: ${[...seen].join('; ')}`,
    );
    assert.equal(seen.size, 3);
  });

  await t.test('structures that other servers publish and Dovecot shares are ours too', async () => {
    const peers =
      expected<{ file: string; ENVELOPE?: string; BODY?: string; BODYSTRUCTURE?: string; same_as_dovecot_2_3?: Record<string, boolean> }[]>(
        'peer-imap.json',
      );
    assert.match((await imap.command('CREATE peers')).done, /^OK /);
    let compared = 0;
    for (const [index, peer] of peers.entries()) {
      assert.match(await imap.append('peers', withCrlf(readCorpus(peer.file))), /^OK /, peer.file);
      if (index === 0) await imap.command('SELECT peers');
      else await imap.command('NOOP');
      const answer = await fetchOne(imap, index + 1, 'ENVELOPE BODY BODYSTRUCTURE', peer.file);
      for (const item of ['ENVELOPE', 'BODY', 'BODYSTRUCTURE'] as const) {
        const theirs = peer[item];
        if (theirs === undefined || peer.same_as_dovecot_2_3?.[item] !== true) continue;
        assert.equal(quotedForm(answer.wire.get(item) ?? '').toLowerCase(), theirs.toLowerCase(), `${peer.file} ${item}`);
        compared += 1;
      }
    }
    console.error(`peer-imap.json: ${compared} structures compared`);
    assert.ok(compared >= 11, `${compared} structures compared`);
  });

  await t.test('all messages: BODY[] is what was appended, RFC822.SIZE is its length, every section and structure agrees', async () => {
    const all: CorpusMessage[] = [...everyMessage()].map(({ name, raw }) => ({ name, raw: withCrlf(raw) }));
    assert.ok(all.length > 4_100 / CORPUS_STEP, `${all.length} messages`);
    assert.match((await imap.command('CREATE corpus')).done, /^OK /);
    const started = performance.now();
    const uids = new Map<number, CorpusMessage>();
    let next = 0;
    const appendOne = async (connection: ImapScript): Promise<void> => {
      for (let message = all[next++]; message !== undefined; message = all[next++]) {
        const done = await connection.append('corpus', message.raw);
        const uid = /^OK \[APPENDUID \d+ (\d+)\]/.exec(done)?.[1];
        assert(uid !== undefined, `${message.name}: ${done}`);
        uids.set(Number(uid), message);
      }
    };
    const connections = await Promise.all(Array.from({ length: APPENDERS }, () => ImapScript.login(t, port, USER, PASSWORD)));
    await Promise.all(connections.map(appendOne));
    const appended = performance.now();
    assert.equal(uids.size, all.length, 'every APPEND has a UID of its own');

    assert.match((await imap.command('SELECT corpus')).done, /^OK /);
    const { done } = await imap.command('FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)');
    assert.match(done, /^OK /);
    let octetsRead = 0;
    let parts = 0;
    for (let seq = 1; seq <= all.length; seq += 1) {
      const answer = await fetchOne(
        imap,
        seq,
        'UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]',
        `message ${seq}`,
      );
      const message = uids.get(Number(answer.items.get('UID')));
      assert(message !== undefined, `UID of message ${seq}`);
      const { name, raw } = message;
      assert.equal(answer.items.get('RFC822.SIZE'), raw.length, `${name} RFC822.SIZE`);
      const full = octetsOf(answer, 'BODY[]') ?? Buffer.alloc(0);
      assert.ok(full.equals(raw), `${name}: BODY[] is not what was appended`);
      const joined = Buffer.concat([
        octetsOf(answer, 'BODY[HEADER]') ?? Buffer.alloc(0),
        octetsOf(answer, 'BODY[TEXT]') ?? Buffer.alloc(0),
      ]);
      assert.ok(joined.equals(raw), `${name}: HEADER and TEXT are not the message`);
      octetsRead += raw.length;
      parts += await checkParts(imap, seq, name, raw, answer);
    }
    const seconds = (from: number, to: number): string => ((to - from) / 1000).toFixed(1);
    console.error(
      `corpus: ${all.length} messages, ${(octetsRead / 2 ** 20).toFixed(1)} MiB, ${parts} parts; ` +
        `APPEND ${seconds(started, appended)} s on ${APPENDERS} connections, FETCH ${seconds(appended, performance.now())} s`,
    );
  });
  assert.equal((await fetch(`http://127.0.0.1:${server.port('http')}/healthz`)).status, 200);
});

/** BODY[n], BODY[n.MIME] and, of embedded messages, BODY[n.HEADER] and BODY[n.TEXT]: answered, and as long as BODYSTRUCTURE says. */
async function checkParts(imap: ImapScript, seq: number, name: string, raw: Buffer, answer: FetchResponse): Promise<number> {
  const parts = bodyParts(answer.items.get('BODYSTRUCTURE'));
  for (let from = 0; from < parts.length; from += 50) {
    const some = parts.slice(from, from + 50);
    const items = some.flatMap(({ path, type, isMessage }) => [
      `BODY.PEEK[${path}]`,
      ...(type === 'root' ? [] : [`BODY.PEEK[${path}.MIME]`]),
      ...(isMessage ? [`BODY.PEEK[${path}.HEADER]`, `BODY.PEEK[${path}.TEXT]`] : []),
    ]);
    const fetched = await fetchOne(imap, seq, items.join(' '), name);
    for (const { path, sizeOctets, isMessage } of some) {
      const octets = octetsOf(fetched, `BODY[${path}]`);
      assert(octets !== undefined, `${name}: BODY[${path}] is NIL`);
      if (sizeOctets !== undefined) assert.equal(octets.length, sizeOctets, `${name}: BODY[${path}] and BODYSTRUCTURE`);
      assert.ok(octets.length === 0 || raw.includes(octets), `${name}: BODY[${path}] is no part of the message`);
      if (!isMessage) continue;
      const joined = Buffer.concat([
        octetsOf(fetched, `BODY[${path}.HEADER]`) ?? Buffer.alloc(0),
        octetsOf(fetched, `BODY[${path}.TEXT]`) ?? Buffer.alloc(0),
      ]);
      assert.ok(joined.equals(octets), `${name}: HEADER and TEXT of ${path} are not the embedded message`);
    }
  }
  return parts.length;
}
