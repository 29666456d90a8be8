/** What FETCH reads of a stored message, counted where it leaves the store. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { StoredContent } from '../../store/store.ts';
import { type ImapHouse, imapHouse, mail } from '../imap-house.fixture.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

interface Counted {
  octets: number;
  loads: number;
}

/** Every octet that contents and blobs hand out from now on. */
function counted({ store }: ImapHouse): Counted {
  const counted: Counted = { octets: 0, loads: 0 };
  const { contents, blobs } = store;
  const [load, segment, meta, read] = [contents.load, contents.segment, contents.meta, blobs.read];
  contents.load = async (...of) => {
    const found = await load.apply(contents, of);
    for (const content of found) counted.octets += content === undefined ? 0 : octetsOf(content);
    counted.loads += found.length;
    return found;
  };
  contents.segment = async (...of) => {
    const octets = await segment.apply(contents, of);
    counted.octets += octets.length;
    return octets;
  };
  contents.meta = async (...of) => {
    const rows = await meta.apply(contents, of);
    for (const row of rows)
      for (const value of Object.values(row ?? {}))
        counted.octets += value instanceof Uint8Array || typeof value === 'string' ? value.length : 8;
    return rows;
  };
  blobs.read = async function* (...of) {
    for await (const chunk of read.apply(blobs, of)) {
      counted.octets += chunk.length;
      yield chunk;
    }
  };
  return counted;
}

function octetsOf({ meta, segments }: StoredContent): number {
  let octets = 'sealed' in meta ? meta.sealed.length : meta.head.length + meta.parts.length;
  for (const segment of segments) if ('data' in segment && segment.data !== undefined) octets += segment.data.length;
  return octets;
}

const base64 = (octets: number): string =>
  (
    randomBytes(octets)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  ).join('\n');
const HEAD = `From: Bob <bob@example.org>\nSubject: large\n${'X-Filler: some words that are nothing to us\n'.repeat(20)}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n`;
/** 4 MiB that base64 gives back, 2 MiB that it does not, 1 MiB of text. */
const LARGE = mail(
  `${HEAD}--b\nContent-Type: text/plain\n\n${'a line of plain text, and another\n'.repeat(MIB / 34)}--b\nContent-Type: application/octet-stream; name=a.bin\nContent-Transfer-Encoding: base64\n\n${base64(3 * MIB)}\n--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n${base64(2 * MIB)}\n--b--\n`,
);

test('FETCH reads what it shows, and not the rest of the message', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', LARGE);
  await client.append('INBOX', mail('Subject: small\n\nx\n'));
  const reads = counted(house);
  for (const [item, most] of [
    ['FLAGS UID INTERNALDATE RFC822.SIZE', 0],
    ['ENVELOPE', 4 * KIB],
    ['BODYSTRUCTURE', 4 * KIB],
    ['PREVIEW', 8 * KIB],
    ['EMAILID SAVEDATE', 0],
    // A header or a piece needs the content's table of parts and header block, and of what lies in files the range alone.
    ['BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]', 16 * KIB],
    ['BODY.PEEK[HEADER]', 16 * KIB],
    ['BODY.PEEK[2.MIME]', 16 * KIB],
    ['BODY.PEEK[3.MIME]', 16 * KIB],
    ['BODY.PEEK[1]<0.1024>', 80 * KIB],
    ['BODY.PEEK[1]<900000.1024>', 80 * KIB],
    ['BODY.PEEK[2]<0.1024>', 80 * KIB],
    ['BODY.PEEK[2]<3000000.1024>', 80 * KIB],
    ['BODY.PEEK[]<4000000.1024>', 80 * KIB],
    ['BODY.PEEK[3]', 3 * MIB],
    ['BINARY.PEEK[2]<0.1024>', 160 * KIB],
    ['BINARY.PEEK[3]<1000.70000>', 320 * KIB],
  ] as const) {
    reads.octets = 0;
    reads.loads = 0;
    const answer = await client.run(`FETCH 1 (${item})`);
    assert.match(answer.at(-1) ?? '', /^\$ OK/);
    t.diagnostic(`${item}: ${reads.octets} octets, ${reads.loads} contents`);
    assert.ok(reads.octets <= most, `${item}: ${reads.octets} octets were read, at most ${most} are needed`);
  }
});

test('FETCH of columns for many messages opens none of them', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let count = 0; count < 20; count += 1) await client.append('INBOX', mail(`Subject: ${count}\n\n${'text '.repeat(2_000)}\n`));
  const reads = counted(house);
  for (const items of [
    'FLAGS',
    'UID RFC822.SIZE INTERNALDATE',
    'ENVELOPE',
    'BODYSTRUCTURE',
    'BODY.PEEK[HEADER.FIELDS (SUBJECT FROM DATE)]',
  ]) {
    reads.octets = 0;
    reads.loads = 0;
    await client.run(`FETCH 1:* (${items})`);
    assert.equal(reads.loads, 0, `${items} opens contents`);
    assert.ok(reads.octets < 20 * 1_024, `${items}: ${reads.octets} octets`);
  }
});

