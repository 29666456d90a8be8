/** The real-mail corpus as octets: single files, mbox files cut at their From lines, bulk. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { isDistributed } from './server.ts';
import { CORPUS } from './skip.ts';

export interface CorpusMessage {
  /** As the expected values name it: a path, or `bulk/file#id`, or `mbox/folder/file#index`. */
  readonly name: string;
  /** As the source stores it, whatever its line ends are. */
  readonly raw: Buffer;
  /** Of the From line of an mbox, as INTERNALDATE is written. */
  readonly internalDate?: string;
}
interface BulkMessage {
  readonly id: string;
  readonly raw: string;
}

/** The MongoDB test engine takes 100 to 300 messages a second where a disk takes thousands. POCHARD_CORPUS_STEP=1 is all of the corpus. */
export const CORPUS_STEP = Number(process.env['POCHARD_CORPUS_STEP'] ?? (isDistributed ? 8 : 1));

export function readCorpus(name: string): Buffer {
  return readFileSync(join(CORPUS, name));
}

export function expected<T>(name: string): T {
  return JSON.parse(readCorpus(`expected/${name}`).toString('utf8')) as T;
}

/** Every LF that has no CR before it becomes CRLF, as the corpus asks; nothing else changes. */
export function withCrlf(raw: Uint8Array): Buffer {
  const text = Buffer.from(raw).toString('latin1');
  return Buffer.from(text.replaceAll(/(?<!\r)\n/g, '\r\n'), 'latin1');
}

export function digest(octets: Uint8Array): { size: number; sha256: string } {
  return { size: octets.length, sha256: createHash('sha256').update(octets).digest('hex') };
}

export function* singleMessages(): Generator<CorpusMessage> {
  for (const folder of readdirSync(join(CORPUS, 'messages'))) {
    for (const file of readdirSync(join(CORPUS, 'messages', folder))) {
      const name = `messages/${folder}/${file}`;
      yield { name, raw: readCorpus(name) };
    }
  }
}

/** The messages of one mbox file, without their From lines. */
export function mboxMessages(name: string): CorpusMessage[] {
  const text = `\n${readCorpus(name).toString('latin1')}`;
  const dates = [...text.matchAll(/\nFrom ([^\n]*)\n/g)].map(([, line = '']) => dateOfFromLine(line));
  const [, ...messages] = text.split(/\nFrom [^\n]*\n/);
  return messages.map((message, index) => {
    const internalDate = dates[index];
    return { name: `${name}#${index}`, raw: Buffer.from(message, 'latin1'), ...(internalDate === undefined ? {} : { internalDate }) };
  });
}

/** `user@domain  Fri Feb 22 17:06:23 2008 +0200`; UTC without a zone. */
function dateOfFromLine(line: string): string | undefined {
  const match = /\w{3} (\w{3}) +(\d{1,2}) (\d\d:\d\d:\d\d)(?: [A-Z]+)? (\d{4})(?: ([+-]\d{4}))?/.exec(line);
  return match === null ? undefined : `${(match[2] ?? '').padStart(2, ' ')}-${match[1]}-${match[4]} ${match[3]} ${match[5] ?? '+0000'}`;
}

export function* allMboxMessages(): Generator<CorpusMessage> {
  for (const folder of readdirSync(join(CORPUS, 'mbox'))) {
    for (const file of readdirSync(join(CORPUS, 'mbox', folder))) yield* mboxMessages(`mbox/${folder}/${file}`);
  }
}

export function* bulkMessages(): Generator<CorpusMessage> {
  for (const file of readdirSync(join(CORPUS, 'bulk'))) {
    const lines = gunzipSync(readCorpus(`bulk/${file}`))
      .toString('utf8')
      .split('\n');
    for (const line of lines) {
      if (line === '') continue;
      const { id, raw } = JSON.parse(line) as BulkMessage;
      yield { name: `bulk/${file}#${id}`, raw: Buffer.from(raw, 'latin1') };
    }
  }
}

/** All of them; in the distributed profile the first of every {@link CORPUS_STEP}. */
export function* everyMessage(): Generator<CorpusMessage> {
  let index = 0;
  for (const messages of [singleMessages(), allMboxMessages(), bulkMessages()]) {
    for (const message of messages) if (index++ % CORPUS_STEP === 0) yield message;
  }
}
