import type { AppendMessage } from '../../mail/services.ts';
import { defineCommand } from '../command.ts';
import { ImapBad, ImapNo } from '../errors.ts';
import { appendRequest } from '../grammar/append.ts';
import { args } from '../grammar/args.ts';
import type { AppendMessage as Announced } from '../grammar/syntax-tree.ts';
import { findTarget } from '../mailboxes.ts';
import { uidsText } from '../uid-text.ts';

/** INTERNALDATE is kept as an unsigned number of seconds. */
const MAX_SECONDS = 0xffff_ffff;

/** APPEND: RFC 9051 §6.3.12, RFC 3502 (MULTIAPPEND), RFC 4315 (APPENDUID), RFC 9755. Each literal was judged when it was announced. */
export const append = defineCommand({
  name: 'APPEND',
  states: ['authenticated'],
  capability: ['UIDPLUS', 'MULTIAPPEND'],
  mayExpunge: true,
  args: args({ request: appendRequest }),

  async handle({ access, session, signal }, { request }) {
    const box = findTarget(access, request.mailbox);
    const messages: AppendMessage[] = [];
    for (const announced of request.messages) messages.push(await received(announced));
    const { uidValidity, uids } = await access.append(box.id, messages, signal);
    return { code: `APPENDUID ${uidValidity} ${uidsText(uids)}`, text: 'Message stored' };

    async function received({ content, flags, internalDate }: Announced): Promise<AppendMessage> {
      if (!('sizeOctets' in content)) throw new ImapBad('CATENATE is not supported');
      if (content.sizeOctets === 0) throw new ImapNo(undefined, 'An empty message is not stored'); // RFC 3502 §6.3.11: takes all back
      const { appends } = session.wire;
      if (appends === undefined) throw new Error('a message came without being announced');
      const source = await appends.take(content, session);
      if (internalDate === undefined) return { source, flags };
      return { source, flags, internalDate: Math.min(Math.max(0, Math.floor(internalDate.epochMs / 1000)), MAX_SECONDS) };
    }
  },
});
