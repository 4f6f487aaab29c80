import { includes } from './inclusion.ts';
import type { Path } from './path.ts';
import type { Pattern } from './pattern.ts';
import { findWitness } from './product.ts';
import { acceptsPath } from './simulation.ts';

/** A set of paths: one literal, or what a pattern describes. */
export type Matcher = Path | Pattern;

/** How the repo compares names. */
export interface CaseMode {
  /** False: by simple case folding. */
  readonly caseSensitive: boolean;
}

/** Whether the path is in the set. */
export function matches(matcher: Matcher, path: Path, { caseSensitive }: CaseMode): boolean {
  const text = caseSensitive ? path.text : path.folded;
  if (matcher.kind === 'path') return (caseSensitive ? matcher.text : matcher.folded) === text;
  return acceptsPath(matcher.automaton(caseSensitive), text);
}

/**
 * A path that both sets hold, as short as there is one, or null if they share none. Exact, and symmetric in
 * whether there is a witness.
 */
export function overlap(a: Matcher, b: Matcher, mode: CaseMode): string | null {
  if (a.kind === 'path') return matches(b, a, mode) ? a.text : null;
  if (b.kind === 'path') return matches(a, b, mode) ? b.text : null;
  return findWitness(a.automaton(mode.caseSensitive), b.automaton(mode.caseSensitive), mode.caseSensitive);
}

/**
 * Whether every path of `inner` is in `outer`. True is proven. For a literal on either side false is exact too;
 * for two patterns false may mean that no proof was found within bounds.
 */
export function covers(outer: Matcher, inner: Matcher, mode: CaseMode): boolean {
  if (inner.kind === 'path') return matches(outer, inner, mode);
  const automaton = inner.automaton(mode.caseSensitive);
  if (outer.kind === 'pattern')
    return outer.spellsOut(inner) || includes(outer.automaton(mode.caseSensitive), automaton, mode.caseSensitive);
  const only = mode.caseSensitive ? outer.text : outer.folded;
  return automaton.prefix === only && automaton.labels.length === 0;
}
