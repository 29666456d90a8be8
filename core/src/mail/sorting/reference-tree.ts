/** Steps 1 to 3 of REFERENCES (RFC 5256 §3): parents from Message-ID, References and In-Reply-To. */
import { LinkCutForest } from './link-cut-forest.ts';
import { dummy, TOP } from './thread-forest.ts';

/** Ids of messages that are not there: this many for each message that is and for each command, but never more than the last. */
const UNKNOWN_PER_MESSAGE = 16;
const UNKNOWN_AT_LEAST = 65_536;
const UNKNOWN_AT_MOST = 2_000_000;

export class ReferenceTree {
  readonly #forest = new LinkCutForest();
  readonly #nodeById = new Map<string, number>();
  /** By node: its message, -1 for one that is not there. */
  #messages = new Int32Array(64).fill(-1);
  /** By node: whether a link ever went down from it. A node without children is nobody's ancestor. */
  #hasHadChildren = new Uint8Array(64);
  /** By message. */
  readonly #nodes: Int32Array;
  #unknownLeft: number;

  constructor(messages: number) {
    this.#nodes = new Int32Array(messages).fill(-1);
    this.#unknownLeft = Math.min(UNKNOWN_AT_MOST, UNKNOWN_AT_LEAST + UNKNOWN_PER_MESSAGE * messages);
  }

  /** In ascending order. `id`: undefined where there is no valid one. `references`: the oldest first, without those that are not valid. */
  add(message: number, id: string | undefined, references: readonly string[]): void {
    const node = this.#nodeOf(message, id);
    let last = -1;
    for (const reference of references) {
      const next = this.#referenced(reference);
      if (next < 0) continue;
      if (last >= 0 && (this.#forest.parents[next] as number) < 0) this.#link(next, last);
      last = next;
    }
    if ((this.#forest.parents[node] as number) >= 0) this.#forest.cut(node);
    if (last >= 0) this.#link(node, last);
  }

  /** Who could not be read has no references. */
  finish(): { readonly parents: Int32Array; readonly dummies: number } {
    for (let message = 0; message < this.#nodes.length; message++) if (this.#nodes[message] === -1) this.#nodeOf(message, undefined);
    const above = this.#nearestAbove();
    const parents = new Int32Array(this.#nodes.length);
    // Of a message that is not there, all that is left is that it is the common origin of several threads.
    const children = new Uint32Array(this.#forest.length);
    for (const node of this.#nodes) {
      const parent = above[node] as number;
      if (parent >= 0 && this.#messages[parent] === -1) children[parent] = (children[parent] as number) + 1;
    }
    const dummyOf = new Int32Array(this.#forest.length).fill(-1);
    let dummies = 0;
    for (const [message, node] of this.#nodes.entries()) {
      const parent = above[node] as number;
      const known = parent < 0 ? -1 : (this.#messages[parent] as number);
      if (known >= 0 || parent < 0) parents[message] = known >= 0 ? known : TOP;
      else if ((children[parent] as number) < 2) parents[message] = TOP;
      else {
        if (dummyOf[parent] === -1) dummyOf[parent] = dummies++;
        parents[message] = dummy(dummyOf[parent] as number);
      }
    }
    return { parents, dummies };
  }

  /** By node: the nearest node above that has a message; without one the root, -1 for the root itself. Iterative, linear. */
  #nearestAbove(): Int32Array {
    const { parents, length } = this.#forest;
    const UNKNOWN = -2;
    const above = new Int32Array(length).fill(UNKNOWN);
    const path: number[] = [];
    for (let start = 0; start < length; start++) {
      let at = start;
      for (; above[at] === UNKNOWN; at = parents[at] as number) {
        const parent = parents[at] as number;
        if (parent < 0) above[at] = -1;
        else if (this.#messages[parent] !== -1) above[at] = parent;
        else path.push(at);
        if (above[at] !== UNKNOWN) break;
      }
      for (let node = path.pop(); node !== undefined; node = path.pop()) {
        const parent = parents[node] as number;
        above[node] = above[parent] === -1 ? parent : (above[parent] as number);
      }
    }
    return above;
  }

  /** A second message with an id counts as one without (RFC 5256 §3, step 1). */
  #nodeOf(message: number, id: string | undefined): number {
    let node = id === undefined ? undefined : this.#nodeById.get(id);
    if (node === undefined || this.#messages[node] !== -1) {
      const isFirst = node === undefined;
      node = this.#add();
      if (id !== undefined && isFirst) this.#nodeById.set(id, node);
    } else this.#unknownLeft += 1;
    this.#messages[node] = message;
    this.#nodes[message] = node;
    return node;
  }

  /** -1 when too many ids of messages that are not there have been seen. */
  #referenced(id: string): number {
    const known = this.#nodeById.get(id);
    if (known !== undefined) return known;
    if (this.#unknownLeft === 0) return -1;
    this.#unknownLeft -= 1;
    const node = this.#add();
    this.#nodeById.set(id, node);
    return node;
  }

  #add(): number {
    const node = this.#forest.add();
    if (node >= this.#messages.length) {
      const messages = new Int32Array(2 * node).fill(-1);
      messages.set(this.#messages);
      this.#messages = messages;
      const hasHadChildren = new Uint8Array(2 * node);
      hasHadChildren.set(this.#hasHadChildren);
      this.#hasHadChildren = hasHadChildren;
    }
    return node;
  }

  /** `child` is a root. Not done where it would make a loop. */
  #link(child: number, parent: number): void {
    if (child === parent) return;
    if (this.#hasHadChildren[child] === 1 && this.#forest.rootOf(parent) === child) return;
    this.#forest.link(child, parent);
    this.#hasHadChildren[parent] = 1;
  }
}
