/** Small synthetic mail, the same in every run, and a fast way to have very much of it. */
import type { ImapScript } from '../e2e/support/imap-script.ts';

/** Messages of one MULTIAPPEND: below `limits.imapLiteralsPerCommand`. */
const BATCH = 250;
/** Messages of one COPY. */
const COPY = 100_000;

const WORDS =
  'mail queue letter stamp office parcel street number window garden river bridge market winter summer morning evening coffee'.split(' ');

export function smallMessage(n: number): Buffer {
  const word = (salt: number): string => WORDS[((n * 31 + salt * 7_919) >>> 3) % WORDS.length] ?? '';
  const body = Array.from(
    { length: 12 },
    (_, line) => `${word(line)} ${word(line + 1)} ${word(line + 2)} and ${word(line + 3)}, line ${line}`,
  ).join('\r\n');
  return Buffer.from(
    [
      `Received: from mx${n % 9}.example.net ([192.0.2.${n % 250}]) by mail.example.test with ESMTPS; Tue, 17 Nov 2026 10:22:31 +0100`,
      `From: "Sender ${word(1)} ${n % 997}" <s${n % 997}@${word(2)}.example>`,
      'To: Ada <ada@example.test>',
      `Subject: ${n % 3 === 0 ? 'Re: ' : ''}${word(3)} ${word(4)} ${n % 1_000}`,
      `Message-ID: <${n}.bench@example.net>`,
      ...(n % 3 === 0 && n > 0 ? [`References: <${n - 1}.bench@example.net>`] : []),
      'Date: Tue, 17 Nov 2026 10:22:29 +0100',
      `X-Serial: number ${n}`,
      '',
      `${body}\r\nserial${n} zq${(n % 2_000).toString(36)}x\r\n`,
    ].join('\r\n'),
  );
}

/** `count` messages, all \Seen, of `distinct` contents: these are appended many at a time, and copied until there are enough. The mailbox is made and left. */
export async function fillMailbox(
  imap: ImapScript,
  mailbox: string,
  { count, distinct }: { readonly count: number; readonly distinct: number },
): Promise<void> {
  await expectOk(imap, `CREATE ${mailbox}`);
  const own = Math.min(count, distinct);
  for (let at = 0; at < own; at += BATCH) {
    const pieces: Buffer[] = [];
    for (let n = at; n < Math.min(own, at + BATCH); n++) {
      const message = smallMessage(n);
      pieces.push(Buffer.from(` (\\Seen) {${message.length}+}\r\n`), message);
    }
    const tag = imap.takeTag();
    imap.socket.write(Buffer.concat([Buffer.from(`${tag} APPEND ${mailbox}`), ...pieces, Buffer.from('\r\n')]));
    const said = await imap.until(new RegExp(`^${tag} `));
    if (!said.startsWith(`${tag} OK`)) throw new Error(`APPEND: ${said}`);
  }
  await expectOk(imap, `SELECT ${mailbox}`);
  for (let have = own; have < count; ) {
    const more = Math.min(have, count - have, COPY);
    await expectOk(imap, `UID COPY 1:${more} ${mailbox}`);
    have += more;
  }
  await expectOk(imap, 'UNSELECT');
}

export async function expectOk(imap: ImapScript, line: string): Promise<string[]> {
  const { done, untagged } = await imap.command(line);
  if (!done.startsWith('OK')) throw new Error(`${line.slice(0, 80)}: ${done}`);
  return untagged;
}
