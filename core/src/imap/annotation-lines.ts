/** METADATA responses: entries with their values, in octets as they were set (RFC 5464 §4.4.1). */
import type { CommandContext } from './command.ts';
import { atomOrString, mailbox, octetString } from './grammar/write.ts';
import { type Found, nameIn } from './mailboxes.ts';

export interface AnnotationLine {
  readonly entry: string;
  readonly octets: Buffer | undefined;
}

/** Octets of one response; a client may hold it in memory. */
const RESPONSE_OCTETS = 65_536;

function valueText(octets: Buffer | undefined): string {
  if (octets === undefined) return 'NIL';
  const wire = octets.toString('latin1');
  return wire.includes('\0') ? `~{${wire.length}}\r\n${wire}` : octetString(wire);
}

/** `found` undefined: the server. Nothing at all when there are no entries: an empty list is no METADATA response. */
export async function writeAnnotations(
  { respond, session }: CommandContext,
  found: Found | undefined,
  lines: Iterable<AnnotationLine>,
): Promise<void> {
  const name = found === undefined ? '""' : mailbox(nameIn(found.access, found.info.name), session.names);
  let text = '';
  for (const { entry, octets } of lines) {
    text += `${text === '' ? '' : ' '}${atomOrString(entry, session.names)} ${valueText(octets)}`;
    if (text.length < RESPONSE_OCTETS) continue;
    respond.untagged(`METADATA ${name} (${text})`);
    text = '';
    if (respond.isFull) await respond.drained();
  }
  if (text !== '') respond.untagged(`METADATA ${name} (${text})`);
}
