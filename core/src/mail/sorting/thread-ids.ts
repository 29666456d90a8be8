/**
 * THREADID (RFC 8474 §5.2) as a function of the header block alone (decision 16): the conversation is named by the message that began it,
 * which is the first id of References, else of In-Reply-To, else the message's own. Nothing is stored and nothing can change.
 */
import { hash } from 'node:crypto';
import { asBuffer } from '../../mime/octets.ts';
import { HeadFields } from './head-fields.ts';
import { firstMessageId } from './message-ids.ts';

/** In the order in which they are asked. */
const FIELDS = ['references', 'in-reply-to', 'message-id'] as const;
/** 96 bits: made to fit none but by the work of 2^48 tries, and then no more is gained than by a References that names another's thread. */
const DIGITS = 24;
const BY_ROOT = /^T[0-9a-f]{24}$/;
const BY_EMAIL = /^TM[1-9]/;

/** One for many messages. */
export class ThreadRoots {
  readonly #fields = new HeadFields(FIELDS);

  /** 24 hexadecimal digits, the same for all messages of a conversation; empty when the header block has no Message ID at all. */
  digest(head: Uint8Array): string {
    const octets = asBuffer(head);
    const { starts, ends } = this.#fields;
    this.#fields.scan(octets);
    for (let field = 0; field < FIELDS.length; field++) {
      if (starts[field] === -1) continue;
      const id = firstMessageId(octets, starts[field] as number, ends[field] as number);
      if (id !== undefined) return hash('sha256', id, 'hex').slice(0, DIGITS);
    }
    return '';
  }
}

/** `emailId`: what a message without any Message ID is known by, alone in its thread with its copies. */
export function threadIdText(digest: string, emailId: string): string {
  return digest === '' ? `T${emailId}` : `T${digest}`;
}

/** What a THREADID says of the messages that have it; `undefined` when it is none of ours. */
export function readThreadId(text: string): { readonly digest: string } | { readonly emailId: string } | undefined {
  if (BY_ROOT.test(text)) return { digest: text.slice(1) };
  return BY_EMAIL.test(text) ? { emailId: text.slice(1) } : undefined;
}
