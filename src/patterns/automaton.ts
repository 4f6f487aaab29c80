import { ANY, type CharSet, classSet, NOT_SLASH, onlyPoint, SLASH } from './char-set.ts';
import { foldPoint } from './fold.ts';
import { type Needles, needlesOf } from './needles.ts';
import { Refusal } from './problem.ts';
import { type DagNode, LOOP, type Loop, type Step, StepDag } from './step-dag.ts';
import type { Token } from './syntax.ts';

/** Transitions of a pattern's automaton, beyond the literal text that it begins with. */
const TRANSITIONS_MAX = 192;

/**
 * An epsilon-free automaton over the code points of a path (folded ones, if it was compiled so). It accepts what
 * the pattern means *among valid paths*: that no segment is empty, `.` or `..` is left to whoever runs it.
 */
export interface Automaton {
  /** The literal text before the first choice, already consumed when a state of `starts` is entered. */
  readonly prefix: string;
  /** `prefix` in the case in which the pattern spells it. */
  readonly spelling: string;
  readonly needles: Needles;
  /** Empty if `prefix` begins no valid path. */
  readonly starts: readonly number[];
  /** The transitions of state s are those from `first[s]` up to `first[s + 1]`. */
  readonly first: Int32Array;
  /** A code point, or `~index` into `sets`. */
  readonly labels: Int32Array;
  readonly targets: Int32Array;
  readonly accepts: Uint8Array;
  /** What each state may do before it goes on, a `LOOP`. The inside of a `**` is the state after it. */
  readonly loops: Uint8Array;
  readonly sets: readonly CharSet[];
}

/** Labels of one automaton: equal sets get one index, and a class that all expansions share is read once. */
class LabelTable {
  readonly sets: CharSet[] = [NOT_SLASH, ANY];
  readonly #folded: boolean;
  readonly #tokens = new Map<Token, number>();
  readonly #sets = new Map<string, number>();

  constructor(folded: boolean) {
    this.#folded = folded;
  }

  label(token: Token): number {
    if (token.kind === 'point') return this.#folded ? foldPoint(token.point) : token.point;
    if (token.kind !== 'class') return NOT_SLASH_LABEL;
    const known = this.#tokens.get(token);
    if (known !== undefined) return known;
    const label = this.#setLabel(classSet(token.ranges, token.negated, this.#folded));
    this.#tokens.set(token, label);
    return label;
  }

  #setLabel(set: CharSet): number {
    const only = onlyPoint(set, this.#folded);
    if (only >= 0) return only;
    const key = set.ranges.join(' ');
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    this.sets.push(set);
    const label = ~(this.sets.length - 1);
    this.#sets.set(key, label);
    return label;
  }
}

/** Refused as text, but `a/[.]/b` compiles to it: nobody walks the prefix point by point. */
const DOT_SEGMENT = /(^|\/)\.\.?\//;

/** Of `?` and `*`, in all automata. */
export const NOT_SLASH_LABEL = ~0;
const ANY_LABEL = ~1;

/** Compiles the expansions of a pattern; with `folded`, for folded paths. Throws {@link Refusal}. */
export function compileExpansions(expansions: readonly (readonly Token[])[], folded: boolean): Automaton {
  const table = new LabelTable(folded);
  const dag = new StepDag();
  for (const [at, tokens] of expansions.entries()) {
    const { loop, steps } = toSteps(tokens, table);
    // Steps in a row stay as many transitions, whatever is merged: refused before the other 63 are added.
    if (dag.add(loop, steps) > TRANSITIONS_MAX + 1 && at > 0) refuseComplexity();
  }
  const nodes = dag.minimise();
  const { prefix, roots } = takePrefix(nodes.nodes, nodes.roots);
  const text = String.fromCodePoint(...prefix);
  const graph = emit(nodes.nodes, DOT_SEGMENT.test(text) ? [] : roots);
  if (graph.labels.length > TRANSITIONS_MAX) refuseComplexity();
  const needles = needlesOf(expansions, prefix.length, folded);
  return { prefix: text, spelling: spell(expansions[0]!, prefix), needles, ...graph, sets: table.sets };
}

