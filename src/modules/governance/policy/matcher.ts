import type { Condition } from '@ucast/core';
import { slotOf } from './actions.ts';
import { isLeaf, type LeafCondition, partsOf } from './conditions.ts';
import type { Effect } from './document.ts';

/** One thing asked, as rules see it. Built by context.ts alone, so that no key of a caller's JSON reaches a rule. */
export interface RequestContext {
  /** Values by `slotOf` their field; undefined where absent. A path is a `Path`, an instant is in milliseconds. */
  readonly values: readonly unknown[];
  /** Whether the repo tells `A` from `a` in paths. */
  readonly caseSensitive: boolean;
}

export type ConditionTest = (context: RequestContext) => boolean;

function isPresent(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

function compileLeaf(condition: LeafCondition, negated: boolean, whenAbsent: boolean): ConditionTest {
  const { field, operator, value: leaf } = condition;
  const slot = slotOf(field);
  if (operator === 'exists') return ({ values }) => isPresent(values[slot]) !== negated;
  const test = leaf.test as (value: unknown, caseSensitive: boolean) => boolean;
  return ({ values, caseSensitive }) => {
    const value = values[slot];
    if (value === undefined) return whenAbsent;
    return test(value, caseSensitive) !== negated;
  };
}

function compile(condition: Condition, negated: boolean, restricts: boolean): ConditionTest {
  if (isLeaf(condition)) return compileLeaf(condition, negated, negated && restricts);
  const { operator } = condition;
  if (operator === 'not') return compile(partsOf(condition)[0] as Condition, !negated, restricts);
  const tests = partsOf(condition).map((part) => compile(part, negated, restricts));
  if (operator !== 'and' && operator !== 'or') throw new Error(`no operator ${operator}`);
  // Not (a and b) is (not a) or (not b): the negation travels to the leaves, where absence is decided.
  const all = (operator === 'and') !== negated;
  if (tests.length === 1 && tests[0]) return tests[0];
  return all ? (context) => tests.every((test) => test(context)) : (context) => tests.some((test) => test(context));
}

/**
 * Compiles a condition for a rule of the given effect.
 *
 * Absence never widens. A comparison with an absent field does not hold. Under a negation (`$ne`, `$nin`, `$outside`,
 * `$not`) it holds in a rule that restricts and does not in a rule that allows: "deny unless the loop is `release`"
 * must catch whoever has no loop, and "allow if the owner is not a contractor" must not let in whoever has no owner.
 * `$exists` speaks of absence itself, and an empty list is a value, which contains nothing (`$exists` asks for an element).
 */
export function compileCondition(condition: Condition, effect: Effect): ConditionTest {
  return compile(condition, false, effect !== 'allow');
}
