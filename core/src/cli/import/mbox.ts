/**
 * mbox files (RFC 4155): a message begins after a line that starts with "From ", at the beginning of the file or after an empty line.
 * Octets are kept as they are, `>From ` included. Read in pieces; one message at a time in memory.
 */
import { createReadStream } from 'node:fs';
import { ImportError } from './source.ts';

const FROM = Buffer.from('From ', 'latin1');
const LF = 0x0a;
const CR = 0x0d;

export interface MboxMessage {
  /** 1-based. */
  readonly number: number;
  readonly octets: Buffer;
  /** From the separator line, seconds since 1970. */
  readonly date: number | undefined;
  readonly flags: readonly string[];
}

/** @throws ImportError when the file does not begin with "From " or a message is larger than `maxOctets` */
export async function* readMbox(file: string, maxOctets: number): AsyncGenerator<MboxMessage> {
  let lines: Buffer[] = [];
  let size = 0;
  let number = 0;
  let separator: string | undefined;
  let isBlank = true;
  const finish = (): MboxMessage => {
    // The empty line before the next separator belongs to the format, not to the message.
    if (lines.length > 1 && isEmptyLine(lines.at(-1))) lines.pop();
    const octets = Buffer.concat(lines);
    return { number, octets, date: dateOf(separator ?? ''), flags: flagsOf(octets) };
  };
  for await (const line of linesOf(createReadStream(file, { highWaterMark: 256 * 1024 }))) {
    if (isBlank && line.subarray(0, FROM.length).equals(FROM)) {
      if (separator !== undefined) yield finish();
      separator = line.toString('latin1').trimEnd();
      lines = [];
      size = 0;
      number += 1;
      isBlank = false;
      continue;
    }
    if (separator === undefined) throw new ImportError(`${file}: not an mbox file, it does not begin with "From "`);
    lines.push(line);
    size += line.length;
    if (size > maxOctets) throw new ImportError(`${file}, message ${number}: larger than ${maxOctets} octets`);
    isBlank = isEmptyLine(line);
  }
  if (separator !== undefined) yield finish();
}

function isEmptyLine(line: Buffer | undefined): boolean {
  return line !== undefined && (line.length === 0 || line[0] === LF || (line[0] === CR && line[1] === LF));
}

/** Lines with their ends. A line longer than a piece is put together once, from a list. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of stream) {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, from)) {
      const piece = chunk.subarray(from, lf + 1);
      yield rest.length === 0 ? piece : Buffer.concat([...rest, piece]);
      rest = [];
      from = lf + 1;
    }
    if (from < chunk.length) rest.push(chunk.subarray(from));
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

/** `From sender Thu Jan  1 00:00:00 1970`, in UTC as RFC 4155 says. */
function dateOf(separator: string): number | undefined {
  const match = /\b([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}:\d{2}(?::\d{2})?)(?: [A-Z]{3,5})? (\d{4})/.exec(separator.slice(0, 256));
  if (match === null) return undefined;
  const ms = Date.parse(`${match[2]} ${match[1]} ${match[4]} ${match[3]} UTC`);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

/** Status and X-Status, as mbox readers keep them. */
function flagsOf(octets: Buffer): string[] {
  const end = octets.indexOf('\n\n');
  const crlfEnd = octets.indexOf('\r\n\r\n');
  const stop = Math.min(end === -1 ? octets.length : end, crlfEnd === -1 ? octets.length : crlfEnd, 256 * 1024);
  const head = octets.toString('latin1', 0, stop);
  const marks = [...head.matchAll(/^(?:X-)?Status:[ \t]*([A-Z]{1,8})/gim)].map((match) => match[1] ?? '').join('');
  const names: Readonly<Record<string, string>> = { R: '\\Seen', A: '\\Answered', F: '\\Flagged', T: '\\Draft', D: '\\Deleted' };
  return [...new Set(marks.toUpperCase())].flatMap((mark) => names[mark] ?? []);
}
