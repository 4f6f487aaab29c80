import type { Automaton } from './automaton.ts';
import { SLASH } from './char-set.ts';
import { LOOP } from './step-dag.ts';
import { spend } from './work.ts';

/** No bound on the length of what may follow. */
const ENDLESS = 0x7fffffff;
/** Steps that it costs to work out one state's: see `workDone`. */
const STEPS_A_STATE = 8;

/** What may come after each state of an automaton. */
export interface Prospect {
  readonly automaton: Automaton;
  /**
   * The loop (the state of a `*` or `**`) that all ways from a state come to first, if it accepts whatever that state does;
   * else -1. In `*a*b`, the second star accepts all that the first one does, as it may run over the `a`.
   */
  readonly ahead: Int32Array;
  /** Loops ahead of each other, one after the other: the chain of each that is in one, else -1, and its place there. */
  readonly chain: Int32Array;
  readonly rank: Int32Array;
  /** Of what a state accepts, the length of the shortest and of the longest text, in code points. */
  readonly shortest: Int32Array;
  readonly longest: Int32Array;
}

const known = new WeakMap<Automaton, Prospect>();

/** Worked out when it is first asked for: only what is costly to compare needs it. */
export function prospectOf(automaton: Automaton): Prospect {
  let prospect = known.get(automaton);
  if (prospect === undefined) known.set(automaton, (prospect = new Survey(automaton).prospect));
  return prospect;
}

/**
 * The state that accepts whatever `state` does of valid paths' ends, and more; -1 if none is known. Never the same, nor one that
 * `state` is so to.
 * @param isStart whether a segment begins here
 */
export function stateAhead({ automaton, ahead }: Prospect, state: number, isStart: boolean): number {
  const loop = ahead[state]!;
  return loop < 0 ? -1 : during(automaton, loop, isStart);
}

/** A `**` is in its first state where a segment begins, and else in its second. */
export function during({ loops }: Automaton, loop: number, isStart: boolean): number {
  return loops[loop] === LOOP.globstar && !isStart ? loop + 1 : loop;
}

/** How the first loop on all ways is come to: `plain` if without a slash, so that a `*` could run over all of it. */
interface Way {
  readonly loop: number;
  readonly plain: boolean;
}

class Survey {
  readonly #automaton: Automaton;
  readonly #ways: (Way | null | undefined)[];
  /** Loops that another one is behind in a chain. */
  readonly #followed = new Set<number>();
  readonly prospect: Prospect;

  constructor(automaton: Automaton) {
    const size = automaton.accepts.length;
    spend(STEPS_A_STATE * size);
    this.#automaton = automaton;
    this.#ways = Array.from({ length: size });
    this.prospect = {
      automaton,
      ahead: new Int32Array(size).fill(-1),
      chain: new Int32Array(size).fill(-1),
      rank: new Int32Array(size),
      shortest: new Int32Array(size).fill(-1),
      longest: new Int32Array(size).fill(-1),
    };
    for (let state = 0; state < size; state += 1) this.#visit(state);
  }

  /** Depth first: but for its loops, an automaton goes forward only. */
  #visit(state: number): Way | null {
    const before = this.#ways[state];
    if (before !== undefined) return before;
    const { accepts, loops } = this.#automaton;
    const { ahead, shortest, longest } = this.prospect;
    let way: Way | null | undefined = accepts[state] === 1 ? null : undefined;
    let [least, most] = accepts[state] === 1 ? [0, 0] : [ENDLESS, -1];
    for (const edge of forwardEdges(this.#automaton, state)) {
      const next = this.#follow(state, edge);
      const target = this.#automaton.targets[edge]!;
      way = way === undefined ? next : agreed(way, next);
      least = Math.min(least, oneMore(shortest[target]!));
      most = Math.max(most, oneMore(longest[target]!));
    }
    way ??= null;
    shortest[state] = least;
    longest[state] = loops[state] === LOOP.none || least === ENDLESS ? most : ENDLESS;
    this.#ways[state] = way;
    if (way !== null && (way.plain || loops[way.loop] !== LOOP.star)) ahead[state] = way.loop;
    this.#chain(state);
    return way;
  }

  /** Of several loops with the same one ahead, the first is of its chain, and each other begins one. */
  #chain(state: number): void {
    const { ahead, chain, rank } = this.prospect;
    const loop = this.#automaton.loops[state]!;
    if (loop === LOOP.none) return;
    // The inside of a `**`, which follows it, is in the same place.
    const next = loop === LOOP.inside ? state - 1 : ahead[state]!;
    const isNew = next < 0 || (loop !== LOOP.inside && this.#followed.has(next));
    chain[state] = isNew ? state : chain[next]!;
    rank[state] = isNew ? 0 : rank[next]! - (loop === LOOP.inside ? 0 : 1);
    if (loop !== LOOP.inside) this.#followed.add(next);
  }

  #follow(state: number, edge: number): Way | null {
    const { labels, targets, sets, loops } = this.#automaton;
    const [label, target] = [labels[edge]!, targets[edge]!];
    const onward = this.#visit(target);
    // The inside of a `**` goes on as its beginning does.
    const isBack = loops[state] === LOOP.inside;
    const next = loops[target] === LOOP.none || isBack ? onward : { loop: target, plain: true };
    if (next === null) return null;
    const hasSlash = label < 0 ? sets[~label]!.slash : label === SLASH;
    const isPlain = loops[state] === LOOP.none || loops[state] === LOOP.star;
    return { loop: next.loop, plain: next.plain && isPlain && !hasSlash };
  }
}

/** The transitions that lead on, not around. */
export function forwardEdges({ first, targets, loops }: Automaton, state: number): number[] {
  const edges: number[] = [];
  for (let edge = first[state]!; edge < first[state + 1]!; edge += 1) {
    const target = targets[edge]!;
    if (target !== state && loops[target] !== LOOP.inside) edges.push(edge);
  }
  return edges;
}

function agreed(a: Way | null, b: Way | null): Way | null {
  return a === null || b === null || a.loop !== b.loop ? null : { loop: a.loop, plain: a.plain && b.plain };
}

/** -1 stays: there is none. */
function oneMore(length: number): number {
  return length < 0 || length === ENDLESS ? length : length + 1;
}
