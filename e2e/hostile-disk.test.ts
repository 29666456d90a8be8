/** A full disk: mail is put off with 4xx, what is there can still be read, and with room again it goes on as if nothing had been. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADA, EVE, hostileHouse, PASSWORD } from './support/hostile-house.ts';
import { ImapScript } from './support/imap-script.ts';
import { base64Lines } from './support/sample-mail.ts';
import { temporaryFolder } from './support/server.ts';
import { skipLoudly } from './support/skip.ts';
import { SmtpScript } from './support/smtp-script.ts';

const DISK = '112m';
const BALLAST_OCTETS = 30 * 1_048_576;
const RECOVER_MS = 5_000;

function mail(n: number, octets: number): Buffer {
  const body = base64Lines(randomBytes(57 * Math.ceil(octets / 78)));
  return Buffer.from(`From: x@example.org\r\nMessage-ID: <full-${n}@example.org>\r\nSubject: full ${n}\r\n\r\n${body}`);
}

for (const [kind, octets] of [
  ['small messages', 45_000],
  ['messages with files', 3_000_000],
] as const) {
  test(`a full disk puts ${kind} off, serves what it has, and recovers`, async (t) => {
    const outside = await temporaryFolder(t);
    const data = await mkdtemp(join(tmpdir(), 'pochard-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', data], { stdio: 'ignore' });
    } catch {
      await rm(data, { recursive: true });
      skipLoudly(t, 'a small tmpfs cannot be mounted here (needs root)');
      return;
    }
    await symlink(join(outside, 'server.log'), join(data, 'server.log')); // our own log is not what should fail
    const house = await hostileHouse(t, { data });
    const { server } = house;
    t.after(async () => {
      await server.kill();
      execFileSync('umount', ['-l', data]);
      await rm(data, { recursive: true });
    });
    await writeFile(join(data, 'ballast'), Buffer.alloc(BALLAST_OCTETS));
    const imap = await ImapScript.login(t, server.port('imap'), EVE, PASSWORD);
    await imap.command('SELECT INBOX');
    const lmtp = await SmtpScript.open(t, server.port('lmtp'), 'LHLO');
    const acknowledged: number[] = [];
    let sent = 0;
    const send = async (): Promise<number> => {
      sent += 1;
      const [reply] = await lmtp.deliver('x@example.org', [EVE], mail(sent, octets));
      if (reply?.code === 250) acknowledged.push(sent);
      else assert.ok(reply?.code === 452 || reply?.code === 451, reply?.text);
      return reply?.code ?? 0;
    };
    let code = 250;
    for (let i = 0; i < 20_000 && code === 250; i++) code = await send();
    assert.ok(code === 452 || code === 451, `the disk was never full: ${code}`);
    t.diagnostic(`${acknowledged.length} messages of ${octets} octets, then ${code}`);
    for (let i = 0; i < 5; i++) await send();
    assert.match(await imap.append('INBOX', mail(0, 4_000_000)), /^NO \[(OVERQUOTA|UNAVAILABLE|LIMIT)\]/);

    // The server lives and serves.
    assert.equal(server.child.exitCode, null, (await server.log()).slice(-2_000));
    await imap.command('NOOP');
    const { untagged, done } = await imap.command('UID SEARCH ALL');
    assert.match(done, /^OK/);
    const uids = (untagged.find((line) => line.startsWith('* SEARCH')) ?? '').trim().split(' ').slice(2);
    assert.equal(uids.length, acknowledged.length);
    const { untagged: last } = await imap.command(`UID FETCH ${uids.at(-1)} (BODY.PEEK[])`);
    assert.ok(last.join('').includes(`Subject: full ${acknowledged.at(-1)}\r\n`));
    const other = await ImapScript.login(t, server.port('imap'), ADA, PASSWORD);
    assert.match((await other.command('STATUS INBOX (MESSAGES)')).done, /^OK/);

    await rm(join(data, 'ballast'));
    const freed = performance.now();
    do code = await send();
    while (code !== 250 && performance.now() - freed < RECOVER_MS);
    assert.equal(code, 250, 'not recovered');
    t.diagnostic(`first message after there was room again: ${Math.round(performance.now() - freed)} ms`);
    await imap.command('NOOP');
    assert.match((await imap.command(`UID STORE ${uids.slice(0, 3).join(',')} +FLAGS (\\Deleted)`)).done, /^OK/);
    assert.match((await imap.command('EXPUNGE')).done, /^OK/);
    assert.equal(await server.stop(), 0);
    execFileSync(
      process.execPath,
      [join(import.meta.dirname, '..', 'core/src/main.ts'), 'fsck', '--config', join(data, 'pochard.yaml'), '--data', data],
      { stdio: 'pipe' },
    );
  });
}
