import { type Address, parseAddressList } from './address.ts';
import { parameterText } from './header-text.ts';
import { MAX_ADDRESSES, MAX_BOUNDARY_OCTETS } from './limits.ts';
import {
  type ContentType,
  type Parameter,
  parameterValue,
  parseContentType,
  parseLanguages,
  parseToken,
  parseTokenWithParameters,
} from './parameters.ts';
import type { MimePart } from './part.ts';

/** Header fields of a message that ENVELOPE is made of (RFC 9051 §7.5.2), values latin1 as in the source, folds included. */
export interface EnvelopeFields {
  date: string | undefined;
  subject: string | undefined;
  from: Address[] | undefined;
  sender: Address[] | undefined;
  replyTo: Address[] | undefined;
  to: Address[] | undefined;
  cc: Address[] | undefined;
  bcc: Address[] | undefined;
  inReplyTo: string | undefined;
  messageId: string | undefined;
  references: string | undefined;
}

/** Content-* fields of a part, values latin1 as in the source. The first field of a kind counts. */
interface ContentFields {
  type: ContentType | undefined;
  encoding: string | undefined;
  id: string | undefined;
  description: string | undefined;
  md5: string | undefined;
  location: string | undefined;
  languages: string[] | undefined;
  disposition: { readonly token: string; readonly parameters: readonly Parameter[] } | undefined;
}

type Kind = 'leaf' | 'multipart' | 'message';

/** A part while it is being read. */
export class PartBuilder {
  readonly parent: PartBuilder | undefined;
  readonly depth: number;
  readonly headerStart: number;
  readonly children: PartBuilder[] = [];
  bodyStart = 0;
  bodyEnd = 0;
  lines = 0;
  /** BODYSTRUCTURE shows the lines of text and of embedded messages, whatever those hold; counting all others' is half the time of a parse. */
  countsLines = true;
  #isInMessage = false;
  kind: Kind = 'leaf';
  /** True for a multipart or message that is not opened because of a limit. */
  opaque = false;
  content = contentFields();
  /** Only of whole messages. */
  envelope: EnvelopeFields | undefined;
  /** Without MIME-Version or Content-Type the Content-* fields of a message mean nothing (RFC 2045 §4). */
  #isMime: boolean;

  constructor(parent: PartBuilder | undefined, headerStart: number) {
    this.parent = parent;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.headerStart = headerStart;
    this.#isMime = parent !== undefined && parent.kind === 'multipart';
    if (!this.#isMime) this.envelope = envelopeFields();
    parent?.children.push(this);
  }

  /** Takes note of one header field. `name` is in lower case, `value` begins after the colon and its white space. */
  field(name: string, value: string): void {
    if (name.startsWith('content-')) this.#contentField(name.slice(8), value);
    else if (name === 'mime-version') this.#isMime = true;
    else if (this.envelope !== undefined) envelopeField(this.envelope, name, value);
  }

  #contentField(name: string, value: string): void {
    const { content } = this;
    switch (name) {
      case 'type':
        this.#isMime = true;
        content.type ??= parseContentType(value);
        break;
      case 'transfer-encoding': {
        const encoding = content.encoding ?? parseToken(value);
        if (encoding !== undefined) content.encoding = encoding;
        break;
      }
      case 'disposition':
        if (content.disposition === undefined || content.disposition.parameters.length === 0) {
          const disposition = parseTokenWithParameters(value);
          if (disposition !== undefined) content.disposition = disposition;
        }
        break;
      case 'language':
        content.languages ??= parseLanguages(value);
        break;
      case 'id':
        content.id ??= value;
        break;
      case 'description':
        content.description ??= value;
        break;
      case 'md5':
        content.md5 ??= value;
        break;
      case 'location':
        content.location ??= value;
        break;
    }
  }

