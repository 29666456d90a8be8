import { annotation, annotationsBelow, MAX_ANNOTATION_OCTETS, SPECIAL_USE_ENTRY } from '../../mail/annotations.ts';
import { MailError } from '../../mail/errors.ts';
import type { MailboxInfo } from '../../mail/journal/account-mail.ts';
import type { MailAccess } from '../../mail/services.ts';
import { type AnnotationLine, writeAnnotations } from '../annotation-lines.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { getMetadataRequest, setMetadataRequest } from '../grammar/metadata.ts';

/** The empty name is the server. @throws ImapNo NONEXISTENT */
function annotated({ mail }: MailAccess, name: string): MailboxInfo | undefined {
  if (name === '') return undefined;
  const info = mail.byName(name);
  if (info === undefined) throw new ImapNo('NONEXISTENT', 'No such mailbox');
  return info;
}

/** GETMETADATA: RFC 5464 §4.2. */
export const getMetadata = defineCommand({
  name: 'GETMETADATA',
  states: ['authenticated'],
  capability: 'METADATA',
  mayExpunge: true,
  args: args({ request: getMetadataRequest }),

  async handle(context, { request: { mailbox, entries, depth, maxSize = Number.POSITIVE_INFINITY } }) {
    const { mail } = context.access;
    const box = annotated(context.access, mailbox);
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
    await writeAnnotations(context, box, lines.values());
    return longest === 0 ? undefined : { code: `METADATA LONGENTRIES ${longest}`, text: 'Some values are longer' };
  },
});

/** SETMETADATA: RFC 5464 §4.3; `/private/specialuse` is the mailbox's special use (RFC 6154 §4). All or nothing. */
export const setMetadata = defineCommand({
  name: 'SETMETADATA',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ request: setMetadataRequest }),

  async handle({ access }, { request: { mailbox, entries } }) {
    const box = annotated(access, mailbox);
    for (const value of entries.values()) {
      if (value !== null && value.length > MAX_ANNOTATION_OCTETS)
        throw new ImapNo(`METADATA MAXSIZE ${MAX_ANNOTATION_OCTETS}`, 'Annotation is too long');
    }
    try {
      await access.annotate(box?.id, entries);
    } catch (error) {
      if (error instanceof MailError && error.code === 'limit') throw new ImapNo('METADATA TOOMANY', error.message, { cause: error });
      if (error instanceof MailError && error.code === 'invalid' && entries.has(SPECIAL_USE_ENTRY))
        throw new ImapNo('USEATTR', error.message, { cause: error });
      throw error;
    }
  },
});
