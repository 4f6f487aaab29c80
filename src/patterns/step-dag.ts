/** What a state may do before the next step: nothing, `*`, `**` and a slash, or anything at all. `inside`: of a `**`, behind its first character. */
export const LOOP = { none: 0, star: 1, globstar: 2, any: 3, inside: 4 } as const;
export type Loop = (typeof LOOP)[keyof typeof LOOP];

export interface Step {
  readonly label: number;
  readonly loop: Loop;
}

export interface DagNode {
  readonly loop: Loop;
  readonly accepts: boolean;
  readonly edges: readonly { readonly label: number; readonly target: number }[];
}

/**
 * The expansions of one pattern as an acyclic graph of steps: a trie, so that beginnings are shared, whose equal
 * subtrees are then merged, so that endings are. `src/{a,b}/*.{ts,tsx}` stays as small as it looks.
 */
export class StepDag {
  readonly #loops: Loop[] = [];
  readonly #accepts: boolean[] = [];
  readonly #labels: number[] = [];
  /** First child and next sibling, -1 for none: a chain of thousands of nodes must not cost a map each. */
  readonly #child: number[] = [];
  readonly #sibling: number[] = [];
  readonly #roots: number[] = [];

  /** Adds one expansion; returns how many steps it shares with no earlier one. */
  add(loop: Loop, steps: readonly Step[]): number {
    const before = this.#labels.length;
    let node = this.#roots.find((root) => this.#loops[root] === loop) ?? -1;
    if (node < 0) {
      node = this.#create(0, loop);
      this.#roots.push(node);
    }
    for (const step of steps) node = this.#enter(node, step);
    this.#accepts[node] = true;
    return this.#labels.length - before;
  }

  #create(label: number, loop: Loop): number {
    this.#labels.push(label);
    this.#loops.push(loop);
    this.#accepts.push(false);
    this.#child.push(-1);
    this.#sibling.push(-1);
    return this.#labels.length - 1;
  }

  #enter(parent: number, step: Step): number {
    for (let node = this.#child[parent]!; node >= 0; node = this.#sibling[node]!) {
      if (this.#labels[node] === step.label && this.#loops[node] === step.loop) return node;
    }
    const node = this.#create(step.label, step.loop);
    this.#sibling[node] = this.#child[parent]!;
    this.#child[parent] = node;
    return node;
  }

  /** The graph with equal subtrees merged. Children have higher numbers than their parents, so one pass does. */
  minimise(): { nodes: readonly DagNode[]; roots: readonly number[] } {
    const merged = new Int32Array(this.#labels.length);
    const known = new Map<string | number, number>();
    const nodes: DagNode[] = [];
    for (let node = this.#labels.length - 1; node >= 0; node--) {
      const edges: { label: number; target: number }[] = [];
      for (let child = this.#child[node]!; child >= 0; child = this.#sibling[child]!) {
        edges.push({ label: this.#labels[child]!, target: merged[child]! });
      }
      const key = keyOf(this.#loops[node]!, this.#accepts[node]!, edges);
      let same = known.get(key);
      if (same === undefined) {
        same = nodes.length;
        known.set(key, same);
        nodes.push({ loop: this.#loops[node]!, accepts: this.#accepts[node]!, edges });
      }
      merged[node] = same;
    }
    return { nodes, roots: this.#roots.map((root) => merged[root]!) };
  }
}

/** Equal for nodes that may be merged. A number for the links of a chain, which are most: it costs no text. */
function keyOf(loop: Loop, accepts: boolean, edges: { label: number; target: number }[]): string | number {
  const own = loop * 2 + (accepts ? 1 : 0);
  if (edges.length === 1) {
    const { label, target } = edges[0]!;
    // Labels lie between -512 and 0x10ffff, and `own` below 8: it stays far below 2 ** 53.
    return (target * 0x200000 + label + 512) * 8 + own;
  }
  edges.sort((a, b) => a.label - b.label || a.target - b.target);
  return `${own} ${edges.map((edge) => `${edge.label}>${edge.target}`).join(' ')}`;
}