  /** Decides what the part is; the header block has been read. `limited`: no further level or part is allowed. */
  endOfHeader(limited: boolean): void {
    if (!this.#isMime) this.content = contentFields();
    // A multipart without subtype has no grammar in BODYSTRUCTURE: invalid, hence text/plain (RFC 2045 §5.2).
    if (this.content.type?.subtype === '' && this.content.type.type.toLowerCase() === 'multipart') this.content.type = undefined;
    const { type } = this.content;
    if (type === undefined) {
      if (this.parent?.isDigest()) this.kind = 'message'; // RFC 2046 §5.1.5
    } else if (type.type.toLowerCase() === 'multipart') this.kind = 'multipart';
    else if (type.type.toLowerCase() === 'message' && type.subtype.toLowerCase() === 'rfc822') this.kind = 'message';
    if (limited && this.kind !== 'leaf') {
      this.kind = 'leaf';
      this.opaque = true;
    }
    this.#isInMessage = this.parent !== undefined && (this.parent.kind === 'message' || this.parent.#isInMessage);
    const isText = this.kind === 'leaf' && !this.opaque && (type === undefined || type.type === '' || type.type.toLowerCase() === 'text');
    this.countsLines = this.#isInMessage || this.kind === 'message' || isText;
  }

  isDigest(): boolean {
    return this.kind === 'multipart' && this.content.type?.subtype.toLowerCase() === 'digest';
  }

  /** Boundary of a multipart, at most MAX_BOUNDARY_OCTETS; undefined if it has none, so that it can have no parts. */
  boundary(): string | undefined {
    if (this.kind !== 'multipart' || this.content.type === undefined) return undefined;
    return parameterValue(this.content.type.parameters, 'boundary')?.slice(0, MAX_BOUNDARY_OCTETS) || undefined;
  }

  finish(): MimePart {
    const { content } = this;
    const type = content.type?.type.toLowerCase();
    const parameters = this.opaque ? [] : (content.type?.parameters ?? []);
    const children = this.children.map((child) => child.finish());
    const common = {
      headerStart: this.headerStart,
      bodyStart: this.bodyStart,
      bodyEnd: this.bodyEnd,
      lines: this.lines,
      encoding: content.encoding?.toLowerCase() ?? '7bit',
      charset: parameters.length === 0 ? undefined : parameterValue(parameters, 'charset'),
      name: this.#fileName(parameters),
      disposition: content.disposition?.token.toLowerCase(),
    };
    if (this.kind === 'message') return { ...common, type: 'message', subtype: 'rfc822', children: [], message: children[0] };
    if (this.opaque) return { ...common, type: 'application', subtype: 'octet-stream', children: [], message: undefined };
    if (type === undefined || type === '') return { ...common, type: 'text', subtype: 'plain', children, message: undefined };
    const subtype = content.type?.subtype.toLowerCase() || defaultSubtype(type);
    return { ...common, type, subtype, children, message: undefined };
  }

  #fileName(parameters: readonly Parameter[]): string | undefined {
    const { disposition } = this.content;
    const name =
      disposition === undefined || disposition.parameters.length === 0 ? undefined : parameterText(disposition.parameters, 'filename');
    return name ?? (parameters.length === 0 ? undefined : parameterText(parameters, 'name'));
  }
}

// All properties from the start, in one order: one shape, however fields come, is what keeps the parser's stores fast.

function envelopeFields(): EnvelopeFields {
  return {
    date: undefined,
    subject: undefined,
    from: undefined,
    sender: undefined,
    replyTo: undefined,
    to: undefined,
    cc: undefined,
    bcc: undefined,
    inReplyTo: undefined,
    messageId: undefined,
    references: undefined,
  };
}

function contentFields(): ContentFields {
  return {
    type: undefined,
    encoding: undefined,
    id: undefined,
    description: undefined,
    md5: undefined,
    location: undefined,
    languages: undefined,
    disposition: undefined,
  };
}

export function defaultSubtype(type: string): string {
  return type === 'text' ? 'plain' : type === 'multipart' ? 'x-unknown' : 'unknown';
}

/** Grows the list in place: a header block may hold tens of thousands of one-address fields. */
function join(addresses: Address[] | undefined, value: string): Address[] {
  if (addresses === undefined) return parseAddressList(value);
  if (addresses.length >= MAX_ADDRESSES) return addresses;
  for (const address of parseAddressList(value)) {
    if (addresses.length >= MAX_ADDRESSES) break;
    addresses.push(address);
  }
  return addresses;
}

/** Repeated address fields add up, a repeated other field replaces the earlier one; RFC 5322 §3.6 allows none to repeat. */
function envelopeField(envelope: EnvelopeFields, name: string, value: string): void {
  switch (name) {
    case 'date':
      envelope.date = value;
      break;
    case 'subject':
      envelope.subject = value;
      break;
    case 'from':
      envelope.from = join(envelope.from, value);
      break;
    case 'sender':
      envelope.sender = join(envelope.sender, value);
      break;
    case 'reply-to':
      envelope.replyTo = join(envelope.replyTo, value);
      break;
    case 'to':
      envelope.to = join(envelope.to, value);
      break;
    case 'cc':
      envelope.cc = join(envelope.cc, value);
      break;
    case 'bcc':
      envelope.bcc = join(envelope.bcc, value);
      break;
    case 'in-reply-to':
      envelope.inReplyTo = value;
      break;
    case 'message-id':
      envelope.messageId = value;
      break;
    case 'references':
      envelope.references = value;
      break;
  }
}
