import { annotation, annotationsBelow, MAX_ANNOTATION_OCTETS, SPECIAL_USE_ENTRY } from '../../mail/annotations.ts';
import { MailError } from '../../mail/errors.ts';
import { type AnnotationLine, writeAnnotations } from '../annotation-lines.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { getMetadataRequest, setMetadataRequest } from '../grammar/metadata.ts';
import { type Found, findName } from '../mailboxes.ts';
import type { ImapSession } from '../session.ts';

/** The empty name is the server. @throws ImapNo NONEXISTENT; MailError no-such-mailbox, forbidden (RFC 5464 §3.3) */
async function annotated(session: ImapSession, name: string): Promise<Found | undefined> {
  if (name === '') return undefined;
  const found = await findName(session, name);
  found.access.guest?.require(found.info.id, 'lr');
  return found;
}

/** GETMETADATA: RFC 5464 §4.2. */
export const getMetadata = defineCommand({
  name: 'GETMETADATA',
  states: ['authenticated'],
  capability: 'METADATA',
  mayExpunge: true,
  args: args({ request: getMetadataRequest }),

  async handle(context, { request: { mailbox, entries, depth, maxSize = Number.POSITIVE_INFINITY } }) {
    const found = await annotated(context.session, mailbox);
    const { mail } = (found ?? context).access;
    const box = found?.info;
    const lines = new Map<string, AnnotationLine>();
    for (const { name, asked } of entries) {
      const octets = annotation(mail, box, name);
      // Asked for by its name alone an entry without a value is NIL; a tree shows what is there.
      if (octets !== undefined || depth === '0') lines.set(name, { entry: asked, octets });
      if (depth === '0') continue;
      for (const [below, value] of annotationsBelow(mail, box, name, depth === '1' ? 'children' : 'all')) {
        lines.set(below, { entry: asked + below.slice(name.length), octets: value });
      }
    }
    let longest = 0;
    for (const [name, { octets }] of lines) {
      if (octets === undefined || octets.length <= maxSize) continue;
      longest = Math.max(longest, octets.length);
      lines.delete(name);
    }
    await writeAnnotations(context, found, lines.values());
    return longest === 0 ? undefined : { code: `METADATA LONGENTRIES ${longest}`, text: 'Some values are longer' };
  },
});

/** SETMETADATA: RFC 5464 §4.3; `/private/specialuse` is the mailbox's special use (RFC 6154 §4). All or nothing. */
export const setMetadata = defineCommand({
  name: 'SETMETADATA',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ request: setMetadataRequest }),

  async handle(context, { request: { mailbox, entries } }) {
    const found = await annotated(context.session, mailbox);
    for (const value of entries.values()) {
      if (value !== null && value.length > MAX_ANNOTATION_OCTETS)
        throw new ImapNo(`METADATA MAXSIZE ${MAX_ANNOTATION_OCTETS}`, 'Annotation is too long');
    }
    try {
      await (found ?? context).access.annotate(found?.info.id, entries);
    } catch (error) {
      if (error instanceof MailError && error.code === 'limit') throw new ImapNo('METADATA TOOMANY', error.message, { cause: error });
      if (error instanceof MailError && error.code === 'invalid' && entries.has(SPECIAL_USE_ENTRY))
        throw new ImapNo('USEATTR', error.message, { cause: error });
      throw error;
    }
  },
});
