/**
 * Messages on their way in. A literal of APPEND is judged when it is announced, so that a refused one is never sent (RFC 7888 §5), and
 * goes into the spool; small ones stay in memory.
 */
import { PassThrough, type Writable } from 'node:stream';
import { withoutBinaryParts } from '../mail/content/binary-parts.ts';
import { MailError } from '../mail/errors.ts';
import type { MessageSource } from '../mail/services.ts';
import { normaliseCrlf } from '../mime/crlf.ts';
import type { AnnouncedLiteral, Literal, LiteralDecision } from '../net/line-reader.ts';
import type { ImapLog } from './environment.ts';
import { ImapBad, ImapNo } from './errors.ts';
import { appendMessageSoFar, appendSoFar } from './grammar/append.ts';
import { Cursor } from './grammar/cursor.ts';
import { mailboxName } from './grammar/mailbox-name.ts';
import { oneMessage } from './grammar/sequence-set.ts';
import { commandName, commandTag } from './grammar/session-arguments.ts';
import { ImapSyntaxError } from './grammar/syntax-error.ts';
import type { AppendMessage } from './grammar/syntax-tree.ts';
import { findTarget, splitOthers } from './mailboxes.ts';
import { type ImapSession, UTF8_ACCEPT } from './session.ts';

const KIB = 1024;
/** A message up to this size is handed over in memory. */
const MEMORY_OCTETS = 64 * KIB;
/** All messages in memory of one command (MULTIAPPEND) together. */
const MEMORY_TOTAL_OCTETS = 256 * KIB;
/** How far the spool may fall behind the socket. */
const STREAM_OCTETS = 128 * KIB;

/** One APPEND's or REPLACE's messages, from the first announcement to the end of the command. */
export class AppendLiterals {
  readonly #streams = new Map<Writable, Promise<MessageSource>>();
  readonly #taken: MessageSource[] = [];
  #inMemory = 0;
  /** All messages so far: they are judged together, as they are stored together. */
  #octets = 0;
  /** Of an APPEND whose messages so far are whole: where it goes on. What was judged is not read again for each message. */
  #before: { readonly mailbox: string; readonly next: number } | undefined;

  decide(announced: AnnouncedLiteral, session: ImapSession): LiteralDecision | Promise<LiteralDecision> {
    const { literal } = announced;
    const { login } = session;
    const target = this.#target(announced, session);
    if (target === undefined || login === undefined) return 'memory';
    if ('refuse' in target) return target;
    const { access } = login;
    const box = access.mail.byName(target.mailbox);
    if (box === undefined && splitOthers(target.mailbox) !== undefined) return this.#decideOthers(target.mailbox, literal, session);
    if (box === undefined) return { refuse: new ImapNo('TRYCREATE', 'No such mailbox') };
    if (!box.selectable) return { refuse: new ImapNo('NONEXISTENT', 'This name holds no messages') };
    this.#octets += literal.sizeOctets;
    return access.mayAppend(box.id, this.#octets).then(() => this.#accept(literal, session));
  }

  #target(announced: AnnouncedLiteral, session: ImapSession): Target | undefined {
    const target = this.#before === undefined ? appendTarget(announced, session) : furtherMessage(announced, session, this.#before);
    const isWhole = target !== undefined && !('refuse' in target) && target.isWhole;
    this.#before = isWhole ? { mailbox: target.mailbox, next: announced.literal.next } : undefined;
    return target;
  }

  async #decideOthers(mailbox: string, literal: Literal, session: ImapSession): Promise<LiteralDecision> {
    try {
      const { access, info } = await findTarget(session, mailbox);
      this.#octets += literal.sizeOctets;
      await access.mayAppend(info.id, this.#octets);
    } catch (error) {
      if (error instanceof ImapNo) return { refuse: error };
      throw error;
    }
    return this.#accept(literal, session);
  }

