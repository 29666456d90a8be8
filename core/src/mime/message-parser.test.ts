import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_HEADER_FIELD_OCTETS, MAX_HEADERS_OCTETS, MAX_MIME_DEPTH, MAX_MIME_PARTS } from './limits.ts';
import { MessageParser, type ParsedMessage } from './message-parser.ts';
import { type MimePart, walkParts } from './part.ts';
import { parseWire, quotedForm } from './testing-wire.ts';

function parse(message: Uint8Array | string, chunkOctets = Number.POSITIVE_INFINITY): ParsedMessage {
  const octets = typeof message === 'string' ? Buffer.from(message, 'latin1') : message;
  const parser = new MessageParser();
  for (let at = 0; at < octets.length; at += chunkOctets) parser.push(octets.subarray(at, at + chunkOctets));
  return parser.finish();
}

function mail(...lines: string[]): string {
  return lines.join('\r\n');
}

function assertOffsetsInside(root: MimePart, size: number): void {
  for (const part of walkParts(root)) {
    assert.ok(part.headerStart >= 0 && part.headerStart <= part.bodyStart && part.bodyStart <= part.bodyEnd && part.bodyEnd <= size);
    assert.ok(part.lines >= 0 && part.lines <= part.bodyEnd - part.bodyStart);
    let end = part.bodyStart;
    for (const child of part.message === undefined ? part.children : [part.message]) {
      assert.ok(child.headerStart >= end && child.bodyEnd <= part.bodyEnd, 'parts lie in order inside their parent');
      end = child.bodyEnd;
    }
  }
}

/** Lines from which broken and sound MIME is made; every fifth or so matters to the parser. */
const line = fc.constantFrom(
  '',
  '--a',
  '--a--',
  '--b',
  '--b--',
  '--ab',
  '--aab--',
  '-',
  '--',
  ' folded',
  '\tfolded',
  'text',
  'Subject: x',
  'Subject:',
  'From: A <a@b>, c',
  'From : "q" <a@b',
  'To: g: a@b, c@d;',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=a',
  'Content-Type: multipart/digest; boundary="ab"',
  'Content-Type: multipart/mixed;',
  ' boundary=b',
  'Content-Type: message/rfc822',
  'Content-Type: text/plain; charset=x; name*0="a"; name*1*=b',
  'Content-Transfer-Encoding: base64',
  'Content-Disposition: attachment; filename="a\\"b"',
  '\u00e9\0: \u00ff',
  'Subject: \u00ff "\\ \0',
);
const message = fc
  .array(fc.tuple(line, fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r')), { maxLength: 60 })
  .map((lines) => Buffer.from(lines.flat().join(''), 'latin1'));

test('random octets are read without an error, and the answers are valid IMAP', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 2_000 }), message), (octets) => {
      const parsed = parse(octets);
      assert.equal(parsed.sizeOctets, octets.length);
      assertOffsetsInside(parsed.parts, octets.length);
      assert.deepEqual(Buffer.from(parsed.head), Buffer.from(octets.subarray(0, parsed.parts.bodyStart)));
      parseWire(parsed.envelope);
      parseWire(parsed.bodyStructure);
      parseWire(parsed.body);
    }),
    { numRuns: 3_000 },
  );
});

test('the result does not depend on how the message is cut', () => {
  fc.assert(
    fc.property(message, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (octets, sizes) => {
      const parser = new MessageParser();
      for (let at = 0, turn = 0; at < octets.length; turn++) {
        const size = sizes[turn % sizes.length] ?? 1;
        const chunk = Buffer.from(octets.subarray(at, at + size));
        parser.push(chunk);
        chunk.fill(0x2d); // the caller may reuse its buffer
        at += size;
      }
      const whole = parse(octets);
      assert.deepEqual(parser.finish(), whole);
      assert.deepEqual(parse(octets, 1), whole);
    }),
    { numRuns: 3_000 },
  );
});

test('an empty message is an empty text', () => {
  const parsed = parse('');
  assert.equal(parsed.envelope, '(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)');
  assert.equal(parsed.bodyStructure, '("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)');
});

test('a header field named __proto__ is just a field', () => {
  const parsed = parse(mail('__proto__: x', 'Content-__proto__: y', 'Content-Type: text/plain; __proto__=z', '', 'x'));
  assert.match(parsed.bodyStructure, /"__proto__" "z"/);
});

test('a NUL never reaches IMAP', () => {
  const parsed = parse(mail('Subject: a\0b', 'From: "x\0" <\0@y>', 'Message-ID: <\0>', 'Content-Type: text/plain; name="\0"', '', ''));
  assert.ok(!`${parsed.envelope}${parsed.bodyStructure}`.includes('\0'));
  parseWire(parsed.envelope);
});

