/** STATUS of one mailbox: counters, never a scan (RFC 9051 §6.3.11). */
import { mailboxIdText } from '../mail/sdk-values.ts';
import type { CommandContext } from './command.ts';
import type { StatusItem } from './grammar/syntax-tree.ts';
import { mailbox } from './grammar/write.ts';
import { type Found, idIn, nameIn } from './mailboxes.ts';

async function value(item: StatusItem, { access, info }: Found, { session }: CommandContext): Promise<string> {
  const view = session.selectedIn(access)?.box === info.id ? session.selected : undefined;
  switch (item) {
    case 'MESSAGES':
      return String(info.messages);
    case 'RECENT': {
      if (view !== undefined) return String(view.recent);
      if (info.messages === 0 || info.recentFrom >= info.uidNext) return '0';
      const state = await access.mail.state(info.id);
      return String(info.messages - state.countBelow(info.recentFrom));
    }
    case 'UIDNEXT':
      return String(info.uidNext);
    case 'UIDVALIDITY':
      return String(info.uidValidity);
    case 'UNSEEN':
      return String(info.unseen);
    case 'DELETED':
      return String(info.deleted);
    case 'DELETED-STORAGE':
      return String(info.deletedOctets);
    case 'SIZE':
      return String(info.octets);
    case 'HIGHESTMODSEQ':
      session.enableCondstore();
      return String(view?.highestModSeq ?? info.highestModSeq);
    case 'MAILBOXID':
      return `(${idIn(access, mailboxIdText(info.id))})`;
    case 'APPENDLIMIT':
      return String(session.env.limits.messageOctets);
  }
}

/** Writes `* STATUS name (...)`. */
export async function writeStatus(context: CommandContext, found: Found, items: readonly StatusItem[]): Promise<void> {
  const texts: string[] = [];
  for (const item of items) texts.push(`${item} ${await value(item, found, context)}`);
  context.respond.untagged(`STATUS ${mailbox(nameIn(found.access, found.info.name), context.session.names)} (${texts.join(' ')})`);
}
