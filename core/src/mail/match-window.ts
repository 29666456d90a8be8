/**
 * `append.match`: when two messages are the same one. The key goes into the commit, which knows the keys of the last day; the window,
 * which is shorter, is kept here. After a restart a repeat may be stored twice, never the other way round.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { AccountId, MailboxId } from '../store/store.ts';
import type { ParsedSource } from './content/parsed-source.ts';

export class MatchWindow {
  readonly #first = new LRUCache<string, number>({ max: 10_000 });
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The key for the commit, or `undefined` for a message without Message-ID: nothing tells it from another. */
  async keyFor(
    account: AccountId,
    box: MailboxId,
    message: ParsedSource,
    sameWithinMs: number,
    secret: Uint8Array | undefined,
  ): Promise<string | undefined> {
    const { parsed, source } = message;
    if (parsed.messageId === undefined) return undefined;
    const digest = createHash('sha256');
    if (secret !== undefined) digest.update(secret);
    // Trace fields and Bcc differ between what was submitted and what the client files; these do not.
    digest.update(JSON.stringify([account, box, parsed.messageId, parsed.sentDate ?? null, parsed.subject ?? null]));
    for await (const chunk of source.open({ start: parsed.parts.bodyStart, end: source.sizeOctets })) digest.update(chunk);
    const base = `match ${digest.digest('base64url')}`;
    const now = this.#now();
    const first = this.#first.get(base);
    if (first !== undefined && now - first < sameWithinMs) return `${base} ${first}`;
    this.#first.set(base, now);
    return `${base} ${now}`;
  }
}
