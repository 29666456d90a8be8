/** imapflow: what web mail and sync services use. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { startServer, type TestServer } from './support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

function message(subject: string, body = 'text'): string {
  return `From: Bob <bob@example.org>\r\nTo: ada@example.test\r\nMessage-ID: <${subject}@example.org>\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;
}

function client(server: TestServer, tls: 'none' | 'implicit', pass = PASSWORD): ImapFlow {
  return new ImapFlow({
    host: '127.0.0.1',
    port: server.port('imap', tls),
    secure: tls === 'implicit',
    ...(tls === 'none' ? { doSTARTTLS: false } : {}),
    tls: { rejectUnauthorized: false },
    auth: { user: USER, pass },
    logger: false,
  });
}

test('imapflow', async (t) => {
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });

  await t.test('a wrong password is an authentication failure', async () => {
    await assert.rejects(client(server, 'implicit', 'wrong').connect(), (error: Error & { authenticationFailed?: boolean }) => {
      return error.authenticationFailed === true;
    });
  });

  const flow = client(server, 'implicit');
  await flow.connect();
  t.after(() => flow.close());

  await t.test('fetch: envelope, structure, source, parts by download', async () => {
    const multipart =
      'From: Bob <bob@example.org>\r\nTo: ada@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n' +
      'Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n' +
      `Stra=C3=9Fe\r\n--x\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.alloc(
        300_000,
        'pochard',
      )
        .toString('base64')
        .replaceAll(/(.{76})/g, '$1\r\n')}\r\n--x--\r\n`;
    await server.deliver(USER, multipart);
    const lock = await flow.getMailboxLock('INBOX');
    try {
      const found = await flow.fetchOne('1', {
        envelope: true,
        bodyStructure: true,
        source: true,
        size: true,
        flags: true,
        internalDate: true,
        uid: true,
      });
      assert(found !== false && found.source !== undefined);
      assert.equal(found.envelope?.subject, 'Grüße');
      assert.equal(found.envelope?.from?.[0]?.address, 'bob@example.org');
      assert.equal(found.bodyStructure?.childNodes?.length, 2);
      assert.equal(found.size, found.source.length);
      assert.ok(found.source.toString('latin1').endsWith(multipart));
      const text = await flow.download('1', '1');
      assert.equal((await collect(text.content)).toString().trim(), 'Straße');
      const part = await flow.download('1', '2');
      assert.ok((await collect(part.content)).equals(Buffer.alloc(300_000, 'pochard')), 'the attachment is what it was');
    } finally {
      lock.release();
    }
  });

  await t.test('append, search, flags, move, copy, delete', async () => {
    for (const subject of ['one', 'two', 'three', 'four']) {
      const appended = await flow.append(
        'INBOX',
        message(subject, `body of ${subject}`),
        subject === 'one' ? ['\\Seen', '$Label1'] : [],
        new Date('2026-03-03'),
      );
      assert(appended !== false && appended.uid !== undefined && appended.uidValidity !== undefined);
    }
    const lock = await flow.getMailboxLock('INBOX');
    try {
      assert.deepEqual(await flow.search({ subject: 'three' }, { uid: true }), [4]);
      assert.deepEqual(await flow.search({ or: [{ body: 'body of two' }, { keyword: '$Label1' }] }), [2, 3]);
      assert.deepEqual(await flow.search({ seen: false, on: new Date('2026-03-03') }), [3, 4, 5]);
      assert.equal(await flow.messageFlagsAdd('3', ['\\Flagged', 'important']), true);
      const flagged = await flow.fetchOne('3', { flags: true });
      assert(flagged !== false && flagged.flags?.has('\\Flagged') && flagged.flags.has('important'));
      assert.equal(await flow.messageFlagsSet('3', ['\\Answered']), true);
      assert.equal(await flow.messageFlagsRemove('3', ['\\Answered']), true);
      const copied = await flow.messageCopy('2:3', 'Archive');
      assert(copied !== false);
      assert.deepEqual(
        [...(copied.uidMap ?? [])],
        [
          [2, 1],
          [3, 2],
        ],
      );
      const moved = await flow.messageMove('4', 'Trash');
      assert(moved !== false);
      assert.deepEqual([...(moved.uidMap ?? [])], [[4, 1]]);
      assert.equal(await flow.messageDelete('4'), true);
      assert.deepEqual(await flow.search({ all: true }, { uid: true }), [1, 2, 3]);
      assert.equal(await flow.messageMove('1', 'Missing/box'), false);
    } finally {
      lock.release();
    }
    const trash = await flow.status('Trash', { messages: true });
    assert(trash !== false);
    assert.equal(trash.messages, 1);
  });

  await t.test('mailboxes: create, rename with children, list with special use, delete', async () => {
    const created = await flow.mailboxCreate(['Projekte', 'Öl & Gas']);
    assert.equal(created.created, true);
    assert.equal((await flow.mailboxCreate(['Projekte', 'Öl & Gas'])).created, false);
    await flow.mailboxRename('Projekte', 'Arbeit/Alt');
    await flow.mailboxSubscribe('Arbeit/Alt/Öl & Gas');
    const list = await flow.list();
    const paths = list.map(({ path }) => path);
    assert.ok(paths.includes('Arbeit/Alt/Öl & Gas'), paths.join(' '));
    assert.ok(!paths.some((path) => path.startsWith('Projekte')));
    assert.equal(list.find(({ path }) => path === 'Arbeit/Alt/Öl & Gas')?.subscribed, true);
    assert.equal(list.find(({ specialUse }) => specialUse === '\\Sent')?.path, 'Sent');
    await flow.mailboxDelete('Arbeit/Alt/Öl & Gas');
    assert.ok(!(await flow.list()).some(({ path }) => path === 'Arbeit/Alt/Öl & Gas'));
  });

  await t.test('QUOTA: usage and limit', async () => {
    assert.equal((await server.api('PATCH', `/v1/accounts/${USER}`, { quotaOctets: 1_048_576 })).status, 200);
    const quota = await flow.getQuota('INBOX');
    assert(quota !== false && quota.storage !== undefined);
    assert.equal(quota.storage.limit, 1_048_576);
    assert.ok((quota.storage.usage ?? 0) > 400_000, `${quota.storage.usage} octets used`);
    await assert.rejects(
      flow.append('INBOX', message('big', 'x'.repeat(900_000).replaceAll(/(.{70})/g, '$1\r\n'))),
      (error: Error & { serverResponseCode?: string }) => {
        return error.serverResponseCode === 'OVERQUOTA';
      },
    );
    assert.equal((await server.api('PATCH', `/v1/accounts/${USER}`, { quotaOctets: null })).status, 200);
  });

  await t.test('CONDSTORE: changedSince answers what changed, unchangedSince leaves what did', async () => {
    const lock = await flow.getMailboxLock('INBOX');
    try {
      const { mailbox } = flow;
      assert(mailbox !== false);
      const status = await flow.status('INBOX', { highestModseq: true });
      assert(status !== false && status.highestModseq !== undefined);
      const before = status.highestModseq;
      await flow.messageFlagsAdd('2', ['\\Flagged']);
      const changed: number[] = [];
      for await (const found of flow.fetch('1:*', { flags: true, uid: true }, { changedSince: before })) {
        changed.push(found.uid);
        assert.ok((found.modseq ?? 0n) > before);
      }
      assert.deepEqual(changed, [2]);
      await flow.messageFlagsAdd('1:2', ['late'], { unchangedSince: before });
      const late: number[] = [];
      for await (const found of flow.fetch('1:*', { flags: true, uid: true })) if (found.flags?.has('late')) late.push(found.uid);
      assert.deepEqual(late, [1]);
    } finally {
      lock.release();
    }
  });

  await t.test('IDLE tells of new mail, flags and expunges of another session', async () => {
    const other = client(server, 'none');
    await other.connect();
    await flow.mailboxOpen('INBOX');
    const idle = flow.idle();
    const exists = once(flow, 'exists');
    await server.deliver(USER, message('heard'));
    const [{ count, prevCount }] = (await exists) as [{ count: number; prevCount: number }];
    assert.equal(count, prevCount + 1);
    await other.mailboxOpen('INBOX');
    const flags = once(flow, 'flags');
    await other.messageFlagsAdd(String(count), ['\\Seen']);
    const [{ seq, flags: now }] = (await flags) as [{ seq: number; flags: Set<string> }];
    assert.equal(seq, count);
    assert.ok(now.has('\\Seen'));
    const expunged = once(flow, 'expunge');
    await other.messageDelete(String(count));
    const [gone] = (await expunged) as [{ seq: number }];
    assert.equal(gone.seq, count);
    await other.logout();
    await flow.noop();
    await idle;
  });
  await flow.logout();
});

async function collect(stream: AsyncIterable<Buffer> | undefined): Promise<Buffer> {
  assert(stream !== undefined);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
