/** Makes messages that can be told apart: a token in their first header field, then a body of a wanted size. */
import { createHash, randomBytes } from 'node:crypto';

/** Random numbers that a seed gives again. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** At least 0, below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
  /** From `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  pick<T>(from: readonly T[]): T {
    const one = from[Math.floor(this.next() * from.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  }
}

export const TOKEN_FIELD = 'X-Token';

export function sha256(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('base64');
}

/** Base64 in lines of 76, each with CRLF, as mail programs write it. */
export function base64Lines(octets: Buffer): string {
  const text = octets.toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += 76) lines.push(text.slice(at, at + 76));
  return `${lines.join('\r\n')}\r\n`;
}

/** Attachments that many messages share: below and above the sizes from which they are kept apart (50 kB) and as files (256 KiB). */
const attachments = [20_000, 60_000, 130_000, 300_000, 420_000].map((octets) => base64Lines(randomBytes(octets)));

export function plainMail(token: string, octets: number): Buffer {
  const head = `${TOKEN_FIELD}: ${token}\r\nFrom: Bob <bob@example.org>\r\nTo: ada@example.test\r\nMessage-ID: <${token}@example.org>\r\nSubject: ${token}\r\nDate: Tue, 1 Jul 2025 10:00:00 +0200\r\n\r\n`;
  const line = `.${token} ${'lorem ipsum dolor sit amet '.repeat(2)}\r\n`;
  return Buffer.from(head + line.repeat(Math.max(1, Math.ceil((octets - head.length) / line.length))), 'latin1');
}

export function mailWithAttachment(token: string, encoded: string): Buffer {
  return Buffer.from(
    `${TOKEN_FIELD}: ${token}\r\nFrom: Bob <bob@example.org>\r\nTo: ada@example.test\r\nMessage-ID: <${token}@example.org>\r\nSubject: ${token}\r\nMIME-Version: 1.0\r\n` +
      `Content-Type: multipart/mixed; boundary="=_${token}"\r\n\r\n--=_${token}\r\nContent-Type: text/plain\r\n\r\nSee ${token}\r\n` +
      `--=_${token}\r\nContent-Type: application/octet-stream; name="a.bin"\r\nContent-Disposition: attachment; filename="a.bin"\r\n` +
      `Content-Transfer-Encoding: base64\r\n\r\n${encoded}--=_${token}--\r\n`,
    'latin1',
  );
}

/** Of 1 KiB to 600 KiB, most small, some with an attachment that others have too. */
export function mixedMail(token: string, dice: Dice): Buffer {
  const kind = dice.next();
  if (kind < 0.6) return plainMail(token, dice.between(1_024, 8_192));
  if (kind < 0.75) return plainMail(token, dice.between(8_192, 65_536));
  if (kind < 0.8) return plainMail(token, dice.between(65_536, 614_400));
  return mailWithAttachment(token, dice.pick(attachments));
}
