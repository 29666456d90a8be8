/** Storage at rest: a codec is two transforms that undo each other, declared together. */
import type { Session } from './actor.ts';
import type { Awaitable } from './brand.ts';
import type { ByteRange, Stream } from './bytes.ts';
import type { AccountCall, Call, CodecCall } from './calls.ts';
import type { Account } from './values.ts';

/**
 * One stretch of what is stored: a message, one large part of it stored apart, its folded text for search, or a segment of the search
 * index. Codecs chain as streams; nothing is gathered between them. To an account with an encrypting codec a message is one stretch.
 */
export interface Segment {
  readonly role: 'message' | 'attachment' | 'text' | 'index';
  readonly plainOctets: number;
  open(range?: ByteRange): Stream;
}

interface CodecBase {
  readonly name: string; // written beside each content; a new format takes a new name
  appliesTo(account: Account, call: Call): Awaitable<boolean>;
  encode(plain: Segment, call: CodecCall): Awaitable<Stream>;
  decode(encoded: Segment, call: CodecCall): Awaitable<Stream>;
  /** Reads part of a segment without the rest. Without it the core decodes from the start and cuts. */
  decodeRange?(encoded: Segment, range: ByteRange, call: CodecCall): Awaitable<Stream>;
}

export interface CompressCodec extends CodecBase {
  readonly stage: 'compress';
}

export interface EncryptCodec extends CodecBase {
  readonly stage: 'encrypt'; // after compress on the way in; the core undoes codecs in the reverse order
  /** False: this session cannot open the account's mail. Asked before FETCH and SEARCH, and to tell when an unlocked session exists. */
  canOpen(account: Account, session: Session): boolean;
  /** ENVELOPE, structure, preview, ids, notes: whatever is derived from content, as opaque octets; after the last chunk of `encode`. */
  sealMetadata(plain: Uint8Array, call: CodecCall): Awaitable<Uint8Array>;
  /** In batches: a list of 10 000 messages is one call. `replacement` is written back when the core has time. */
  openMetadata(
    sealed: readonly { readonly octets: Uint8Array; readonly binding: Uint8Array }[],
    call: AccountCall,
  ): Awaitable<readonly { readonly plain: Uint8Array; readonly replacement?: Uint8Array }[]>;
}

export type Codec = CompressCodec | EncryptCodec;
