/** The real-mail corpus. It is data that does not belong to this repository: ../shared/corpus beside the checkout, or POCHARD_CORPUS. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { normaliseCrlf } from './crlf.ts';
import { acceptedDifferences } from './dovecot-differences.fixture.ts';
import { fold } from './fold.ts';
import { headerFields, headerFieldsText } from './header-fields.ts';
import { MessageParser, type ParsedMessage } from './message-parser.ts';
import { walkParts } from './part.ts';
import { decodeParts, encodeParts } from './part-table.ts';
import { preview } from './preview.ts';
import { bodyText, headerText, headerTexts } from './search-text.ts';
import { partAt, type Section, sectionRange } from './section.ts';
import { parseWire, quotedForm } from './testing-wire.ts';
import { decodeTransfer } from './transfer-encoding.ts';

const CORPUS = process.env['POCHARD_CORPUS'] ?? join(import.meta.dirname, '../../../../shared/corpus');
const skip = existsSync(join(CORPUS, 'manifest.json'))
  ? false
  : `NO CORPUS at ${CORPUS}: ENVELOPE and BODYSTRUCTURE of real mail are NOT checked (set POCHARD_CORPUS)`;
if (skip) console.error(skip);

interface Digest {
  readonly size: number;
  readonly sha256: string;
}

interface Expected {
  readonly file: string;
  readonly sha256_crlf: string;
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

function read(name: string): Buffer {
  return readFileSync(join(CORPUS, name));
}

function parse(message: Uint8Array): ParsedMessage {
  const parser = new MessageParser();
  parser.push(message);
  return parser.finish();
}

function digest(octets: Uint8Array): Digest {
  return { size: octets.length, sha256: createHash('sha256').update(octets).digest('hex') };
}

/** Compares, unless the difference is an accepted one; an accepted difference that is gone must leave the list. */
function compare(key: string, actual: unknown, expected: unknown, seen: Set<string>): void {
  if (!acceptedDifferences.has(key)) assert.deepEqual(actual, expected, key);
  else {
    assert.notDeepEqual(actual, expected, `${key} is equal now: take it off the list`);
    seen.add(key);
  }
}

test('ENVELOPE, BODYSTRUCTURE, BODY and every section of 74 messages are what Dovecot answers', { skip }, () => {
  const { messages } = JSON.parse(read('expected/dovecot.json').toString()) as { messages: Expected[] };
  assert.equal(messages.length, 74);
  const seen = new Set<string>();
  for (const expected of messages) {
    const message = normaliseCrlf(read(expected.file));
    assert.equal(digest(message).sha256, expected.sha256_crlf);
    const parsed = parse(message);
    compare(`${expected.file} envelope`, quotedForm(parsed.envelope), expected.envelope_wire, seen);
    compare(`${expected.file} bodystructure`, quotedForm(parsed.bodyStructure), expected.bodystructure_wire, seen);
    compare(`${expected.file} body`, quotedForm(parsed.body), expected.body_wire, seen);
    assert.equal(parsed.sizeOctets, expected.rfc822_size);
    const octets = (section: Section): Digest | undefined => {
      const range = sectionRange(parsed.parts, section);
      return range && digest(message.subarray(range.from, range.to));
    };
    assert.deepEqual(octets({ path: [], text: { kind: 'all' } }), expected.body_full);
    assert.deepEqual(octets({ path: [], text: { kind: 'header' } }), expected.header, expected.file);
    assert.deepEqual(octets({ path: [], text: { kind: 'text' } }), expected.text);
    assert.deepEqual(digest(message.subarray(10, 60)), expected.partial_10_50);
    assert.deepEqual(digest(headerFields(parsed.head, ['SUBJECT', 'FROM', 'TO', 'DATE', 'MESSAGE-ID'])), expected.header_fields);
    assert.deepEqual(digest(headerFields(parsed.head, ['RECEIVED', 'SUBJECT'], { not: true })), expected.header_fields_not);
    const text = Buffer.from(parsed.head).toString('latin1');
    for (const not of [false, true]) {
      const octets = headerFields(parsed.head, ['DATE', 'RECEIVED'], { not });
      assert.equal(headerFieldsText(text, ['DATE', 'RECEIVED'], { not }), octets.toString('latin1'));
    }
    for (const [number, { body, mime, binary }] of Object.entries(expected.parts)) {
      const path = number.split('.').map(Number);
      if (body) compare(`${expected.file} ${number}`, octets({ path, text: { kind: 'all' } }), body, seen);
      if (mime) compare(`${expected.file} ${number}.MIME`, octets({ path, text: { kind: 'mime' } }), mime, seen);
      const part = partAt(parsed.parts, path);
      // BINARY of a multipart is the multipart with its parts decoded, which is the business of FETCH.
      if (binary && part && part.type !== 'multipart' && part.message === undefined) {
        const decoded = decodeTransfer(message.subarray(part.bodyStart, part.bodyEnd), part.encoding);
        assert.deepEqual(digest(decoded), binary, `${expected.file} BINARY ${number}`);
      }
    }
  }
  assert.equal(seen.size, 3);
});

