/** CATENATE (RFC 4469): a message made of literals and of pieces of messages that are there already, streamed with bounded memory. */

import { contentAtRow } from '../mail/journal/layout.ts';
import { runOf } from '../mail/journal/uid-runs.ts';
import type { MailAccess, MessageSource, OpenContent } from '../mail/services.ts';
import { headerFields } from '../mime/header-fields.ts';
import { type SectionRange, sectionRange } from '../mime/section.ts';
import type { ContentId } from '../store/store.ts';
import { ImapNo } from './errors.ts';
import { cut, exactly, filteredHead, mimeText } from './fetch/section-writer.ts';
import { type ImapUrl, parseImapUrl } from './grammar/imap-url.ts';
import type { CatenatePart } from './grammar/syntax-tree.ts';
import { mayIn } from './guest-view.ts';
import { type Found, placeOf } from './mailboxes.ts';
import type { ImapSession } from './session.ts';

/** What is echoed of a URL must not end the response code or the line. */
const ECHOED = /^[!#-Z^-~]{0,512}$/;

/** A piece that has been found; its octets are read later, one piece at a time. */
interface Piece {
  readonly sizeOctets: number;
  octets(): AsyncIterable<Uint8Array>;
}

function badUrl(url: string): ImapNo {
  return new ImapNo(`BADURL "${ECHOED.test(url) ? url : ''}"`, 'A part of the message was not found'); // RFC 4469 §4
}

/** The message for a mailbox. @throws ImapNo BADURL, TOOBIG; MailError as `mayAppend` and the spool; what reading the pieces throws */
export async function catenated(session: ImapSession, { access, info }: Found, parts: readonly CatenatePart[]): Promise<MessageSource> {
  const { appends } = session.wire;
  const limitOctets = session.env.limits.messageOctets;
  const pieces: Piece[] = [];
  let sizeOctets = 0;
  for (const part of parts) {
    if ('url' in part) pieces.push(await pieceOfMessage(session, part.url));
    else {
      const source = await appends.take(part.literal, session);
      pieces.push({ sizeOctets: source.sizeOctets, octets: () => source.open() });
    }
    sizeOctets += pieces.at(-1)?.sizeOctets ?? 0;
    if (sizeOctets > limitOctets) throw new ImapNo('TOOBIG', 'Message too large');
  }
  await access.mayAppend(info.id, sizeOctets);
  const source = await session.env.services.spool.receive(joined(pieces), { limitOctets, signal: session.signal });
  appends.own(source);
  return source;
}

async function* joined(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield* piece.octets();
}

/** @throws ImapNo BADURL; MailError as `authorize` and reading do */
async function pieceOfMessage(session: ImapSession, text: string): Promise<Piece> {
  const url = parseImapUrl(text);
  const whose = url === undefined || !isOfThisAccount(url, session) ? undefined : await mailboxOf(url, session);
  const id = url === undefined || whose === undefined ? undefined : await contentOf(url, whose);
  if (url === undefined || whose === undefined || id === undefined) throw badUrl(text);
  const { access } = whose;
  const { signal } = session;
  const content = await opened(access, id, text);
  const found = sectionRange(content.parts, { path: url.section.part, text: mimeText(url.section) });
  if (found === undefined) throw badUrl(text);
  const length = found.filter === undefined ? found.to - found.from : (await filtered(content, found, signal)).length;
  const { offset = 0, length: most = length } = url.partial ?? {};
  const { from, to } = cut(length, { offset, length: most });
  return {
    sizeOctets: to - from,
    octets: async function* octets() {
      if (from === to) return;
      // Opened again: an open content holds memory, and there may be hundreds of pieces.
      const again = await opened(access, id, text);
      if (found.filter === undefined) yield* exactly(again.read(found.from + from, found.from + to, signal), to - from);
      else yield (await filtered(again, found, signal)).subarray(from, to);
    },
  };
}

function isOfThisAccount({ server }: ImapUrl, { env, account }: ImapSession): boolean {
  if (server === undefined) return true;
  if (server.host !== env.hostname.toLowerCase()) return false;
  const { user } = server;
  return user === undefined || user === account?.username || account?.addresses.includes(user) === true;
}

/** Also one that another user shares. */
async function mailboxOf({ mailbox }: ImapUrl, session: ImapSession): Promise<Found | undefined> {
  if (mailbox === undefined) return session.selected;
  const place = await placeOf(session, mailbox);
  const info = place?.access.mail.byName(place.name);
  return place === undefined || info === undefined ? undefined : { access: place.access, info };
}

async function contentOf(url: ImapUrl, { access, info }: Found): Promise<ContentId | undefined> {
  if (!info.selectable || !mayIn(access, info.id, 'r')) return undefined;
  if (url.uidValidity !== undefined && url.uidValidity !== info.uidValidity) return undefined;
  const only = runOf(url.uid, url.uid);
  const state = await access.mail.state(info.id);
  if (!state.has(url.uid)) return undefined;
  await access.authorize(info.id, only, 'content');
  let id: ContentId | undefined;
  (await access.mail.state(info.id)).visit(only, (words, at) => {
    id = contentAtRow(words, at) as ContentId;
    return false;
  });
  return id;
}

async function opened(access: MailAccess, id: ContentId, url: string): Promise<OpenContent> {
  const [content] = await access.content.open([id]);
  if (content === undefined) throw badUrl(url); // expunged and swept meanwhile
  content.requireReadable();
  return content;
}

async function filtered(content: OpenContent, { from, to, filter }: SectionRange, signal: AbortSignal): Promise<Buffer> {
  return headerFields(await filteredHead(content, from, to, signal), filter?.names ?? [], { not: filter?.not ?? false });
}
