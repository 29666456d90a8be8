/** What the `submission` hooks are asked, and what they answer. */
import type { AccountCall } from './calls.ts';
import type { Message } from './message.ts';
import type { Flag, SpecialUse } from './values.ts';

export interface IdentityQuestion {
  readonly address: string;
  readonly where: 'reverse-path' | 'from';
}

export interface IdentityAnswer {
  readonly allowed: boolean;
}

export interface Submission<M = Message> {
  readonly id: string;
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly sizeOctets: number;
  readonly message: M; // as the client gave it, Bcc and all
}

export interface SubmissionCall<M = Message> extends AccountCall {
  readonly submission: Submission<M>;
}

/** What is filed for the sender. The core files it, once, in the commit that accepts the submission. */
export interface SentCopy {
  readonly file: { readonly mailbox: SpecialUse | { readonly name: string }; readonly flags: readonly Flag[] } | 'no';
  readonly sameWithinMs: number; // a message with the same match key (Message-ID and canonical digest, keyed by account) is that copy already
}

export interface RelayQuestion {
  readonly domain: string;
  readonly reversePath: string;
}

export interface Relay {
  readonly host: string;
  readonly port: number;
  readonly tls: 'implicit' | 'starttls' | 'opportunistic';
}
