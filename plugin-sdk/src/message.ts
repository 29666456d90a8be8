/** An RFC 5322 message as a plugin with `plaintext` sees it. */
import type { Bytes } from './bytes.ts';
import type { Permission, With } from './permissions.ts';

/** An RFC 5322 message. Immutable: each change gives a new message; bodies are rewritten as they stream past. */
export interface Message extends Bytes {
  readonly header: HeaderView;
  /** Decoded text of all text parts, for people and indexes; never the wire truth. */
  text(): Promise<string>;
  prepend(name: string, value: string): Message; // refuses CR, LF and NUL
  without(name: string): Message;
  /** Rewrites inline text parts, decoded and encoded again; signed and encrypted parts are left alone. */
  mapText(rewrite: (text: string, part: { readonly type: 'text/plain' | 'text/html' }) => string): Message;
}

export interface HeaderView {
  get(name: string): string | undefined; // first occurrence, RFC 2047 decoded
  all(name: string): readonly string[];
  readonly raw: Uint8Array;
}

export type MessageFor<P extends Permission> = With<P, 'plaintext', Message>;
