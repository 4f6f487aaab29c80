import { includes } from './inclusion.ts';
import type { Path } from './path.ts';
import type { Pattern } from './pattern.ts';
import { findWitness } from './product.ts';
import { acceptsPath } from './simulation.ts';
import { spend } from './work.ts';

/** Steps that it costs to look at two sets at all: see `workDone`. */
const STEPS_A_LOOK = 10;

/** A set of paths: one literal, or what a pattern describes. */
export type Matcher = Path | Pattern;

/** How the repo compares names. */
export interface CaseMode {
  /** False: by simple case folding. */
  readonly caseSensitive: boolean;
}

/** Whether the path is in the set. */
export function matches(matcher: Matcher, path: Path, { caseSensitive }: CaseMode): boolean {
  spend(STEPS_A_LOOK);
  const text = caseSensitive ? path.text : path.folded;
  if (matcher.kind === 'path') return (caseSensitive ? matcher.text : matcher.folded) === text;
  if (endApart(matcher.index.tail, path.index.tail)) return false;
  return acceptsPath(matcher.automaton(caseSensitive), text);
}

/**
 * A path that both sets hold, as short as there is one, or null if they share none. Exact, and symmetric in
 * whether there is a witness.
 */
export function overlap(a: Matcher, b: Matcher, mode: CaseMode): string | null {
  if (a.kind === 'path') return matches(b, a, mode) ? a.text : null;
  if (b.kind === 'path') return matches(a, b, mode) ? b.text : null;
  spend(STEPS_A_LOOK);
  return findWitness(a.automaton(mode.caseSensitive), b.automaton(mode.caseSensitive), mode.caseSensitive);
}

/**
 * Whether every path of `inner` is in `outer`. True is proven. For a path as `inner` false is exact too; for a pattern it
 * may mean that no proof was found within bounds.
 */
export function covers(outer: Matcher, inner: Matcher, mode: CaseMode): boolean {
  if (inner.kind === 'path') return matches(outer, inner, mode);
  const automaton = inner.automaton(mode.caseSensitive);
  if (outer.kind === 'pattern') return coversPattern(outer, inner, mode);
  const only = mode.caseSensitive ? outer.text : outer.folded;
  return automaton.prefix === only && automaton.labels.length === 0;
}

/** What is cheap comes first: most pairs share neither beginning nor end. */
function coversPattern(outer: Pattern, inner: Pattern, { caseSensitive }: CaseMode): boolean {
  spend(STEPS_A_LOOK);
  if (outer.text === inner.text) return true;
  if (endApart(outer.index.tail, inner.index.tail)) return false;
  const proof = includes(outer.automaton(caseSensitive), inner.automaton(caseSensitive), caseSensitive);
  return proof ?? outer.spellsOut(inner);
}

/** Tails are folded, and equal ones cut alike: different ones differ in both case modes. */
function endApart(a: string | null, b: string | null): boolean {
  return a !== null && b !== null && a !== b;
}
