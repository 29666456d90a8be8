/** Plugins through the real server and its configuration: the three examples, and one of a stranger that breaks. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readFetch } from './support/fetch-response.ts';
import { ImapScript } from './support/imap-script.ts';
import { MailScript } from './support/mail-script.ts';
import { startServer, temporaryFolder } from './support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';

async function fetchBody(imap: ImapScript, seq: number, items = 'BODY.PEEK[]'): Promise<Buffer> {
  const { untagged, done } = await imap.command(`FETCH ${seq} (${items})`);
  assert.match(done, /^OK /);
  const [response] = untagged.filter((line) => line.includes(' FETCH ')).map(readFetch);
  return Buffer.from(String([...(response?.items.values() ?? [])][0]), 'latin1');
}

/** All octets of the files below a folder. */
async function everythingIn(folder: string): Promise<Buffer> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && !entry.name.endsWith('.log')).map((entry) => join(entry.parentPath, entry.name));
  return Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
}

test('the example plugins do what they say', async (t) => {
  const server = await startServer(t, {
    accounts: { [USER]: PASSWORD, 'former@example.test': PASSWORD },
    config: {
      plugins: [
        { use: 'examples/refuse-recipient', config: { addresses: ['former@example.test', 'sales-*@example.test'], text: 'Gone fishing' } },
        { use: 'examples/stamp-header', config: { name: 'X-Site', value: 'a.example', replace: true } },
        { use: 'examples/compress-codec', config: { level: 5 } },
      ],
    },
  });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  await imap.command('SELECT INBOX');

  await t.test('a refused recipient is told by SMTP, LMTP and the API; others are not touched', async (sub) => {
    const message = Buffer.from('Subject: x\r\n\r\n');
    for (const [protocol, hello] of [
      ['smtp', 'EHLO'],
      ['lmtp', 'LHLO'],
    ] as const) {
      const script = await MailScript.connect(sub, server.port(protocol), `${hello} client.example`);
      assert.equal(await script.send(message, 'former@example.test'), '550 5.7.1 Gone fishing');
      await script.command('RSET');
      assert.match(await script.send(Buffer.from(`Subject: ${protocol}\r\n\r\n`), USER), /^250 /);
    }
    const reply = await server.api('POST', '/v1/deliveries?to=former@example.test', message, 'message/rfc822');
    assert.equal(reply.status, 403);
    assert.match(await reply.text(), /Gone fishing/);
    assert.equal(await server.metric('pochard_plugin_refuse_recipient_refused_total'), 3);
  });

  await t.test('a delivered message has the stamp once, an appended one has none', async () => {
    await server.deliver(USER, 'X-Site: forged\r\nSubject: stamped\r\n\r\nbody\r\n');
    await imap.command('NOOP');
    const delivered = (await fetchBody(imap, 3)).toString('latin1');
    assert.equal(delivered.match(/^X-Site: /gm)?.length, 1);
    assert.match(delivered, /^X-Site: a\.example\r$/m);
    assert.ok(delivered.endsWith('Subject: stamped\r\n\r\nbody\r\n'));
    assert.match((await imap.command('SEARCH HEADER X-Site a.example')).untagged.join(), /SEARCH 1 2 3$/);
    const appended = Buffer.from('X-Site: mine\r\nSubject: appended\r\n\r\nbody\r\n');
    await imap.append('INBOX', appended);
    await imap.command('NOOP');
    assert.ok((await fetchBody(imap, 4)).equals(appended));
  });

  await t.test(
    'compressed content reads back byte for byte, in ranges and parts, is searched, and does not lie plain on disk',
    async () => {
      const words = Array.from({ length: 40_000 }, (_, n) => `ocelot-${n} sleeps on a tin roof`).join('\r\n');
      const attachment = Buffer.alloc(400_000, 'margay')
        .toString('base64')
        .replaceAll(/(.{76})/g, '$1\r\n');
      const large = Buffer.from(
        `Subject: large quokka\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n${words}\r\n--b\r\n` +
          `Content-Type: application/x-cat; name=cat.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n${attachment}\r\n--b--\r\n`,
      );
      assert.match(await imap.append('INBOX', large), /^OK /);
      await imap.command('NOOP');
      assert.ok((await fetchBody(imap, 5)).equals(large), 'the whole message');
      assert.ok((await fetchBody(imap, 5, 'BODY.PEEK[]<700000.2000>')).equals(large.subarray(700_000, 702_000)), 'a range');
      assert.equal((await fetchBody(imap, 5, 'BODY.PEEK[2]')).toString('latin1').trimEnd(), attachment.trimEnd());
      assert.ok((await fetchBody(imap, 5, 'BINARY.PEEK[2]')).equals(Buffer.alloc(400_000, 'margay')), 'decoded');
      assert.match((await imap.command('FETCH 5 (RFC822.SIZE)')).untagged.join(), new RegExp(`RFC822\\.SIZE ${large.length}\\)`));
      for (const key of ['BODY "ocelot-39999 sleeps"', 'SUBJECT quokka', 'TEXT "ocelot-17 sleeps"'])
        assert.match((await imap.command(`SEARCH ${key}`)).untagged.join(), /SEARCH 5$/, key);
      assert.match((await imap.command('COPY 5 Archive')).done, /^OK /);
      const stored = await everythingIn(server.data);
      assert.ok(!stored.includes('ocelot-20000 sleeps on a tin roof'), 'no plain text of the body on disk');
      assert.ok(stored.length < 64 * 2 ** 20);
    },
  );

  await t.test('it is still read after a restart, and refused without the plugin', async (sub) => {
    assert.equal(await server.stop(), 0);
    const plugins = [{ use: 'examples/compress-codec' }];
    const again = await startServer(sub, { data: server.data, config: { plugins } });
    const reader = await ImapScript.login(sub, again.port('imap'), USER, PASSWORD);
    await reader.command('SELECT INBOX');
    assert.ok((await fetchBody(reader, 4)).equals(Buffer.from('X-Site: mine\r\nSubject: appended\r\n\r\nbody\r\n')));
    assert.equal(await again.stop(), 0);
    const without = await startServer(sub, { data: server.data });
    const blind = await ImapScript.login(sub, without.port('imap'), USER, PASSWORD);
    await blind.command('SELECT INBOX');
    const { untagged, done } = await blind.command('FETCH 4 (BODY.PEEK[])');
    assert.match(done, /^NO /);
    assert.ok(!untagged.some((line) => line.includes('BODY[]')), 'never served as it lies');
    assert.match((await blind.command('NOOP')).done, /^OK /);
  });
});