/** Parts of about 1.5 MiB that are kept decoded, kept as they came, and quoted-printable; what they hold decoded. */
function pagedParts(): { readonly message: string; readonly parts: readonly Buffer[] } {
  const binary = [randomBytes(1_500_000), randomBytes(1_500_001)];
  const lines = Array.from({ length: 20_000 }, (_, n) => `${n} caf=C3=A9 and tea=20\nsoft =\nline \t${n % 7 === 0 ? '=3D' : ''}`);
  const text = lines.map((line) =>
    line
      .replace('=C3=A9', '\xc3\xa9')
      .replace('=20', ' ')
      .replace('soft =\n', 'soft ')
      .replace(/\t$/, '')
      .replace(/ $/, '')
      .replace('=3D', '=')
      .replace('\n', '\r\n'),
  );
  const uneven = (octets: Buffer): string => (octets.toString('base64').match(/.{1,61}/g) ?? []).join('\n');
  const even = (octets: Buffer): string => (octets.toString('base64').match(/.{1,76}/g) ?? []).join('\n');
  const part = (encoding: string, body: string) =>
    `--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: ${encoding}\n\n${body}\n`;
  const message = mail(
    `${HEAD}${part('base64', even(binary[0] as Buffer))}${part('base64', uneven(binary[1] as Buffer))}${part('quoted-printable', lines.join('\n'))}${part('8bit', text.join('\n').replaceAll('\r\n', '\n'))}--b--\n`,
  );
  return { message, parts: [...binary, Buffer.from(text.join('\r\n'), 'latin1'), Buffer.from(text.join('\r\n'), 'latin1')] };
}

test('BINARY in pages gives the octets of the part, and all pages together read it hardly more than once', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const { message, parts } = pagedParts();
  await client.append('INBOX', message);
  const reads = counted(house);
  const page = async (part: number, from: number, octets: number): Promise<string> => {
    const answer = (await client.run(`FETCH 1 (BINARY.PEEK[${part}]<${from}.${octets}>)`)).join('\r\n');
    const literal = /BINARY\[\d\]<\d+> ~?\{(\d+)\}\r\n/.exec(answer);
    if (literal === null) return '';
    const start = literal.index + literal[0].length;
    return answer.slice(start, start + Number(literal[1]));
  };
  for (const [index, whole] of parts.entries()) {
    const encoded = Math.ceil(whole.length * 1.4);
    for (const step of [50_000, 64 * KIB, 250_000]) {
      await client.run('SELECT INBOX'); // nothing is remembered
      await page(index + 1, 0, 1);
      reads.octets = 0;
      const pages: string[] = [];
      for (let at = 0; at < whole.length; at += step) pages.push(await page(index + 1, at, step));
      assert.ok(Buffer.from(pages.join(''), 'latin1').equals(whole), `part ${index + 1} in pages of ${step}`);
      t.diagnostic(`part ${index + 1} of ${whole.length} octets in pages of ${step}: ${reads.octets} octets read`);
      // What each page reads over: the table of parts and the header block, and slices of 64 KiB that a page ends or begins within.
      const around = Math.ceil(whole.length / step) * 180 * KIB;
      assert.ok(reads.octets < encoded + around, `part ${index + 1} in pages of ${step}: ${reads.octets} octets read`);
    }
    // Backwards and anywhere.
    for (const at of [1_200_000, 700_001, 700_000, 5, 399_999, 1_234_567]) {
      const piece = await page(index + 1, at, 70_000);
      assert.ok(Buffer.from(piece, 'latin1').equals(whole.subarray(at, at + 70_000)), `part ${index + 1} at ${at}`);
    }
    const piece = await page(index + 1, 100_000, 1_300_000);
    assert.ok(Buffer.from(piece, 'latin1').equals(whole.subarray(100_000, 1_400_000)), `part ${index + 1}, streamed`);
    assert.equal(await page(index + 1, whole.length, 100), '');
  }
});

test('partials from start to end are the message, octet for octet, and read it about once', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const { message } = pagedParts();
  await client.append('INBOX', message);
  const reads = counted(house);
  for (const step of [10_000, 64 * KIB, 100_000, 250_000]) {
    await client.run('SELECT INBOX');
    reads.octets = 0;
    const pages: string[] = [];
    for (let at = 0; at < message.length; at += step) {
      const answer = (await client.run(`FETCH 1 (BODY.PEEK[]<${at}.${step}>)`)).join('\r\n');
      const literal = /BODY\[\]<(\d+)> \{(\d+)\}\r\n/.exec(answer);
      assert.ok(literal !== null && Number(literal[1]) === at, `a literal from ${at}`);
      const start = literal.index + literal[0].length;
      pages.push(answer.slice(start, start + Number(literal[2])));
    }
    assert.ok(pages.join('') === message, `in partials of ${step}`);
    assert.ok(reads.octets < message.length + MIB, `${reads.octets} octets read in partials of ${step}`);
    t.diagnostic(`message of ${message.length} octets in partials of ${step}: ${reads.octets} octets read`);
  }
});