function refuseComplexity(): never {
  const limit = `more than ${TRANSITIONS_MAX} transitions`;
  throw new Refusal('pattern_too_complex', `the pattern needs ${limit}; declare several simpler ones instead`);
}

/** Folds `*` and `**` into the state before them, so that no transition is empty. */
function toSteps(tokens: readonly Token[], table: LabelTable): { loop: Loop; steps: readonly Step[] } {
  let loop: Loop = LOOP.none;
  const steps: { label: number; loop: Loop }[] = [];
  const set = (next: Loop) => {
    const last = steps.at(-1);
    if (last === undefined) loop = next;
    else last.loop = next;
  };
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.kind === 'globstar' && at === tokens.length - 1) {
      // Any `**` just before adds nothing to "at least one segment, and whatever follows".
      set(LOOP.none);
      steps.push({ label: ANY_LABEL, loop: LOOP.any });
    } else if (token.kind === 'globstar') {
      set(LOOP.globstar);
      at++;
    } else if (token.kind === 'star') {
      // Among valid paths, `**/*` at the start of a segment is just anything.
      set((steps.at(-1)?.loop ?? loop) === LOOP.globstar ? LOOP.any : LOOP.star);
    } else {
      steps.push({ label: table.label(token), loop: LOOP.none });
    }
  }
  return { loop, steps };
}

/** Splits off the chain that every expansion begins with: it is compared as text, at no cost in states. */
function takePrefix(
  nodes: readonly DagNode[],
  roots: readonly number[],
): { prefix: number[]; roots: readonly number[] } {
  const prefix: number[] = [];
  if (roots.length !== 1) return { prefix, roots };
  let root = roots[0]!;
  for (;;) {
    const node = nodes[root]!;
    const edge = node.edges[0];
    if (node.loop !== LOOP.none || node.accepts || node.edges.length !== 1 || edge!.label < 0) break;
    prefix.push(edge!.label);
    root = edge!.target;
  }
  return { prefix, roots: [root] };
}

function spell(tokens: readonly Token[], prefix: readonly number[]): string {
  const points = prefix.map((point, at) => {
    const token = tokens[at]!;
    if (token.kind === 'point') return token.point;
    return token.kind === 'class' ? classSet(token.ranges, token.negated, false).favourite : point;
  });
  return String.fromCodePoint(...points);
}

function emit(
  nodes: readonly DagNode[],
  roots: readonly number[],
): Omit<Automaton, 'prefix' | 'spelling' | 'needles' | 'sets'> {
  const states = new Map<number, number>();
  const order: number[] = [];
  const enter = (node: number): number => {
    const known = states.get(node);
    if (known !== undefined) return known;
    states.set(node, order.length);
    order.push(node);
    // The inside of a `**` is a state of its own: what follows may begin only at the start of a segment.
    if (nodes[node]!.loop === LOOP.globstar) order.push(~node);
    return order.length - (nodes[node]!.loop === LOOP.globstar ? 2 : 1);
  };
  const starts = roots.map(enter);
  const first: number[] = [0];
  const labels: number[] = [];
  const targets: number[] = [];
  const accepts: number[] = [];
  const loops: number[] = [];
  const push = (label: number, target: number) => {
    labels.push(label);
    targets.push(target);
  };
  for (let state = 0; state < order.length; state++) {
    const inside = order[state]! < 0;
    const node = nodes[inside ? ~order[state]! : order[state]!]!;
    if (inside) {
      push(NOT_SLASH_LABEL, state);
      push(SLASH, state - 1);
    } else {
      if (node.loop === LOOP.star) push(NOT_SLASH_LABEL, state);
      if (node.loop === LOOP.any) push(ANY_LABEL, state);
      if (node.loop === LOOP.globstar) push(NOT_SLASH_LABEL, state + 1);
      for (const edge of node.edges) push(edge.label, enter(edge.target));
    }
    accepts.push(!inside && node.accepts ? 1 : 0);
    loops.push(inside ? LOOP.inside : node.loop);
    first.push(labels.length);
  }
  return {
    starts,
    first: Int32Array.from(first),
    labels: Int32Array.from(labels),
    targets: Int32Array.from(targets),
    accepts: Uint8Array.from(accepts),
    loops: Uint8Array.from(loops),
  };
}