test('8-bit octets come as a literal, quotes are escaped, folds are gone', () => {
  const parsed = parse(mail('Subject: a "q" \\', ' \tb', 'Date:', ' Mon', 'Message-ID: <\u00e9@x>', '', ''));
  assert.equal(parsed.envelope, '(" Mon" "a \\"q\\" \\\\ b" NIL NIL NIL NIL NIL NIL NIL {5}\r\n<\u00e9@x>)');
});

test('what is 1000 levels deep is an opaque leaf, whatever the nesting is made of', () => {
  const multiparts: string[] = [];
  for (let level = 0; level < 1_000; level++) multiparts.push(`Content-Type: multipart/mixed; boundary=b${level}.`, '', `--b${level}.`);
  const messages = 'Content-Type: message/rfc822\r\n\r\n'.repeat(1_000);
  for (const source of [mail(...multiparts, '', 'x'), messages]) {
    const { parts, bodyStructure } = parse(source);
    let depth = 0;
    let deepest = parts;
    for (let next = parts.children[0] ?? parts.message; next !== undefined; next = next.children[0] ?? next.message) {
      deepest = next;
      depth++;
    }
    assert.equal(depth, MAX_MIME_DEPTH);
    assert.equal(`${deepest.type}/${deepest.subtype}`, 'application/octet-stream');
    assertOffsetsInside(parts, source.length);
    parseWire(bodyStructure);
  }
});

test('of 20 000 parts the first 1000 are parts, and the last of them holds the rest', () => {
  const source = mail('Content-Type: multipart/mixed; boundary=b', '', ...Array<string>(20_000).fill('--b\r\n\r\nx'), '--b--', '');
  const { parts } = parse(source);
  assert.equal([...walkParts(parts)].length, MAX_MIME_PARTS);
  assert.equal(parts.children.at(-1)?.bodyEnd, source.length);
});

test('of a field of 1 MiB the first 256 KiB are read, and what follows it is found', () => {
  const long = 'a@b, '.repeat(60_000);
  const source = mail(
    `To: ${long}`,
    ...Array<string>(4_000).fill(` ${'x'.repeat(150)}`),
    'Subject: after',
    'Content-Type: text/html',
    '',
    'x',
  );
  const whole = parse(source);
  assert.equal(whole.subject, 'after');
  assert.equal(whole.parts.subtype, 'html');
  assert.equal(whole.parts.bodyEnd - whole.parts.bodyStart, 1);
  assert.ok(whole.envelope.length < MAX_HEADER_FIELD_OCTETS * 4);
  for (const size of [1_000, 4_096, 65_536, 300_000]) assert.deepEqual(parse(source, size), whole);
});

test('a header block above 1 MiB is not read further, and head holds its first 1 MiB', () => {
  const source = mail(...Array<string>(20_000).fill(`X: ${'x'.repeat(70)}`), 'Subject: too late', '', 'body');
  const whole = parse(source);
  assert.equal(whole.subject, undefined);
  assert.equal(whole.head.length, MAX_HEADERS_OCTETS);
  assert.equal(source.slice(whole.parts.bodyStart, whole.parts.bodyEnd), 'body');
  for (const size of [1_000, 65_536]) assert.deepEqual(parse(source, size), whole);
});

test('work grows with the octets of a message, not faster', (t) => {
  const nested: string[] = [];
  for (let level = 0; level < 90; level++)
    nested.push(`Content-Type: multipart/mixed; boundary="${'b'.repeat(level % 70)}${level}"`, '', `--${'b'.repeat(level % 70)}${level}`);
  const hostile: Record<string, string> = {
    'one header line': `Subject: ${'x'.repeat(400_000)}`,
    'one folded header': `Subject: x${'\r\n x'.repeat(100_000)}`,
    'comments in To': `To: ${'('.repeat(200_000)}`,
    'quotes in To': `To: ${'"a, '.repeat(50_000)}`,
    'groups in To': `To: ${'a: b, '.repeat(40_000)}`,
    parameters: `Content-Type: text/plain${'; a*0="b"; ='.repeat(20_000)}`,
    'short lines': `\r\n${'-\r\n'.repeat(100_000)}`,
    'dashes under many boundaries': `${mail(...nested, '')}\r\n${`--${'b'.repeat(78)}\r\n`.repeat(5_000)}`,
    'half delimiters': `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'\r\n--'.repeat(100_000)}`,
  };
  const { indexOf, copy } = Buffer.prototype;
  let scanned = 0;
  let copied = 0;
  Buffer.prototype.indexOf = function count(this: Buffer, ...args: Parameters<typeof indexOf>) {
    const found: number = Reflect.apply(indexOf, this, args);
    scanned += (found < 0 ? this.length : found + 1) - Number(args[1] ?? 0);
    return found;
  };
  Buffer.prototype.copy = function count(this: Buffer, ...args: Parameters<typeof copy>) {
    const octets: number = Reflect.apply(copy, this, args);
    copied += octets;
    return octets;
  };
  t.after(() => Object.assign(Buffer.prototype, { indexOf, copy }));
  for (const [name, source] of Object.entries(hostile)) {
    const octets = Buffer.from(source, 'latin1');
    for (const size of [octets.length, 97]) {
      scanned = copied = 0;
      const parser = new MessageParser();
      for (let at = 0; at < octets.length; at += size) parser.push(octets.subarray(at, at + size));
      parser.finish();
      assert.ok(scanned <= 3 * octets.length, `${name}: ${scanned} octets searched of ${octets.length}`);
      assert.ok(copied <= 6 * octets.length, `${name}: ${copied} octets copied of ${octets.length}`);
    }
  }
});

