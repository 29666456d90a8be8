/** A message of APPEND or REPLACE that has come in whole. */
import type { AppendMessage } from '../mail/services.ts';
import { catenated } from './catenate.ts';
import { ImapNo } from './errors.ts';
import type { AppendMessage as Announced } from './grammar/syntax-tree.ts';
import type { Found } from './mailboxes.ts';
import type { ImapSession } from './session.ts';

/** INTERNALDATE is kept as an unsigned number of seconds. */
const MAX_SECONDS = 0xffff_ffff;

/** Its literal was judged when it was announced. @throws ImapBad, ImapNo, what the spool throws */
export async function receivedMessage(
  session: ImapSession,
  target: Found,
  { content, flags, internalDate }: Announced,
): Promise<AppendMessage> {
  if ('sizeOctets' in content && content.sizeOctets === 0) throw new ImapNo('CANNOT', 'An empty message is not stored'); // RFC 3502 §6.3.11: takes all back
  const { appends } = session.wire;
  const source = 'sizeOctets' in content ? await appends.take(content, session) : await catenated(session, target, content);
  if (source.sizeOctets === 0) throw new ImapNo('CANNOT', 'An empty message is not stored');
  if (internalDate === undefined) return { source, flags };
  return { source, flags, internalDate: Math.min(Math.max(0, Math.floor(internalDate.epochMs / 1000)), MAX_SECONDS) };
}
