import type { Address } from './address.ts';
import { imapFreeText, imapString, imapUnfolded } from './imap-wire.ts';
import type { Parameter } from './parameters.ts';
import { defaultSubtype, type EnvelopeFields, type PartBuilder } from './part-builder.ts';

const DEFAULT_CHARSET = '"charset" "us-ascii"';

/** RFC 9051 has no structure for a multipart without parts, so it shows one empty text part. */
const EMPTY_PART = `("text" "plain" (${DEFAULT_CHARSET}) NIL NIL "7bit" 0 0`;

const NO_ENVELOPE = '(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)';

/** ENVELOPE (RFC 9051 §7.5.2): Sender and Reply-To default to From. */
export function envelopeWire(fields: EnvelopeFields | undefined): string {
  if (fields === undefined) return NO_ENVELOPE;
  const from = addressesWire(fields.from);
  const sender = fields.sender === undefined || fields.sender.length === 0 ? from : addressesWire(fields.sender);
  const replyTo = fields.replyTo === undefined || fields.replyTo.length === 0 ? from : addressesWire(fields.replyTo);
  return `(${imapUnfolded(fields.date)} ${imapFreeText(fields.subject)} ${from} ${sender} ${replyTo} ${addressesWire(fields.to)} ${addressesWire(fields.cc)} ${addressesWire(fields.bcc)} ${imapUnfolded(fields.inReplyTo)} ${imapUnfolded(fields.messageId)})`;
}

function addressesWire(addresses: readonly Address[] | undefined): string {
  if (addresses === undefined || addresses.length === 0) return 'NIL';
  let wire = '(';
  for (const { name, route, mailbox, host } of addresses) {
    wire += `(${imapFreeText(name)} ${imapUnfolded(route)} ${imapUnfolded(mailbox)} ${imapUnfolded(host)})`;
  }
  return `${wire})`;
}

/** BODYSTRUCTURE (`extended`) or BODY (`basic`), RFC 9051 §7.5.2. Recursion is bounded by MAX_MIME_DEPTH. */
export function structureWire(part: PartBuilder, form: 'basic' | 'extended'): string {
  return part.kind === 'multipart' ? multipartWire(part, form) : leafWire(part, form);
}

function multipartWire(part: PartBuilder, form: 'basic' | 'extended'): string {
  const { type } = part.content;
  let wire = '(';
  for (const child of part.children) wire += structureWire(child, form);
  if (part.children.length === 0) wire += form === 'extended' ? `${EMPTY_PART} NIL NIL NIL NIL)` : `${EMPTY_PART})`;
  wire += ` ${imapString(type?.subtype || defaultSubtype('multipart'))}`;
  if (form === 'extended') wire += ` ${parametersWire(type?.parameters ?? [])}${extensionWire(part)}`;
  return `${wire})`;
}

function leafWire(part: PartBuilder, form: 'basic' | 'extended'): string {
  const { content } = part;
  let type = content.type?.type || 'text';
  let subtype = content.type?.subtype || defaultSubtype(type.toLowerCase());
  let parameters = content.type?.parameters ?? [];
  if (part.kind === 'message') {
    type = 'message';
    subtype = 'rfc822';
  } else if (part.opaque) {
    type = 'application';
    subtype = 'octet-stream';
    parameters = [];
  }
  const isText = type.toLowerCase() === 'text';
  const size = part.bodyEnd - part.bodyStart;
  let wire = `(${imapString(type)} ${imapString(subtype)} ${isText ? textParametersWire(parameters) : parametersWire(parameters)} ${imapUnfolded(content.id)} ${imapUnfolded(content.description)} ${content.encoding === undefined ? '"7bit"' : imapString(content.encoding)} ${size}`;
  if (isText) wire += ` ${part.lines}`;
  else if (part.kind === 'message') {
    const [message] = part.children;
    if (message !== undefined) wire += ` ${envelopeWire(message.envelope)} ${structureWire(message, form)} ${part.lines}`;
  }
  if (form === 'extended') wire += ` ${imapUnfolded(content.md5)}${extensionWire(part)}`;
  return `${wire})`;
}

/** body-fld-dsp, body-fld-lang, body-fld-loc. */
function extensionWire({ content }: PartBuilder): string {
  const { disposition, languages, location } = content;
  if (disposition === undefined && languages === undefined && location === undefined) return ' NIL NIL NIL';
  const language = languages === undefined || languages.length === 0 ? 'NIL' : `(${languages.map(imapString).join(' ')})`;
  const shown = disposition === undefined ? 'NIL' : `(${imapString(disposition.token)} ${parametersWire(disposition.parameters)})`;
  return ` ${shown} ${language} ${imapUnfolded(location)}`;
}

function parametersWire(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return 'NIL';
  let wire = '';
  for (const { name, value } of parameters) wire += `${wire === '' ? '(' : ' '}${imapString(name)} ${imapUnfolded(value)}`;
  return `${wire})`;
}

/** Text has a charset in BODYSTRUCTURE even if the mail does not name it: the default of RFC 2045 §5.2. */
function textParametersWire(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return `(${DEFAULT_CHARSET})`;
  const wire = parametersWire(parameters);
  const named = parameters.some(({ name }) => name.length === 7 && name.toLowerCase() === 'charset');
  return named ? wire : `${wire.slice(0, -1)} ${DEFAULT_CHARSET})`;
}