  #accept(literal: Literal, session: ImapSession): LiteralDecision {
    const { limits, services } = session.env;
    const { sizeOctets } = literal;
    if (sizeOctets > limits.messageOctets) return { refuse: new ImapNo('TOOBIG', 'Message too large') };
    if (sizeOctets <= Math.min(MEMORY_OCTETS, limits.imapLiteralOctets) && this.#inMemory + sizeOctets <= MEMORY_TOTAL_OCTETS) {
      this.#inMemory += sizeOctets;
      return 'memory';
    }
    const stream = new PassThrough({ highWaterMark: STREAM_OCTETS });
    // The reader destroys it when the connection ends; whoever waits for the source hears of it from the spool.
    stream.on('error', ignoreStreamError);
    const lineEnds = literal.binary ? 'keep' : 'normalise';
    const source = services.spool.receive(stream, { limitOctets: limits.messageOctets, signal: session.signal, lineEnds });
    source.catch(ignoreStreamError); // `take` or `dispose` sees the rejection
    this.#streams.set(stream, source);
    return { stream };
  }

  /** The message of a literal of the finished command; disposed of by `dispose`. @throws what the spool throws */
  async take(literal: Literal, session: ImapSession): Promise<MessageSource> {
    const source = await this.#received(literal, session);
    if (!literal.binary) return source;
    const { limits, services } = session.env;
    const options = { limitOctets: limits.messageOctets, signal: session.signal };
    try {
      const stored = await services.spool.receive(withoutBinaryParts(source, session.signal), options);
      this.own(stored);
      return stored;
    } catch (error) {
      if (error instanceof MailError && error.code === 'unsupported') throw new ImapNo('UNKNOWN-CTE', error.message, { cause: error });
      throw error;
    }
  }

  async #received(literal: Literal, session: ImapSession): Promise<MessageSource> {
    if (literal.octets !== undefined) {
      const octets = literal.binary ? literal.octets : normaliseCrlf(literal.octets);
      // Seldom the whole of its network buffer: a copy lets go of the rest.
      const source = session.env.services.spool.fromBytes(octets.buffer.byteLength > 2 * octets.length ? Buffer.from(octets) : octets);
      this.#taken.push(source);
      return source;
    }
    const source = literal.stream === undefined ? undefined : this.#streams.get(literal.stream);
    if (source === undefined) throw new Error('a literal was neither kept nor streamed');
    return source;
  }

  /** A message that was made of what came; disposed of with the rest. */
  own(source: MessageSource): void {
    this.#taken.push(source);
  }

  /** Idempotent; also for messages of a command that was refused or never ended. */
  dispose(log: ImapLog): void {
    for (const [stream, source] of this.#streams) {
      if (!stream.writableEnded) stream.destroy();
      source.then((received) => this.#drop(received, log), ignoreStreamError);
    }
    for (const source of this.#taken) this.#drop(source, log);
    this.#streams.clear();
    this.#taken.length = 0;
  }

  #drop(source: MessageSource, log: ImapLog): void {
    source.dispose().catch((error: unknown) => log.warn({ err: error }, 'spooled message could not be removed'));
  }
}

/** Reported where the source is awaited. */
function ignoreStreamError(): void {}

/** `isWhole`: the literal ends a message of APPEND, and another may follow. */
type Target = { readonly mailbox: string; readonly isWhole: boolean } | { readonly refuse: Error };

/** Undefined: not the message of an APPEND or REPLACE, so an ordinary literal. */
function appendTarget(announced: AnnouncedLiteral, session: ImapSession): Target | undefined {
  const cursor = new Cursor(announced, session.names);
  let arguments_: number;
  let mailbox: string;
  let isReplace: boolean;
  let isByNumber = false;
  try {
    commandTag(cursor);
    const { name, uid } = commandName(cursor);
    isReplace = name === 'REPLACE';
    isByNumber = isReplace && !uid;
    if (!isReplace && (name !== 'APPEND' || uid)) return undefined;
    cursor.space();
    if (isReplace) {
      oneMessage(cursor);
      cursor.space();
    }
    arguments_ = cursor.offset;
    if (arguments_ === announced.literal.at) return undefined; // the mailbox name
    mailbox = mailboxName(cursor);
  } catch (error) {
    if (error instanceof ImapSyntaxError) return undefined; // BAD when the command is whole
    throw error;
  }
  try {
    if (isByNumber && session.isUidOnly) return { refuse: new ImapBad('Use the UID form', 'UIDREQUIRED') };
    if (isReplace) cursor.space();
    else cursor.offset = arguments_;
    const last = isReplace ? appendMessageSoFar(cursor) : appendSoFar(cursor).messages.at(-1);
    return judged(last, mailbox, isReplace ? 'replace' : 'append', session);
  } catch (error) {
    if (error instanceof ImapSyntaxError) return { refuse: error };
    throw error;
  }
}

function furtherMessage(
  announced: AnnouncedLiteral,
  session: ImapSession,
  { mailbox, next }: { readonly mailbox: string; readonly next: number },
): Target | undefined {
  const cursor = new Cursor(announced, session.names);
  cursor.offset = next;
  try {
    if (!cursor.takeSeparator()) cursor.fail('Space expected');
    return judged(appendMessageSoFar(cursor), mailbox, 'append', session);
  } catch (error) {
    if (error instanceof ImapSyntaxError) return { refuse: error };
    throw error;
  }
}

function judged(last: AppendMessage | undefined, mailbox: string, command: 'append' | 'replace', session: ImapSession): Target | undefined {
  const part = last !== undefined && !('sizeOctets' in last.content) ? last.content.at(-1) : undefined;
  if (part !== undefined && 'url' in part) return undefined; // a URL that is not written as one word
  const isUtf8 = last?.utf8 === true || part?.utf8 === true;
  if (isUtf8 && (session.enabled & UTF8_ACCEPT) === 0 && !session.isRev2) return { refuse: new ImapBad('UTF8=ACCEPT is not enabled') };
  // What closes a list comes behind the literal.
  return { mailbox, isWhole: command === 'append' && part === undefined && !isUtf8 };
}
