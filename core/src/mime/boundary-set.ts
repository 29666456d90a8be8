/** An open multipart's boundary. */
export interface Boundary<Part> {
  readonly part: Part;
  readonly text: string;
  /** Number of boundaries that were open before it. */
  readonly level: number;
}

interface Node<Part> {
  readonly next: Map<number, Node<Part>>;
  /** Boundaries that end here, the innermost last. */
  readonly ends: Boundary<Part>[];
  /** Open boundaries that pass here. */
  count: number;
}

/**
 * The boundaries of the multiparts that are open, innermost last. A trie, so that a line is matched against all of them in the time of
 * reading the line once: nesting times lines would be quadratic.
 */
export class BoundarySet<Part> {
  readonly #stack: Boundary<Part>[] = [];
  readonly #root: Node<Part> = newNode();

  get size(): number {
    return this.#stack.length;
  }

  push(part: Part, text: string): void {
    const boundary = { part, text, level: this.#stack.length };
    this.#stack.push(boundary);
    let node = this.#root;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      let next = node.next.get(code);
      if (next === undefined) {
        next = newNode();
        node.next.set(code, next);
      }
      next.count++;
      node = next;
    }
    node.ends.push(boundary);
  }

  /** Forgets the boundaries from `level` on. */
  truncate(level: number): void {
    while (this.#stack.length > level) {
      const boundary = this.#stack.pop();
      if (boundary !== undefined) this.#remove(boundary.text);
    }
  }

  #remove(text: string): void {
    let node = this.#root;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const next = node.next.get(code);
      if (next === undefined) return;
      if (--next.count === 0) {
        node.next.delete(code);
        return;
      }
      node = next;
    }
    node.ends.pop();
  }

  /**
   * Which boundary the line `[start, end)`, without its leading `--`, begins with (RFC 2046 §5.1.1: the rest of the line does not matter).
   * Of several the innermost that is the whole line, apart from closing dashes, else the longest, else the innermost.
   */
  match(octets: Uint8Array, start: number, end: number): Boundary<Part> | undefined {
    let node: Node<Part> | undefined = this.#root;
    const found: Boundary<Part>[] = [];
    for (let at = start; at < end; at++) {
      node = node.next.get(octets[at] ?? 0);
      if (node === undefined) break;
      const boundary = node.ends.at(-1);
      if (boundary !== undefined) found.push(boundary);
    }
    if (found.length < 2) return found[0];
    const length = end - start;
    const closes = length > 2 && octets[end - 1] === 0x2d && octets[end - 2] === 0x2d;
    found.sort((a, b) => b.level - a.level);
    let best: Boundary<Part> | undefined;
    for (const boundary of found) {
      if (best !== undefined && boundary.text.length <= best.text.length) continue;
      best = boundary;
      if (boundary.text.length === length || (closes && boundary.text.length === length - 2)) break;
    }
    return best;
  }
}

function newNode<Part>(): Node<Part> {
  return { next: new Map(), ends: [], count: 0 };
}
