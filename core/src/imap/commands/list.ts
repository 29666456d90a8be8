import { annotation } from '../../mail/annotations.ts';
import type { MailboxInfo } from '../../mail/journal/account-mail.ts';
import { writeAnnotations } from '../annotation-lines.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { listRequest } from '../grammar/list.ts';
import { listMatcher } from '../grammar/list-match.ts';
import type { ListRequest } from '../grammar/syntax-tree.ts';
import { mailbox } from '../grammar/write.ts';
import { writeStatus } from '../mailbox-status.ts';
import { superiors } from '../mailboxes.ts';

/** LIST: RFC 9051 §6.3.9, RFC 5258 (LIST-EXTENDED), RFC 5819 (LIST-STATUS), RFC 9590 (LIST-METADATA), RFC 6154, RFC 3348. */
export const list = defineCommand({
  name: 'LIST',
  states: ['authenticated'],
  looksAnew: true,
  capability: ['LIST-EXTENDED', 'LIST-STATUS', 'LIST-METADATA'],
  mayExpunge: true,
  args: args({ request: listRequest }),

  async handle(context, { request }: { readonly request: ListRequest }) {
    const { access, respond } = context;
    if (!request.extended && request.patterns[0] === '') {
      respond.untagged('LIST (\\Noselect) "/" ""'); // asks for the delimiter only
      return;
    }
    const matchers = request.patterns.map((pattern) => listMatcher(request.reference, pattern));
    const isListed = (name: string): boolean => matchers.some((matches) => matches(name));
    const wantsSubscribed = request.selection.has('SUBSCRIBED');
    const subscribed = wantsSubscribed || request.returns.subscribed ? new Set(access.mail.subscriptions()) : new Set<string>();

    const boxes = new Map<string, MailboxInfo>();
    for (const info of access.mail.mailboxes()) boxes.set(info.name, info);
    const selected = selectedNames(request, boxes, subscribed);
    // Superiors of a match that are no match themselves (RECURSIVEMATCH, RFC 5258 §3.5).
    const withInferiors = request.selection.has('RECURSIVEMATCH') ? inferiorsOf(selected) : new Set<string>();
    for (const name of sorted(new Set([...selected, ...withInferiors]))) {
      if (!isListed(name)) continue;
      const info = boxes.get(name);
      const attributes = attributesOf(info, request, subscribed.has(name));
      const childInfo = withInferiors.has(name) ? ' ("CHILDINFO" ("SUBSCRIBED"))' : '';
      respond.untagged(`LIST (${attributes.join(' ')}) "/" ${mailbox(name, context.session.names)}${childInfo}`);
      await writeAfter(context, info, request);
    }
  },
});

async function writeAfter(context: CommandContext, info: MailboxInfo | undefined, { returns }: ListRequest): Promise<void> {
  if (returns.status.length > 0 && info?.selectable === true) await writeStatus(context, info, returns.status);
  if (returns.metadata.length > 0 && info !== undefined) {
    const { mail } = context.access;
    const lines = returns.metadata.map(({ name, asked }) => ({ entry: asked, octets: annotation(mail, info, name) }));
    await writeAnnotations(context, info, lines);
  }
  if (context.respond.isFull) await context.respond.drained();
}

function selectedNames({ selection }: ListRequest, boxes: ReadonlyMap<string, MailboxInfo>, subscribed: ReadonlySet<string>): Set<string> {
  const names = selection.has('SUBSCRIBED') ? new Set(subscribed) : new Set(boxes.keys());
  if (selection.has('SPECIAL-USE')) {
    for (const name of names) if ((boxes.get(name)?.specialUse.length ?? 0) === 0) names.delete(name);
  }
  return names;
}

function inferiorsOf(names: ReadonlySet<string>): Set<string> {
  const found = new Set<string>();
  for (const name of names) for (const superior of superiors(name)) found.add(superior);
  return found;
}

function sorted(names: Iterable<string>): string[] {
  return [...names].sort((a, b) => (a === 'INBOX' ? -1 : b === 'INBOX' ? 1 : a < b ? -1 : a > b ? 1 : 0));
}

function attributesOf(info: MailboxInfo | undefined, { selection, returns, extended }: ListRequest, isSubscribed: boolean): string[] {
  const attributes: string[] = [];
  if (info === undefined) attributes.push('\\NonExistent');
  else {
    if (!info.selectable) attributes.push(extended ? '\\NonExistent' : '\\Noselect');
    attributes.push(info.hasChildren ? '\\HasChildren' : '\\HasNoChildren', ...info.specialUse);
  }
  if (isSubscribed && (selection.has('SUBSCRIBED') || returns.subscribed)) attributes.push('\\Subscribed');
  return attributes;
}
