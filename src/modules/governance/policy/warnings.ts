import type { Condition } from '@ucast/core';
import { isLeaf, partsOf } from './conditions.ts';
import type { Effect } from './document.ts';

interface FieldUse {
  readonly negated: Set<string>;
  readonly existence: Set<string>;
}

function collect(condition: Condition, negated: boolean, use: FieldUse): FieldUse {
  if (isLeaf(condition)) {
    if (condition.operator === 'exists') use.existence.add(condition.field);
    else if (negated && condition.value.field.absent) use.negated.add(condition.field);
    return use;
  }
  for (const part of partsOf(condition)) collect(part, negated !== (condition.operator === 'not'), use);
  return use;
}

/** Says how a negated comparison goes for a request that lacks the field, unless the rule speaks of that itself. */
export function absenceWarnings(condition: Condition, effect: Effect): string[] {
  const { negated, existence } = collect(condition, false, { negated: new Set(), existence: new Set() });
  return [...negated]
    .filter((field) => !existence.has(field))
    .map((field) => {
      const holds = effect === 'allow' ? 'does not hold' : 'holds';
      return `a request without ${field}: the negated comparison ${holds}; say with $exists if that is not meant`;
    });
}
