import type { AppendMessage } from '../../mail/services.ts';
import { defineCommand } from '../command.ts';
import { appendRequest } from '../grammar/append.ts';
import { args } from '../grammar/args.ts';
import { findTarget } from '../mailboxes.ts';
import { requireWithinLimit } from '../message-limit.ts';
import { receivedMessage } from '../received-message.ts';
import { uidsText } from '../uid-text.ts';

/** APPEND: RFC 9051 §6.3.12, RFC 3502 (MULTIAPPEND), RFC 4469 (CATENATE), RFC 4315 (APPENDUID), RFC 9755. Each literal was judged when it was announced. */
export const append = defineCommand({
  name: 'APPEND',
  tellsProgress: true,
  states: ['authenticated'],
  capability: ['UIDPLUS', 'MULTIAPPEND', 'CATENATE'],
  mayExpunge: true,
  args: args({ request: appendRequest }),

  async handle({ session, signal }, { request }) {
    const target = await findTarget(session, request.mailbox);
    const { access, info: box } = target;
    requireWithinLimit(session.messageLimit, request.messages.length);
    const messages: AppendMessage[] = [];
    for (const announced of request.messages) messages.push(await receivedMessage(session, target, announced));
    const { uidValidity, uids } = await access.append(box.id, messages, signal);
    return { code: `APPENDUID ${uidValidity} ${uidsText(uids)}`, text: 'Message stored' };
  },
});
