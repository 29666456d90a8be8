/** Steady LMTP deliveries to several instances with a ledger: what was acknowledged, what was refused for now, and what came of it. */
import { setTimeout as delay } from 'node:timers/promises';
import { ImapScript } from './imap-script.ts';
import { SmtpScript } from './smtp-script.ts';

export interface LoadOptions {
  /** Asked for each connection. */
  readonly port: () => number;
  readonly user: string;
  readonly everyMs: number;
  readonly name: string;
}

/** Like a mail transfer agent: what was refused or is in doubt is sent again, octet for octet, wherever the next connection leads. */
export class DeliveryLoad {
  readonly acknowledged: { readonly token: string; readonly at: number }[] = [];
  /** Replies 4xx, by their text. */
  readonly refused: string[] = [];
  /** Replies 5xx, by their text: there must be none. */
  readonly permanent: string[] = [];
  broken = 0;
  /** Longest time between two acknowledgements, ms. */
  longestPauseMs = 0;
  readonly #options: LoadOptions;
  #stopped = false;
  #isAbandoned = false;
  #running: Promise<void> | undefined;
  #lastAt = performance.now();

  constructor(options: LoadOptions) {
    this.#options = options;
  }
  start(): this {
    this.#running = this.#run();
    return this;
  }
  /** Ends after the message that is on its way has been acknowledged. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** For the end of a test that has failed: whatever is on its way. */
  abandon(): void {
    this.#stopped = true;
    this.#isAbandoned = true;
  }

  async #run(): Promise<void> {
    const { port, everyMs, name } = this.#options;
    let script: SmtpScript | undefined;
    for (let n = 1; !this.#stopped; n++) {
      const token = `${name}-${n}`;
      while (!this.#isAbandoned) {
        try {
          script ??= await SmtpScript.open(undefined, port(), 'LHLO');
          if (await this.#deliver(script, token)) break;
        } catch {
          this.broken++;
        }
        script?.close();
        script = undefined;
        await delay(100);
      }
      await delay(everyMs);
    }
    script?.close();
  }

  async #deliver(script: SmtpScript, token: string): Promise<boolean> {
    const { user } = this.#options;
    await script.command('MAIL FROM:<load@example.org>', 250);
    const recipient = await script.command(`RCPT TO:<${user}>`);
    if (recipient.code !== 250) return this.#refusal(recipient);
    await script.command('DATA', 354);
    script.socket.write(`Subject: ${token}\r\nMessage-ID: <${token}@example.org>\r\n\r\n${token}\r\n.\r\n`);
    const reply = await script.reply();
    if (reply.code !== 250) return this.#refusal(reply);
    const now = performance.now();
    this.acknowledged.push({ token, at: now });
    this.longestPauseMs = Math.max(this.longestPauseMs, now - this.#lastAt);
    this.#lastAt = now;
    return true;
  }
  #refusal({ code, text }: { readonly code: number; readonly text: string }): false {
    (code < 400 || code > 499 ? this.permanent : this.refused).push(text);
    return false;
  }
}

/** How often each subject is in INBOX. */
export async function subjectsOf(port: number, user: string, password: string): Promise<ReadonlyMap<string, number>> {
  const imap = await ImapScript.login(undefined, port, user, password);
  await imap.command('SELECT INBOX');
  const { untagged, done } = await imap.command('FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])');
  if (!done.startsWith('OK')) throw new Error(`FETCH: ${done}`);
  imap.close();
  const found = new Map<string, number>();
  for (const line of untagged) {
    const subject = /Subject: ([^\r\n]+)/.exec(line)?.[1];
    if (subject !== undefined) found.set(subject, (found.get(subject) ?? 0) + 1);
  }
  return found;
}
