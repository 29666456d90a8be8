/** REFERENCES as RFC 5256 §3 tells it, step by step over objects, without regard to its cost. */
import type { NestedThread } from './sorting-mailbox.fixture.ts';

export interface NaiveMessage {
  readonly id: string | undefined;
  readonly references: readonly string[];
  readonly date: number;
  /** Base subject, and whether there was a mark of a reply. */
  readonly subject: string;
  readonly isReply: boolean;
}

interface Node {
  parent: Node | undefined;
  children: Node[];
  /** Index of the message, undefined for a dummy. */
  message: number | undefined;
}

function node(message?: number): Node {
  return { parent: undefined, children: [], message };
}

function isBelow(low: Node, high: Node): boolean {
  for (let at: Node | undefined = low; at !== undefined; at = at.parent) if (at === high) return true;
  return false;
}

function unlink(child: Node): void {
  if (child.parent !== undefined) child.parent.children = child.parent.children.filter((other) => other !== child);
  child.parent = undefined;
}

function link(child: Node, parent: Node): void {
  if (isBelow(parent, child)) return;
  child.parent = parent;
  parent.children.push(child);
}

export function naiveReferences(messages: readonly NaiveMessage[]): NestedThread[] {
  const byId = new Map<string, Node>();
  const all: Node[] = [];
  const named = (id: string): Node => {
    let found = byId.get(id);
    if (found === undefined) {
      found = node();
      byId.set(id, found);
      all.push(found);
    }
    return found;
  };
  for (const [index, { id, references }] of messages.entries()) {
    let own = id === undefined ? undefined : named(id);
    if (own === undefined || own.message !== undefined) {
      own = node();
      all.push(own);
    }
    own.message = index;
    let last: Node | undefined;
    for (const reference of references) {
      const next = named(reference);
      if (last !== undefined && next.parent === undefined) link(next, last);
      last = next;
    }
    unlink(own);
    if (last !== undefined) link(own, last);
  }

  const root = node();
  for (const top of all) if (top.parent === undefined) link(top, root);
  prune(root, root);

  const date = (of: Node): number => messages[of.message ?? -1]?.date ?? Number.NaN;
  const number = (of: Node): number => of.message ?? -1;
  /** A dummy stands where its first child would. */
  const placed = (of: Node): Node => (of.message === undefined ? (of.children[0] as Node) : of);
  const sortSiblings = (of: Node): void => {
    for (const child of of.children) sortSiblings(child);
    of.children.sort((a, b) => date(placed(a)) - date(placed(b)) || number(placed(a)) - number(placed(b)));
  };
  sortSiblings(root);

  const subjectOf = (of: Node): string => messages[placed(of).message ?? -1]?.subject ?? '';
  const isReply = (of: Node): boolean => messages[of.message ?? -1]?.isReply ?? false;
  const table = new Map<string, Node>();
  for (const current of root.children) {
    const subject = subjectOf(current);
    if (subject === '') continue;
    const entry = table.get(subject);
    const isBetter =
      entry !== undefined && entry.message !== undefined && (current.message === undefined || (isReply(entry) && !isReply(current)));
    if (entry === undefined || isBetter) table.set(subject, current);
  }
  for (const current of [...root.children]) {
    if (!root.children.includes(current)) continue;
    const subject = subjectOf(current);
    const entry = table.get(subject);
    if (subject === '' || entry === undefined || entry === current) continue;
    if (entry.message === undefined && current.message === undefined) {
      for (const child of [...current.children]) {
        unlink(child);
        link(child, entry);
      }
      unlink(current);
    } else if (entry.message === undefined || (isReply(current) && !isReply(entry))) {
      unlink(current);
      link(current, entry);
    } else {
      const both = node();
      unlink(current);
      unlink(entry);
      link(both, root);
      link(current, both);
      link(entry, both);
      table.set(subject, both);
    }
  }
  sortSiblings(root);
  const shown = ({ message, children }: Node): NestedThread => [message === undefined ? undefined : message + 1, ...children.map(shown)];
  return root.children.map(shown);
}

/** Step 3. */
function prune(of: Node, root: Node): void {
  for (const child of of.children) prune(child, root);
  const kept: Node[] = [];
  for (const child of of.children) {
    const isDummy = child.message === undefined;
    if (isDummy && child.children.length === 0) continue;
    if (isDummy && (of !== root || child.children.length === 1)) kept.push(...child.children);
    else kept.push(child);
  }
  for (const child of kept) child.parent = of;
  of.children = kept;
}
