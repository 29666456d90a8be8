/** All mail of the corpus by LMTP and by SMTP: stored with its octets unchanged below the trace fields, or refused with a reason. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type CorpusMessage, digest, everyMessage, withCrlf } from './support/corpus.ts';
import { readFetch } from './support/fetch-response.ts';
import { ImapScript } from './support/imap-script.ts';
import { MailScript } from './support/mail-script.ts';
import { startServer, type TestServer } from './support/server.ts';
import { needsCorpus } from './support/skip.ts';

const PASSWORD = 'correct horse';
/** Connections that send at once, each to an account of its own. */
const SENDERS = 8;
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['554 5.5.2', 'RFC 5321 §2.3.8: a bare CR or LF beside a dot could smuggle a second message; the connection closes'],
]);

const users = (protocol: string): string[] => Array.from({ length: SENDERS }, (_, n) => `${protocol}${n}@example.test`);

test('mail of the corpus comes in by LMTP and SMTP', async (t) => {
  if (!needsCorpus(t)) return;
  const all = [...users('lmtp'), ...users('smtp')];
  const server = await startServer(t, { accounts: Object.fromEntries(all.map((user) => [user, PASSWORD])) });
  // The same octets are stored once (deliveries are idempotent), so that each message is sent once.
  const messages = new Map<string, CorpusMessage>();
  for (const { name, raw } of everyMessage()) {
    const octets = withCrlf(raw);
    messages.set(digest(octets).sha256, { name, raw: octets });
  }
  for (const protocol of ['lmtp', 'smtp'] as const) {
    await t.test(`${messages.size} messages by ${protocol.toUpperCase()}`, (sub) =>
      deliverAll(sub, server, protocol, [...messages.values()]),
    );
  }
  await t.test('a retry after a lost reply is stored once, an equal message after a reply that was read twice', async (sub) => {
    const user = 'lmtp0@example.test';
    const message = Buffer.from('Message-ID: <again@example.org>\r\nSubject: again\r\n\r\nonce\r\n');
    const connect = () => MailScript.connect(sub, server.port('lmtp'), 'LHLO client.example');
    const imap = await ImapScript.login(sub, server.port('imap'), user, PASSWORD);
    const before = await count(sub, server, user);
    await imap.command('EXAMINE INBOX');
    await imap.command('IDLE');
    const lost = await connect();
    void lost.send(message, user).catch(() => undefined);
    await imap.until(new RegExp(`^\\* ${before + 1} EXISTS$`));
    lost.socket.destroy();
    const again = await connect();
    assert.match(await again.send(message, user), /^250 /);
    assert.equal(await count(sub, server, user), before + 1, 'the retry is the same delivery');
    assert.match(await again.send(message, user), /^250 /);
    assert.equal(await count(sub, server, user), before + 2, 'the next one is a message of its own');
  });
  assert.equal((await fetch(`http://127.0.0.1:${server.port('http')}/healthz`)).status, 200);
  assert.doesNotMatch(await server.log(), /"level":(50|60)/, 'no error in the log');
});

async function deliverAll(
  t: TestContext,
  server: TestServer,
  protocol: 'lmtp' | 'smtp',
  messages: readonly CorpusMessage[],
): Promise<void> {
  const started = performance.now();
  const refused = new Map<string, string[]>();
  const accepted = await Promise.all(
    users(protocol).map(async (user, n) => {
      const hello = `${protocol === 'lmtp' ? 'LHLO' : 'EHLO'} client.example`;
      const connect = () => MailScript.connect(t, server.port(protocol), hello);
      let script = await connect();
      const stored: CorpusMessage[] = [];
      for (let i = n; i < messages.length; i += SENDERS) {
        const message = messages[i];
        assert(message !== undefined);
        const reply = await script.send(message.raw, user);
        if (reply.startsWith('250 ')) {
          stored.push(message);
          continue;
        }
        const reason = reply.slice(0, 9);
        assert.ok(REFUSALS.has(reason), `${message.name}: ${reply}`);
        refused.set(reason, [...(refused.get(reason) ?? []), message.name]);
        script = await connect();
      }
      return stored;
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const [index, user] of users(protocol).entries()) await compareStored(t, server, user, accepted[index] ?? []);
  const total = accepted.reduce((sum, stored) => sum + stored.length, 0);
  console.error(
    `${protocol}: ${total} stored in ${seconds.toFixed(1)} s on ${SENDERS} connections; ` +
      ([...refused].map(([reason, names]) => `refused ${reason} (${REFUSALS.get(reason)}): ${names.join(' ')}`).join('; ') ||
        'none refused'),
  );
  assert.ok(total > messages.length - 20, `${total} of ${messages.length} stored`);
}

/** What an account holds are the messages that it was sent, in order, each with trace fields before it. */
async function compareStored(t: TestContext, server: TestServer, user: string, messages: readonly CorpusMessage[]): Promise<void> {
  const imap = await ImapScript.login(t, server.port('imap'), user, PASSWORD);
  await imap.command('EXAMINE INBOX');
  for (let from = 0; from < messages.length; from += 100) {
    const { untagged, done } = await imap.command(`FETCH ${from + 1}:${Math.min(from + 100, messages.length)} (RFC822.SIZE BODY.PEEK[])`);
    assert.match(done, /^OK /);
    for (const response of untagged.map(readFetch)) {
      const message = messages[response.seq - 1];
      assert(message !== undefined);
      const { name, raw } = message;
      const sent = raw.subarray(-2).equals(Buffer.from('\r\n')) || raw.length === 0 ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
      const stored = Buffer.from(String(response.items.get('BODY[]')), 'latin1');
      assert.equal(response.items.get('RFC822.SIZE'), stored.length, name);
      assert.ok(stored.subarray(stored.length - sent.length).equals(sent), `${name}: what is stored does not end with what was sent`);
      const trace = stored.subarray(0, stored.length - sent.length).toString('latin1');
      assert.match(trace, /^Return-Path: <sender@example.org>\r\n(?:Delivered-To: [^\r\n]+\r\n)?Received: from client\.example /, name);
      assert.match(trace, /\r\n$/, name);
    }
  }
  assert.match((await imap.command('NOOP')).done, /^OK /);
  imap.close();
}

async function count(t: TestContext, server: TestServer, user: string): Promise<number> {
  const imap = await ImapScript.login(t, server.port('imap'), user, PASSWORD);
  const { untagged } = await imap.command('STATUS INBOX (MESSAGES)');
  imap.close();
  return Number(/MESSAGES (\d+)/.exec(untagged.join())?.[1]);
}
