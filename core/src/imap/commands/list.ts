import { annotation } from '../../mail/annotations.ts';
import type { MailboxInfo } from '../../mail/journal/account-mail.ts';
import { writeAnnotations } from '../annotation-lines.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { listRequest } from '../grammar/list.ts';
import { listMatcher } from '../grammar/list-match.ts';
import type { ListRequest } from '../grammar/syntax-tree.ts';
import { mailbox } from '../grammar/write.ts';
import { mayIn } from '../guest-view.ts';
import { writeStatus } from '../mailbox-status.ts';
import { type Found, superiors } from '../mailboxes.ts';
import { myRightsLine } from '../my-rights.ts';
import { othersMailboxes } from '../others-listing.ts';

/** LIST: RFC 9051 §6.3.9, RFC 5258 (LIST-EXTENDED), RFC 5819 (LIST-STATUS), RFC 9590 (LIST-METADATA), RFC 8440 (LIST-MYRIGHTS), RFC 6154, RFC 3348. */
export const list = defineCommand({
  name: 'LIST',
  states: ['authenticated'],
  looksAnew: true,
  capability: ['LIST-EXTENDED', 'LIST-STATUS', 'LIST-METADATA', 'LIST-MYRIGHTS'],
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

    const boxes = new Map<string, Found | undefined>(
      await othersMailboxes(
        context.session,
        request.patterns.map((pattern) => request.reference + pattern),
      ),
    );
    for (const info of access.mail.mailboxes()) boxes.set(info.name, { access, info });
    const selected = selectedNames(request, boxes, subscribed);
    // Superiors of a match that are no match themselves (RECURSIVEMATCH, RFC 5258 §3.5).
    const matchedBy = ['SUBSCRIBED' as const, 'SPECIAL-USE' as const]
      .filter((option) => request.selection.has(option))
      .map((option) => `"${option}"`)
      .join(' ');
    const withInferiors = request.selection.has('RECURSIVEMATCH') ? inferiorsOf(selected) : new Set<string>();
    for (const name of sorted(new Set([...selected, ...withInferiors]))) {
      if (!isListed(name)) continue;
      const found = boxes.get(name);
      const attributes =
        boxes.has(name) && found === undefined
          ? levelAttributes(request, subscribed.has(name))
          : attributesOf(found?.info, request, subscribed.has(name));
      const childInfo = withInferiors.has(name) ? ` ("CHILDINFO" (${matchedBy}))` : '';
      respond.untagged(`LIST (${attributes.join(' ')}) "/" ${mailbox(name, context.session.names)}${childInfo}`);
      if (found !== undefined) await writeAfter(context, found, request);
    }
  },
});

async function writeAfter(context: CommandContext, found: Found, { returns }: ListRequest): Promise<void> {
  const { access, info } = found;
  const mayRead = mayIn(access, info.id, 'r');
  if (returns.status.length > 0 && info.selectable && mayRead) await writeStatus(context, found, returns.status);
  if (returns.myRights && info.selectable) context.respond.untagged(myRightsLine(context.session, found));
  if (returns.metadata.length > 0 && mayRead) {
    const lines = returns.metadata.map(({ name, asked }) => ({ entry: asked, octets: annotation(access.mail, info, name) }));
    await writeAnnotations(context, found, lines);
  }
  if (context.respond.isFull) await context.respond.drained();
}

/** A level of hierarchy above mailboxes of others. */
function levelAttributes(request: ListRequest, isSubscribed: boolean): string[] {
  return [request.extended ? '\\NonExistent' : '\\Noselect', '\\HasChildren', ...subscription(request, isSubscribed)];
}

function subscription({ selection, returns }: ListRequest, isSubscribed: boolean): string[] {
  return isSubscribed && (selection.has('SUBSCRIBED') || returns.subscribed) ? ['\\Subscribed'] : [];
}

function selectedNames(
  { selection }: ListRequest,
  boxes: ReadonlyMap<string, Found | undefined>,
  subscribed: ReadonlySet<string>,
): Set<string> {
  const names = selection.has('SUBSCRIBED') ? new Set(subscribed) : new Set(boxes.keys());
  if (selection.has('SPECIAL-USE')) {
    for (const name of names) if ((boxes.get(name)?.info.specialUse.length ?? 0) === 0) names.delete(name);
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

function attributesOf(info: MailboxInfo | undefined, request: ListRequest, isSubscribed: boolean): string[] {
  const attributes: string[] = [];
  if (info === undefined) attributes.push('\\NonExistent');
  else {
    if (!info.selectable) attributes.push(request.extended ? '\\NonExistent' : '\\Noselect');
    attributes.push(info.hasChildren ? '\\HasChildren' : '\\HasNoChildren', ...info.specialUse);
  }
  return [...attributes, ...subscription(request, isSubscribed)];
}
