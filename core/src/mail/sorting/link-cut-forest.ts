/** Room that doubles when it is full. */
function grown(array: Int32Array, capacity: number, filler: number): Int32Array {
  const more = new Int32Array(capacity).fill(filler);
  more.set(array);
  return more;
}

/**
 * Rooted trees in which links come and go, and one asks for the root of a node: link-cut trees (Sleator and Tarjan), O(log n) amortised
 * whatever the shape, so that chains of replies made up to be long cost nobody anything. Nodes are numbers from 0.
 */
export class LinkCutForest {
  /** Parents in the trees that are represented, -1 for roots. */
  parents: Int32Array = new Int32Array(64).fill(-1);
  length = 0;
  // A splay tree for each path, ordered by depth; `up` is its node above, or from its root the node that the path hangs from.
  #up: Int32Array = new Int32Array(64).fill(-1);
  #left: Int32Array = new Int32Array(64).fill(-1);
  #right: Int32Array = new Int32Array(64).fill(-1);

  add(): number {
    if (this.length === this.parents.length) {
      const capacity = 2 * this.length;
      this.parents = grown(this.parents, capacity, -1);
      this.#up = grown(this.#up, capacity, -1);
      this.#left = grown(this.#left, capacity, -1);
      this.#right = grown(this.#right, capacity, -1);
    }
    return this.length++;
  }

  rootOf(node: number): number {
    if ((this.parents[node] as number) < 0) return node;
    this.#expose(node);
    let root = node;
    for (let above = this.#left[root] as number; above >= 0; above = this.#left[root] as number) root = above;
    this.#splay(root);
    return root;
  }

  /** `child` must be a root, and not that of `parent`. */
  link(child: number, parent: number): void {
    this.#splay(child);
    this.#expose(parent);
    this.#up[child] = parent;
    this.parents[child] = parent;
  }

  /** `child` becomes a root; it must not be one. */
  cut(child: number): void {
    this.#expose(child);
    const above = this.#left[child] as number;
    this.#up[above] = -1;
    this.#left[child] = -1;
    this.parents[child] = -1;
  }

  /** Makes the path from the root to `node` one splay tree with `node` at its top. */
  #expose(node: number): void {
    let below = -1;
    for (let at = node; at >= 0; at = this.#up[at] as number) {
      this.#splay(at);
      this.#right[at] = below;
      below = at;
    }
    this.#splay(node);
  }

  #isTop(node: number): boolean {
    const up = this.#up[node] as number;
    return up < 0 || (this.#left[up] !== node && this.#right[up] !== node);
  }

  #splay(node: number): void {
    while (!this.#isTop(node)) {
      const up = this.#up[node] as number;
      if (!this.#isTop(up)) {
        const over = this.#up[up] as number;
        this.#rotate((this.#left[over] === up) === (this.#left[up] === node) ? up : node);
      }
      this.#rotate(node);
    }
  }

  #rotate(node: number): void {
    const up = this.#up[node] as number;
    const over = this.#up[up] as number;
    if (!this.#isTop(up)) {
      if (this.#left[over] === up) this.#left[over] = node;
      else this.#right[over] = node;
    }
    const [near, far] = this.#left[up] === node ? [this.#left, this.#right] : [this.#right, this.#left];
    const moved = far[node] as number;
    near[up] = moved;
    if (moved >= 0) this.#up[moved] = up;
    far[node] = up;
    this.#up[up] = node;
    this.#up[node] = over;
  }
}
