import type { Condition } from '@ucast/core';
import { type CaseMode, type Matcher, overlap, type Pattern } from '../../../patterns/index.ts';
import type { PolicySet } from './compile.ts';
import { isLeaf, partsOf } from './conditions.ts';

const named = new WeakMap<PolicySet, readonly Matcher[]>();

/**
 * Paths that stand for all that a pattern may match, so that rules about paths can be asked about it: one that it shares
 * with each path or glob that a rule names, and one that is only its own. A rule that names one glob is met exactly when
 * the pattern reaches into it; one that combines several globs may be missed. Once it `isIntricate`, no more are looked for.
 */
export function standInPaths(
  set: PolicySet,
  pattern: Pattern,
  { isIntricate, ...mode }: CaseMode & { isIntricate: () => boolean },
): string[] {
  const found = new Set<string>();
  for (const matcher of [...matchersOf(set), pattern]) {
    if (isIntricate()) break;
    const path = overlap(matcher, pattern, mode);
    if (path !== null) found.add(path);
  }
  return [...found];
}

/** What it costs to ask about a repo must not depend on whether one with its case was asked about before. */
export function compileGlobs(set: PolicySet, { caseSensitive }: CaseMode): void {
  for (const matcher of matchersOf(set)) if (matcher.kind === 'pattern') matcher.automaton(caseSensitive);
}

function matchersOf(set: PolicySet): readonly Matcher[] {
  const known = named.get(set);
  if (known !== undefined) return known;
  const found = set.ability.rules.flatMap(({ conditions }) =>
    conditions === undefined ? [] : leavesOf(conditions.ast),
  );
  const matchers = [...new Map(found.map((matcher) => [`${matcher.kind} ${matcher.text}`, matcher])).values()];
  named.set(set, matchers);
  return matchers;
}

function leavesOf(condition: Condition): Matcher[] {
  if (!isLeaf(condition)) return partsOf(condition).flatMap(leavesOf);
  if (condition.field !== 'path' || condition.operator === 'exists') return [];
  return [condition.value.operand as Matcher | Matcher[]].flat();
}