const BROKEN = `
import { definePlugin } from '@pochard/plugin-sdk';

/** Throws wherever the subject or address says so. */
export const plugin = definePlugin({
  name: 'broken',
  permissions: ['plaintext'],
  apply({ hooks }) {
    hooks.rcpt.accept.gate(({ address }) => {
      if (address.startsWith('boom')) throw new TypeError('secret detail of the plugin');
    });
    hooks.delivery.received.transform(async (delivery) => {
      if ((await delivery.message.text()).includes('Subject: boom')) throw new RangeError('secret detail of the plugin');
      return delivery;
    });
    hooks.store.before.gate(() => {
      throw new Error('secret detail of the plugin');
    });
  },
});
`;

test('a plugin of a stranger that throws costs 451 or NO [UNAVAILABLE], never mail, its words or the server', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'broken.ts'), BROKEN);
  const server = await startServer(t, {
    accounts: { [USER]: PASSWORD, 'boom@example.test': PASSWORD, 'bob@other.test': PASSWORD },
    config: { plugins: [{ use: join(folder, 'broken.ts'), scope: { domains: ['example.test'] } }] },
  });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  for (const [protocol, hello] of [
    ['smtp', 'EHLO'],
    ['lmtp', 'LHLO'],
  ] as const) {
    const script = await MailScript.connect(t, server.port(protocol), `${hello} client.example`);
    for (const [to, subject] of [
      ['boom@example.test', 'fine'],
      [USER, 'boom'],
      [USER, 'fine'],
    ] as const) {
      const reply = await script.send(Buffer.from(`Subject: ${subject}\r\n\r\nbody\r\n`), to);
      assert.match(reply, /^451 4\.\d\.\d /, `${protocol} ${to} ${subject}`);
      assert.doesNotMatch(reply, /secret/);
      await script.command('RSET');
    }
    assert.match(
      await script.send(Buffer.from(`Subject: ${protocol}\r\n\r\n`), 'bob@other.test'),
      /^250 /,
      'out of its scope nothing changes',
    );
  }
  const done = await imap.append('INBOX', Buffer.from('Subject: x\r\n\r\nbody\r\n'));
  assert.match(done, /^NO \[UNAVAILABLE\] /);
  assert.doesNotMatch(done, /secret/);
  const reply = await server.api('POST', `/v1/deliveries?to=${USER}`, 'Subject: x\r\n\r\n', 'message/rfc822');
  const text = await reply.text();
  assert.ok(reply.status === 503 || text.includes('"status":503'), `${reply.status} ${text}`);
  assert.doesNotMatch(text, /secret/);
  assert.match((await imap.command('STATUS INBOX (MESSAGES)')).untagged.join(), /MESSAGES 0/);
  assert.match((await imap.command('CREATE Other')).done, /^OK /);
  assert.equal((await fetch(`http://127.0.0.1:${server.port('http')}/readyz`)).status, 200);
  assert.match(await server.log(), /broken/, 'the log names the plugin');
  assert.equal(await server.stop(), 0);
});

test('a plugin that cannot be loaded stops the start and is named', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'typo.ts'), 'export const plugin = 5;\n');
  for (const [plugins, message] of [
    [[{ use: join(folder, 'typo.ts') }], /typo\.ts/],
    [[{ use: 'examples/no-such-plugin' }], /no-such-plugin/],
    [[{ use: 'examples/stamp-header', config: { colour: 'red' } }], /stamp-header[\s\S]*colour/],
  ] as const)
    await assert.rejects(startServer(t, { config: { plugins } }), message);
});
