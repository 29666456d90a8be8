/** `TestSession` of `@pochard/plugin-sdk/testing`: somebody who has logged in. */
import { type Account, type Flag, Gone, type MessageRef } from '@pochard/plugin-sdk';
import type { TestSession } from '@pochard/plugin-sdk/testing';
import { defaultLimits } from '../config/limits.ts';
import { runOf } from '../mail/journal/uid-runs.ts';
import { contentIdOf, mailboxIdOf } from '../mail/sdk-values.ts';
import type { LoggedIn } from '../mail/services.ts';
import type { AccountId } from '../store/store.ts';
import type { ImapScript } from './imap-script.ts';
import { REMOTE_ADDRESS } from './server-life.ts';
import type { MemoryTestHost } from './test-host.ts';

const NEVER = new AbortController().signal;

async function* once(octets: Uint8Array): AsyncGenerator<Uint8Array> {
  yield octets;
}

export class HostSession implements TestSession {
  readonly account: Account;
  readonly #host: MemoryTestHost;
  readonly #client: ImapScript | undefined;
  readonly #session: LoggedIn;

  /** `client`: none with other protocols than IMAP. */
  constructor(parts: { readonly host: MemoryTestHost; readonly client: ImapScript | undefined; readonly session: LoggedIn }) {
    this.#host = parts.host;
    this.#client = parts.client;
    this.#session = parts.session;
    this.account = parts.session.account;
  }

  async imap(...lines: readonly string[]): Promise<readonly string[]> {
    const client = this.#imapClient;
    const replies: string[] = [];
    for (const line of lines) replies.push(...(await client.run(line)));
    return replies;
  }

  async append(mailbox: string, raw: string, flags: readonly Flag[] = []): Promise<MessageRef> {
    const { mail } = this.#session.access;
    const account = this.account.id as string as AccountId;
    const before = mail.head;
    const octets = Buffer.byteLength(raw);
    const name = mailbox.replaceAll(/["\\]/g, '\\$&');
    const replies = await this.#imapClient.run(`append APPEND "${name}" (${flags.join(' ')}) {${octets}}\r\n${raw}`);
    const last = replies.at(-1) ?? 'the connection was closed';
    if (!last.startsWith('append OK')) throw new Error(last.replace(/^append /, ''));
    const [message] = await this.#host.storedAfter(account, before);
    if (message !== undefined) return message;
    // `append.match`: the message was there already.
    const [, uid = ''] = /\[APPENDUID \d+ (\d+)/.exec(last) ?? [];
    const known = (await this.#host.storedAfter(account, 0)).findLast((ref) => ref.mailbox.name === mailbox && ref.uid === Number(uid));
    if (known === undefined) throw new Gone();
    return known;
  }

  async submit(to: readonly string[], raw: string): Promise<void> {
    const { submissions, spool } = this.#host.life.services;
    const reversePath = this.account.username;
    const from = { id: this.#session.session.id, listener: 'submission', remoteAddress: REMOTE_ADDRESS };
    await submissions.requireIdentity(this.#session, reversePath, 'reverse-path');
    const recipients = [];
    for (const address of to) recipients.push({ address, goes: await submissions.resolve(this.#session, address, reversePath, from) });
    const source = await spool.receive(once(Buffer.from(raw)), { limitOctets: defaultLimits.messageOctets, signal: NEVER });
    const esmtp = { utf8: false, tls: true };
    try {
      await submissions.submit({ source, reversePath, recipients, way: 'submission', esmtp }, this.#session, NEVER);
    } finally {
      await source.dispose();
    }
  }

  async read(message: MessageRef): Promise<string> {
    const { access } = this.#session;
    const box = mailboxIdOf(message.mailbox.id);
    const id = contentIdOf(message.emailId);
    if (box === undefined || id === undefined || access.mail.byId(box) === undefined) throw new Gone();
    await access.authorize(box, runOf(message.uid, message.uid), 'content');
    const [content] = await access.content.open([id]);
    if (content === undefined) throw new Gone();
    const pieces: Uint8Array[] = [];
    for await (const piece of content.read(0, content.sizeOctets, NEVER)) pieces.push(piece);
    return Buffer.concat(pieces).toString('utf8');
  }

  async logout(): Promise<void> {
    if (this.#client === undefined) {
      this.#session.end('logout');
      return;
    }
    await this.#client.run('logout LOGOUT');
    this.#client.end();
  }

  get #imapClient(): ImapScript {
    if (this.#client === undefined) throw new TypeError('this session is not one of IMAP');
    return this.#client;
  }
}