test('structures that other servers publish and Dovecot shares are ours too', { skip }, () => {
  const peers = JSON.parse(read('expected/peer-imap.json').toString()) as {
    file: string;
    ENVELOPE?: string;
    BODY?: string;
    BODYSTRUCTURE?: string;
    same_as_dovecot_2_3?: Record<string, boolean>;
  }[];
  let compared = 0;
  for (const { file, ENVELOPE, BODY, BODYSTRUCTURE, same_as_dovecot_2_3: same = {} } of peers) {
    const parsed = parse(normaliseCrlf(read(file)));
    for (const [name, ours, theirs] of [
      ['ENVELOPE', parsed.envelope, ENVELOPE],
      ['BODY', parsed.body, BODY],
      ['BODYSTRUCTURE', parsed.bodyStructure, BODYSTRUCTURE],
    ] as const) {
      if (theirs === undefined || same[name] !== true) continue;
      assert.equal(quotedForm(ours).toLowerCase(), theirs.toLowerCase(), `${file} ${name}`);
      compared++;
    }
  }
  assert.ok(compared >= 11, `${compared} structures compared`);
});

/** Every message of the corpus: single files, mbox files cut at their From lines, bulk. */
function* everyMessage(): Generator<readonly [string, Buffer]> {
  for (const folder of readdirSync(join(CORPUS, 'messages'))) {
    for (const file of readdirSync(join(CORPUS, 'messages', folder))) yield [`${folder}/${file}`, read(`messages/${folder}/${file}`)];
  }
  for (const folder of readdirSync(join(CORPUS, 'mbox'))) {
    for (const file of readdirSync(join(CORPUS, 'mbox', folder))) {
      const [, ...messages] = `\n${read(`mbox/${folder}/${file}`).toString('latin1')}`.split(/\nFrom [^\n]*\n/);
      for (const [index, message] of messages.entries()) yield [`${folder}/${file}#${index}`, Buffer.from(message, 'latin1')];
    }
  }
  for (const file of readdirSync(join(CORPUS, 'bulk'))) {
    for (const { id, raw } of bulk(file)) yield [`${file}#${id}`, Buffer.from(raw, 'latin1')];
  }
}

interface BulkMessage {
  readonly id: string;
  readonly raw: string;
}

function bulk(file: string): BulkMessage[] {
  const lines = gunzipSync(read(`bulk/${file}`))
    .toString()
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as BulkMessage);
}

test('all mail of the corpus is read without an error, and its answers are valid IMAP', { skip }, () => {
  let count = 0;
  for (const [name, raw] of everyMessage()) {
    const message = normaliseCrlf(raw);
    const parsed = parse(message);
    for (const wire of [parsed.envelope, parsed.bodyStructure, parsed.body]) {
      assert.doesNotThrow(() => parseWire(wire), `${name}: ${wire.slice(0, 200)}`);
    }
    for (const part of walkParts(parsed.parts)) {
      assert.ok(part.headerStart <= part.bodyStart && part.bodyStart <= part.bodyEnd && part.bodyEnd <= message.length, name);
    }
    assert.deepEqual(decodeParts(encodeParts(parsed.parts)), parsed.parts, name);
    assert.deepEqual(Buffer.from(parsed.head), message.subarray(0, parsed.parts.bodyStart), name);
    headerTexts(parsed.head);
    bodyText(message, parsed.parts, { scope: 'text' });
    assert.ok([...preview(message, parsed.parts)].length <= 200, name);
    count++;
  }
  assert.ok(count > 4_100, `${count} messages`);
});

