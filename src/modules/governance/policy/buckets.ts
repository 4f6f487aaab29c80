import type { Condition } from '@ucast/core';
import { indexKey, lookup, type Matcher, type Path } from '../../../patterns/index.ts';
import { isLeaf, type LeafCondition, partsOf } from './conditions.ts';

/**
 * An index over rules by what they need: a repo and a literal path prefix. It may only be wider than the rules, never
 * narrower: a rule in no bucket of a request is a deny that does not happen.
 */

/** Stands for "any repo": no repo is named so. */
export const ANY_REPO = '';
/** A rule that would need more buckets than this is looked at for every request instead. */
const MAX_BUCKETS_PER_RULE = 64;

export interface BucketKey {
  readonly repo: string;
  /** An index key of `patterns`: a folded literal path, or a directory with its `/`; empty for any path or none. */
  readonly key: string;
}

/** Values of which one is needed for the condition to hold, or null when it can hold with any. */
function neededValues(condition: Condition, ofLeaf: (leaf: LeafCondition) => string[] | null): string[] | null {
  if (isLeaf(condition)) return ofLeaf(condition);
  const parts = partsOf(condition).map((part) => neededValues(part, ofLeaf));
  if (condition.operator === 'and') {
    const known = parts.filter((part) => part !== null);
    return known.length === 0 ? null : known.reduce((least, part) => (part.length < least.length ? part : least));
  }
  if (condition.operator === 'or' && parts.every((part) => part !== null)) return parts.flat();
  return null;
}

function repoOf({ field, operator, value }: LeafCondition): string[] | null {
  if (field !== 'repo') return null;
  if (operator === 'eq') return [value.operand as string];
  return operator === 'in' ? (value.operand as string[]) : null;
}

function pathOf({ field, operator, value }: LeafCondition): string[] | null {
  if (field !== 'path' || operator === 'exists') return null;
  const keys = [value.operand as Matcher | Matcher[]].flat().map((matcher) => indexKey(matcher).key);
  return keys.includes('') ? null : keys;
}

/** Without those below another one: so a path finds one of them at most, and meets a rule once. */
function withoutNested(keys: readonly string[]): string[] {
  const unique = [...new Set(keys)];
  return unique.filter((key) => !unique.some((other) => other !== key && other.endsWith('/') && key.startsWith(other)));
}

/** The buckets that a rule with this condition goes into. */
export function bucketsOf(condition: Condition): BucketKey[] {
  const repos = [...new Set(neededValues(condition, repoOf) ?? [ANY_REPO])];
  const keys = withoutNested(neededValues(condition, pathOf) ?? ['']);
  if (repos.length * keys.length <= MAX_BUCKETS_PER_RULE) {
    return repos.flatMap((repo) => keys.map((key) => ({ repo, key })));
  }
  return [{ repo: ANY_REPO, key: '' }];
}

/** The keys of the buckets in which rules about a path may be. */
export function keysOf(path: Path): readonly string[] {
  const { literals, patternPrefixes } = lookup(path);
  return [...patternPrefixes, ...literals];
}
