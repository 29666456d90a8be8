/**
 * The search index over a real store: `npx node bench/search-index.ts [messages] [no-plain]`. Synthetic mail, the same in every run, is appended to one
 * mailbox and indexed as the server would; then each search is made with the index, cold and warm, and (unless `no-plain`) without. Markers use letters that the
 * vocabulary does not: the rare ones stand in one body of 2 000, the common ones in 30 of 100.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SearchQuery } from '@pochard/plugin-sdk';
import { loadConfig } from '../core/src/config/load.ts';
import { silentLogger } from '../core/src/config/logger.ts';
import { runOf } from '../core/src/mail/journal/uid-runs.ts';
import { searchMailbox } from '../core/src/mail/search/search.ts';
import { SearchIndex } from '../core/src/mail/search-index/search-index.ts';
import { SearchIndexer } from '../core/src/mail/search-index/search-indexer.ts';
import { openMail } from '../core/src/open-mail.ts';

const MESSAGES = Number(process.argv[2] ?? 20_000);
const WITH_PLAIN = process.argv[3] !== 'no-plain';
const EVERYTHING = runOf(1, 0xffff_ffff);
const CONSONANTS = 'bcdfghjklmnprstvw';
const VOWELS = 'aeiou';

let state = 12345;
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 0x1_0000_0000;
}
function letter(of: string): string {
  return of.charAt(Math.floor(random() * of.length));
}
const vocabulary = Array.from({ length: 40_000 }, (_, n) => {
  let word = '';
  for (let syllable = n < 200 ? 1 : 2 + (n % 3); syllable > 0; syllable--) word += letter(CONSONANTS) + letter(VOWELS);
  return n % 40 === 0 ? `${word}é` : word;
});
function word(): string {
  return vocabulary[Math.floor(random() ** 4 * vocabulary.length)] ?? '';
}
function text(octets: number): string {
  let out = '';
  let column = 0;
  while (out.length < octets) {
    const next = random() < 0.01 ? `https://${word()}.example/${Math.floor(random() * 1e9).toString(36)}` : word();
    column += next.length + 1;
    out += column > 72 ? `\r\n${next}` : ` ${next}`;
    if (column > 72) column = next.length;
  }
  return out;
}
function message(n: number): string {
  const sender = Math.floor(random() * random() * 400);
  const domain = `${vocabulary[sender + 300]?.replace('é', 'e')}.example`;
  const subject = `${Array.from({ length: 5 }, word).join(' ')}${random() < 0.1 ? ' xqyreport' : ''}${random() < 0.001 ? ' yzqsubjx' : ''}`;
  let body = text(1_000 + Math.floor(random() ** 2 * 8_000));
  if (random() < 0.3) body += `\r\n${word()} xyloquay ${word()}`;
  if (random() < 1 / 2000) body += `\r\n${word()} zqxaxybqz ${word()}`;
  const html = random() < 0.5 ? `<html><body><p>${text(1_500)}</p></body></html>` : undefined;
  const head = [
    `Return-Path: <s${sender}@${domain}>`,
    `Received: from mx${n % 9}.example.net ([192.0.2.${n % 250}])\r\n\tby mail.example.test with ESMTPS id ${((n * 48_271) >>> 0).toString(36)}; Tue, 17 Nov 2026 10:22:31 +0100`,
    `DKIM-Signature: v=1; a=rsa-sha256; d=${domain}; s=sel1; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=${((n * 2_654_435_761) >>> 0).toString(36)}Zx9/${n.toString(36)}kQw`,
    `From: "Sender ${vocabulary[sender + 1_000]}" <s${sender}@${domain}>`,
    'To: Ada <ada@example.test>',
    `Subject: ${/[^\x20-\x7e]/.test(subject) ? `=?utf-8?B?${Buffer.from(subject).toString('base64')}?=` : subject}`,
    `Message-ID: <${((n * 2_654_435_761) >>> 0).toString(16)}.${n}@${domain}>`,
    'Date: Tue, 17 Nov 2026 10:22:29 +0100',
    'MIME-Version: 1.0',
  ].join('\r\n');
  const plain = 'Content-Type: text/plain; charset=utf-8';
  if (html === undefined) return `${head}\r\n${plain}\r\n\r\n${body}\r\n`;
  return `${head}\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n${plain}\r\n\r\n${body}\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}\r\n--b--\r\n`;
}

const data = await mkdtemp(join(tmpdir(), 'search-index-'));
const config = await loadConfig({ flags: [{ flag: '--data', key: 'data', value: data }], env: {} });
const mail = await openMail({ config, log: silentLogger(), configFolder: data });
const { accounts, spool, parts } = mail.services;
const { id } = await accounts.create({ username: 'ada@example.test' });
const access = await accounts.access(id, parts.actors.system);
const never = new AbortController().signal;
const box = access.mail.byName('INBOX');
if (box === undefined) throw new Error('no INBOX');

let octets = 0;
const started = performance.now();
for (let n = 0; n < MESSAGES; n += 200) {
  const sources = Array.from({ length: Math.min(200, MESSAGES - n) }, (_, at) => spool.fromBytes(Buffer.from(message(n + at))));
  for (const source of sources) octets += source.sizeOctets;
  await access.append(
    box.id,
    sources.map((source) => ({ source, flags: [] })),
    never,
  );
}
const mib = (value: number) => `${(value / 1024 / 1024).toFixed(1)} MiB`;
console.log(`${MESSAGES} messages, ${mib(octets)}, appended in ${((performance.now() - started) / 1000).toFixed(1)} s`);

const index = new SearchIndex({ store: mail.store, log: parts.log });
const indexer = new SearchIndexer({ parts, bus: mail.bus, index, sleep: (ms) => delay(ms) });
const lags: number[] = [];
let last = performance.now();
const ticker = setInterval(() => {
  const now = performance.now();
  lags.push(now - last - 5);
  last = now;
}, 5);
const cpu = process.cpuUsage();
const indexStart = performance.now();
await indexer.update(id);
const wall = performance.now() - indexStart;
const used = process.cpuUsage(cpu);
clearInterval(ticker);
lags.sort((a, b) => a - b);
const { segments = [] } = (await index.manifest(id)) ?? {};
const size = segments.reduce((sum, segment) => sum + segment.octets, 0);
console.log(
  `indexed in ${(wall / 1000).toFixed(1)} s: ${(wall / MESSAGES).toFixed(3)} ms a message (CPU of all threads ${((used.user + used.system) / 1000 / MESSAGES).toFixed(3)} ms), merges included; ` +
    `${segments.length} segments of ${segments.map(({ docs }) => docs).join(', ')}; ${mib(size)} = ${(size / octets).toFixed(3)} x the mail; ` +
    `loop late by p99 ${lags[Math.floor(lags.length * 0.99)]?.toFixed(1)} ms, worst ${lags.at(-1)?.toFixed(1)} ms`,
);
await indexer.stop();

const queries: readonly (readonly [string, SearchQuery])[] = [
  ['BODY rare', { op: 'body', contains: 'zqxaxybqz' }],
  ['BODY common', { op: 'body', contains: 'xyloquay' }],
  ['BODY in the middle of words', { op: 'body', contains: 'uloq' }],
  ['BODY nowhere', { op: 'body', contains: 'qqqzzz' }],
  ['BODY two letters', { op: 'body', contains: 'ba' }],
  ['BODY rare phrase', { op: 'body', contains: ' zqxaxybqz ' }],
  ['TEXT rare', { op: 'text', contains: 'zqxaxybqz' }],
  ['TEXT common', { op: 'text', contains: 'xyloquay' }],
  ['FROM address', { op: 'from', contains: `s10@${vocabulary[310]?.replace('é', 'e')}.example` }],
  ['SUBJECT common', { op: 'subject', contains: 'xqyreport' }],
  ['SUBJECT rare', { op: 'subject', contains: 'yzqsubjx' }],
  ['HEADER Message-ID', { op: 'header', name: 'Message-ID', contains: '.1234@' }],
  ['NOT BODY common', { op: 'not', of: { op: 'body', contains: 'xyloquay' } }],
  [
    'FROM SUBJECT',
    {
      op: 'and',
      of: [
        { op: 'from', contains: '.example' },
        { op: 'subject', contains: 'xqyreport' },
      ],
    },
  ],
];
const boxState = await access.mail.state(box.id);
async function find(query: SearchQuery, with_: SearchIndex | undefined): Promise<{ readonly ms: number; readonly found: number }> {
  const start = performance.now();
  const narrowed = with_ === undefined ? query : await with_.narrow(id, query, boxState, EVERYTHING, never);
  const { length } = await searchMailbox({ content: access.content }, narrowed, boxState, EVERYTHING, never);
  return { ms: performance.now() - start, found: length };
}
console.log(`${'search'.padEnd(30)} ${'cold'.padStart(9)} ${'warm'.padStart(9)} ${'without'.padStart(9)}  found`);
for (const [name, query] of queries) {
  const fresh = new SearchIndex({ store: mail.store, log: parts.log });
  const cold = await find(query, fresh);
  const times: number[] = [];
  let late = 0;
  let tick = performance.now();
  const ticks = setInterval(() => {
    late = Math.max(late, performance.now() - tick - 5);
    tick = performance.now();
  }, 5);
  for (let round = 0; round < 5; round++) times.push((await find(query, fresh)).ms);
  clearInterval(ticks);
  times.sort((a, b) => a - b);
  const plain = WITH_PLAIN ? await find(query, undefined) : undefined;
  if (plain !== undefined && plain.found !== cold.found) console.log(`WRONG: ${plain.found} without the index`);
  const ms = (value: number | undefined) => `${value?.toFixed(1)} ms`.padStart(9);
  console.log(
    `${name.padEnd(30)} ${ms(cold.ms)} ${ms(times[2])} ${ms(plain?.ms)}  ${cold.found}, cache ${mib(fresh.gauges.cacheOctets)}, loop late by ${late.toFixed(1)} ms at most`,
  );
}
console.log(`memory: ${mib(process.memoryUsage().rss)} resident`);
await mail.close();
await rm(data, { recursive: true });
