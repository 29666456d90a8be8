/** `pochard demo`: the real server on a temporary store, a demo account, a few messages, and how to look at them. Stays up until a signal. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../config/load.ts';
import type { RunningServer } from '../server.ts';
import { startWith, untilEnd } from './serve.ts';

const SAMPLES = join(import.meta.dirname, '../../demo');
const USER = 'demo@example.test';
const PASSWORD = 'demo';
const PREFERRED = { imap: 1143, imaps: 1993, smtp: 1025, lmtp: 1024, http: 8080 } as const;

export async function demo({ keep }: { readonly keep?: string }): Promise<void> {
  const data = keep ?? (await mkdtemp(join(tmpdir(), 'pochard-demo-')));
  const port = async (name: keyof typeof PREFERRED): Promise<number> => ((await isFree(PREFERRED[name])) ? PREFERRED[name] : 0);
  const on = (number: number, tls: string) => JSON.stringify([{ address: '127.0.0.1', port: number, tls }]);
  const imap = JSON.stringify([
    { address: '127.0.0.1', port: await port('imap'), tls: 'starttls' },
    { address: '127.0.0.1', port: await port('imaps'), tls: 'implicit' },
  ]);
  const config = await loadConfig({
    flags: [
      { flag: 'demo', key: 'data', value: data },
      { flag: 'demo', key: 'hostname', value: 'localhost' },
      { flag: 'demo', key: 'log.level', value: 'warn' },
      { flag: 'demo', key: 'imap.listeners', value: imap },
      { flag: 'demo', key: 'smtp.listeners', value: on(await port('smtp'), 'starttls') },
      { flag: 'demo', key: 'lmtp.listeners', value: on(await port('lmtp'), 'none') },
      { flag: 'demo', key: 'http.listeners', value: on(await port('http'), 'none') },
    ],
  });
  const server = await startWith(config, data);
  try {
    const delivered = await fill(server);
    process.stdout.write(guide(server, data, delivered, keep === undefined));
    await untilEnd(server, config);
  } finally {
    if (keep === undefined) await rm(data, { recursive: true, force: true });
  }
}

async function fill({ mail }: RunningServer): Promise<number> {
  const { accounts, delivery, spool } = mail.services;
  if ((await accounts.find(USER)) !== undefined) return 0;
  await accounts.create({ username: USER, addresses: [USER], password: Buffer.from(PASSWORD) });
  const session = { id: 'demo', listener: 'demo', remoteAddress: '127.0.0.1' };
  const files = (await readdir(SAMPLES)).filter((name) => name.endsWith('.eml')).sort();
  for (const name of files) {
    const source = spool.fromBytes(await readFile(join(SAMPLES, name)));
    const reversePath = 'sender@example.org';
    const recipient = await delivery.resolve(USER, { reversePath, declaredOctets: source.sizeOctets }, session);
    const signal = new AbortController().signal;
    const [outcome] = await delivery.deliver({ source, reversePath, recipients: [recipient], origin: 'api' }, session, signal);
    if (outcome?.stored === false) throw outcome.error;
  }
  return files.length;
}

function guide({ listeners, token }: RunningServer, data: string, delivered: number, isTemporary: boolean): string {
  const port = (protocol: string, tls?: string): number =>
    listeners.find((listener) => listener.protocol === protocol && (tls === undefined || listener.tls === tls))?.port ?? 0;
  const imap = port('imap', 'starttls');
  const http = port('http');
  return `
Pochard is running, process ${process.pid}. ${delivered} messages were delivered.

  Mail client   IMAP   127.0.0.1  port ${imap} (STARTTLS)  or ${port('imap', 'implicit')} (TLS); the certificate is self-signed
                user   ${USER}    password ${PASSWORD}
  Mail in       SMTP   127.0.0.1  port ${port('smtp')}        LMTP port ${port('lmtp')}

Look with curl:
  curl -u ${USER}:${PASSWORD} imap://127.0.0.1:${imap}/
  curl -u ${USER}:${PASSWORD} 'imap://127.0.0.1:${imap}/INBOX;UID=1'
  curl -u ${USER}:${PASSWORD} imap://127.0.0.1:${imap}/INBOX -X 'SEARCH TEXT cafe'

Send it something, and watch it come in:
  printf 'Subject: hello\\r\\n\\r\\nIt works.\\r\\n' | curl smtp://127.0.0.1:${port('smtp')} --mail-from you@example.org --mail-rcpt ${USER} -T -

The API (documentation at http://127.0.0.1:${http}/docs):
  curl -H 'Authorization: Bearer ${token}' http://127.0.0.1:${http}/v1/accounts

Everything is in ${data}${isTemporary ? ' and goes when you press Ctrl-C' : ''}.
`;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve(true)));
  });
}