test('the line end before a delimiter is not part of the body, and an empty body has no blank line', () => {
  const source = mail(
    'Content-Type: multipart/mixed; boundary=b',
    '',
    'preamble',
    '--b',
    '',
    'one',
    '',
    '--b',
    'X: y',
    '',
    '--b',
    'X: cut',
    '--b--',
    'end',
  );
  const { parts, bodyStructure } = parse(source);
  const show = (part: MimePart) => [source.slice(part.headerStart, part.bodyStart), source.slice(part.bodyStart, part.bodyEnd), part.lines];
  assert.deepEqual(parts.children.map(show), [
    ['\r\n', 'one\r\n', 1],
    ['X: y\r\n', '', 0],
    ['X: cut', '', 0],
  ]);
  assert.match(bodyStructure, /^\(\("text" "plain" \("charset" "us-ascii"\) NIL NIL "7bit" 5 1 NIL NIL NIL NIL\)/);
});

test('parts of a digest are messages, and MIME fields without MIME-Version mean nothing', () => {
  const digest = parse(mail('Content-Type: multipart/digest; boundary=b', '', '--b', '', 'Subject: inner', '', 'x', '--b--'));
  assert.match(digest.body, /^\(\("message" "rfc822" NIL NIL NIL "7bit" 19 \(NIL "inner" /);
  assert.equal(digest.parts.children[0]?.message?.type, 'text');
  assert.match(parse(mail('Content-Transfer-Encoding: base64', '', 'eA==')).body, /"7bit"/);
  assert.match(parse(mail('MIME-Version: 1.0', 'Content-Transfer-Encoding: base64', '', 'eA==')).body, /"base64"/);
});

test('of boundaries that begin alike the longest counts, unless one is the whole line', () => {
  const source = mail(
    'Content-Type: multipart/mixed; boundary=a',
    '',
    '--a',
    'Content-Type: multipart/mixed; boundary=ab',
    '',
    '--ab',
    '',
    'in',
    '--ab--',
    '--a',
    '',
    'out',
    '--a--',
  );
  assert.match(parse(source).body, /^\(\(\("text"[^)]*\)[^)]*\) "mixed"\)\("text"[^)]*\)[^)]*\) "mixed"\)$/);
});

test('ids, dates, subject and file names are at hand', () => {
  const parsed = parse(
    mail(
      'Date: Fri, 21 Nov 97 09:55:06 -0600 (comment)',
      'Message-ID: <a@b>',
      'References: <1@x>',
      '\t<2@ x> junk <3@x',
      'In-Reply-To: your mail <2@x>',
      'Subject: caf\u00e9',
      ' au lait',
      'Content-Type: application/pdf; name="=?utf-8?q?caf=C3=A9?="',
      "Content-Disposition: ATTACHMENT; filename*0*=utf-8''%e2%82; filename*1*=%ac.pdf",
      '',
      '',
    ),
  );
  assert.equal(parsed.sentDate, Date.UTC(1997, 10, 21, 15, 55, 6));
  assert.equal(parsed.sentZoneMinutes, -360);
  assert.equal(parsed.messageId, 'a@b');
  assert.deepEqual(parsed.references, ['1@x', '2@x']);
  assert.deepEqual(parsed.inReplyTo, ['2@x']);
  assert.equal(parsed.subject, 'caf\u00e9 au lait');
  assert.equal(parsed.parts.name, '\u20ac.pdf');
  assert.equal(parsed.parts.disposition, 'attachment');
  assert.match(quotedForm(parsed.bodyStructure), /\("ATTACHMENT" \("filename\*" "utf-8''%e2%82%ac.pdf"\)\)/);
});