test('the corpus gives the same result in chunks of 1000 octets', { skip }, () => {
  for (const [name, raw] of everyMessage()) {
    if (name.includes('jsonl')) return;
    const whole = parse(raw);
    const parser = new MessageParser();
    for (let at = 0; at < raw.length; at += 1_000) parser.push(raw.subarray(at, at + 1_000));
    assert.deepEqual(parser.finish(), whole, name);
  }
});

interface SearchQuery {
  readonly command: string;
  readonly args?: readonly (string | { readonly raw: string })[];
  readonly result: readonly number[];
}

test('header, body and date keys of SEARCH find in 241 messages what Dovecot finds', { skip }, () => {
  const { mailbox, queries } = JSON.parse(read('expected/dovecot-search.json').toString()) as {
    mailbox: { seq: number; message: string }[];
    queries: SearchQuery[];
  };
  const bulkFiles = new Map<string, BulkMessage[]>();
  const bulkMessage = (file: string, id: string): Buffer => {
    const messages = bulkFiles.get(file) ?? bulk(file);
    bulkFiles.set(file, messages);
    return Buffer.from(messages.find((entry) => entry.id === id)?.raw ?? '', 'latin1');
  };
  const messages = mailbox.map(({ seq, message }) => {
    const [file = '', id] = message.split('#');
    const raw = id === undefined ? read(file) : bulkMessage(file.slice('bulk/'.length), id);
    const octets = normaliseCrlf(raw);
    const parsed = parse(octets);
    return {
      seq,
      parsed,
      headers: new Map([...headerTexts(parsed.head)].map(([name, values]) => [name, values.map(fold)])),
      body: fold(bodyText(octets, parsed.parts)),
      text: fold(headerText(parsed.head) + bodyText(octets, parsed.parts, { scope: 'text' })),
    };
  });
  const seen = new Set<string>();
  let compared = 0;
  for (const { command, args = [], result } of queries) {
    const [key = '', first = '', second = ''] = args.map((arg) => (typeof arg === 'string' ? arg : arg.raw));
    const inHeader = (name: string, text: string) => (message: (typeof messages)[number]) =>
      message.headers.get(name.toLowerCase())?.some((value) => value.includes(fold(text))) ?? false;
    let matches: ((message: (typeof messages)[number]) => boolean) | undefined;
    const date = /^SENT(BEFORE|SINCE|ON) (\d+-\w+-\d+)$/.exec(key);
    if (['FROM', 'TO', 'CC', 'SUBJECT'].includes(key)) matches = inHeader(key, first);
    else if (key === 'HEADER') matches = inHeader(first, second);
    else if (key === 'BODY') matches = (message) => message.body.includes(fold(first));
    else if (key === 'TEXT') matches = (message) => message.text.includes(fold(first));
    else if (date !== null) {
      const wanted = Date.parse(`${date[2]} 00:00:00Z`);
      matches = ({ parsed: { sentDate, sentZoneMinutes = 0 } }) => {
        if (sentDate === undefined) return false;
        const day = Math.floor((sentDate + sentZoneMinutes * 60_000) / 86_400_000) * 86_400_000;
        return date[1] === 'BEFORE' ? day < wanted : date[1] === 'SINCE' ? day >= wanted : day === wanted;
      };
    }
    if (matches === undefined) continue;
    compare(
      command,
      messages.filter(matches).map(({ seq }) => seq),
      result,
      seen,
    );
    compared++;
  }
  assert.ok(compared >= 70, `${compared} queries compared`);
  assert.equal(seen.size, 4);
});
