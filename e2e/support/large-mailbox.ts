/** A mailbox of any size, and a few changes in it. */
import assert from 'node:assert/strict';
import type { ImapScript } from './imap-script.ts';

export const CHANGES = 10;

/** `count` messages of few contents: appended and then copied in doubles. */
export async function fillMailbox(imap: ImapScript, mailbox: string, count: number): Promise<void> {
  const command = (line: string) => imap.command(line);
  await command(`CREATE ${mailbox}`);
  for (let index = 0; index < 50; index += 1)
    assert.match(await imap.append(mailbox, Buffer.from(`Subject: ${index}\r\n\r\nbody ${index}\r\n`)), /^OK/);
  await command(`SELECT ${mailbox}`);
  for (let have = 50; have < count; have = Math.min(count, 2 * have)) {
    assert.match((await command(`UID COPY 1:${Math.min(have, count - have)} ${mailbox}`)).done, /^OK/);
    await command('NOOP');
  }
  await command('UNSELECT');
}

export interface MailboxVersion {
  readonly uidValidity: number;
  readonly modSeq: number;
}
export async function versionOf(imap: ImapScript, mailbox: string): Promise<MailboxVersion> {
  const said = (await imap.command(`EXAMINE ${mailbox}`)).untagged.join('\n');
  await imap.command('UNSELECT');
  return { uidValidity: Number(/UIDVALIDITY (\d+)/.exec(said)?.[1]), modSeq: Number(/HIGHESTMODSEQ (\d+)/.exec(said)?.[1]) };
}

export interface Changed {
  /** UIDs that are \Flagged now. */
  readonly flagged: readonly number[];
  readonly gone: readonly number[];
}
/** Flags of six, three others expunged, one new (`Subject: new`): spread over a mailbox of `count` messages. */
export async function changeTen(imap: ImapScript, mailbox: string, count: number): Promise<Changed> {
  const step = Math.floor(count / CHANGES);
  const flagged = Array.from({ length: 6 }, (_, index) => index * step + 7);
  const gone = Array.from({ length: 3 }, (_, index) => (index + 6) * step + 7);
  await imap.command(`SELECT ${mailbox}`);
  for (const uid of flagged) await imap.command(`UID STORE ${uid} +FLAGS.SILENT (\\Flagged)`);
  await imap.command(`UID STORE ${gone.join(',')} +FLAGS.SILENT (\\Deleted)`);
  await imap.command(`UID EXPUNGE ${gone.join(',')}`);
  await imap.command('UNSELECT');
  await appendNew(imap, mailbox);
  return { flagged, gone };
}

/** As `changeTen`, but nothing goes: nine others get the flag. */
export async function flagNine(imap: ImapScript, mailbox: string, count: number): Promise<Changed> {
  const step = Math.floor(count / CHANGES);
  const flagged = Array.from({ length: 9 }, (_, index) => index * step + 9);
  await imap.command(`SELECT ${mailbox}`);
  for (const uid of flagged) await imap.command(`UID STORE ${uid} +FLAGS.SILENT (\\Flagged)`);
  await imap.command('UNSELECT');
  await appendNew(imap, mailbox);
  return { flagged, gone: [] };
}

async function appendNew(imap: ImapScript, mailbox: string): Promise<void> {
  assert.match(await imap.append(mailbox, Buffer.from('Subject: new\r\n\r\nnew\r\n')), /^OK/);
}
