import { CompoundCondition, type Condition, FieldCondition } from '@ucast/core';
import type { FieldDefinition } from './actions.ts';
import { didYouMean } from './nearest.ts';
import { FIELD_OPERATORS, type LeafTest, OPERATORS, parseOperand } from './operators.ts';

/** What a leaf of the syntax tree holds beside its operator and field. */
export interface Leaf {
  readonly field: FieldDefinition;
  /** The operand, checked: of a path a `Path`, a list of them or a `Pattern`; of an instant milliseconds; else as written. */
  readonly operand: unknown;
  readonly test: LeafTest;
}

export type LeafCondition = FieldCondition<Leaf>;

/** `on` says which of the two the reason is about, the key or its value. `path` is relative to what was parsed. */
export interface ConditionIssue {
  readonly path: readonly (string | number)[];
  readonly on: 'key' | 'value';
  readonly reason: string;
}

/** Keys and list positions from `where` down to an operator. */
const MAX_CONDITION_DEPTH = 64;

const LOGICAL = ['$and', '$or', '$not'];
const NEGATED: Readonly<Record<string, string>> = { $ne: '$eq', $nin: '$in', $outside: '$within' };

type Path = readonly (string | number)[];
type ParsePart = (value: unknown, path: Path) => Condition | null;

const and = (parts: Condition[]): Condition => (parts.length === 1 && parts[0]) || new CompoundCondition('and', parts);
const or = (parts: Condition[]): Condition => (parts.length === 1 && parts[0]) || new CompoundCondition('or', parts);
const not = (part: Condition): Condition => new CompoundCondition('not', [part]);

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** All or nothing: a part that did not parse was reported, and half a condition means something else. */
function complete(parts: (Condition | null)[]): Condition[] | null {
  return parts.every((part) => part !== null) ? parts : null;
}

class ConditionParser {
  readonly issues: ConditionIssue[] = [];
  private readonly fields: ReadonlyMap<string, FieldDefinition>;

  constructor(fields: ReadonlyMap<string, FieldDefinition>) {
    this.fields = fields;
  }

  /** A map of fields and logical operators, all of which must hold. */
  parseDocument(value: unknown, path: Path): Condition | null {
    if (!isMap(value)) return this.report(path, 'value', 'takes fields, $and, $or and $not');
    const keys = Object.keys(value);
    if (keys.length === 0 && path.length > 0) return this.report(path, 'value', 'is empty');
    const parts = keys.map((key) => this.parseEntry(key, value[key], [...path, key]));
    const all = complete(parts);
    return all && and(all);
  }

  private parseEntry(key: string, value: unknown, path: Path): Condition | null {
    if (LOGICAL.includes(key)) return this.parseLogical(key, value, path, (part, at) => this.parseDocument(part, at));
    if (FIELD_OPERATORS.includes(key)) return this.report(path, 'key', `${key} belongs under a field`);
    if (key.startsWith('$')) return this.report(path, 'key', `no operator ${key}${didYouMean(key, LOGICAL)}`);
    const field = this.fields.get(key);
    if (field) return this.parseField(key, field, value, path);
    const members = [...this.fields.keys()].filter((name) => name.startsWith(`${key}.`));
    if (members.length === 0) {
      const hint = didYouMean(key, this.fields.keys());
      return this.report(path, 'key', `"${key}" is not a field of every action of this rule${hint}`);
    }
    if (!isMap(value) || Object.keys(value).length === 0 || Object.keys(value).some((name) => name.startsWith('$'))) {
      return this.report(path, 'value', `takes one of its parts: ${members.join(', ')}`);
    }
    const parts = Object.keys(value).map((name) => this.parseMember(key, name, value[name], [...path, name]));
    const all = complete(parts);
    return all && and(all);
  }

  /** `loop: {name: x}` is `loop.name: x`. */
  private parseMember(group: string, name: string, value: unknown, path: Path): Condition | null {
    const full = `${group}.${name}`;
    const field = this.fields.get(full);
    if (field) return this.parseField(full, field, value, path);
    return this.report(path, 'key', `no field ${full}${didYouMean(full, this.fields.keys())}`);
  }

  /** What one field must be: a plain value, or operators that must all hold. */
  private parseField(name: string, field: FieldDefinition, value: unknown, path: Path): Condition | null {
    if (!isMap(value)) return this.parseOperator('$eq', name, field, value, path, 'value');
    const keys = Object.keys(value);
    if (keys.length === 0) return this.report(path, 'value', 'is empty');
    const parts = keys.map((key) => {
      const at = [...path, key];
      if (!LOGICAL.includes(key)) return this.parseOperator(key, name, field, value[key], at, 'key');
      return this.parseLogical(key, value[key], at, (part, partAt) => this.parseField(name, field, part, partAt));
    });
    const all = complete(parts);
    return all && and(all);
  }

  private parseLogical(key: string, value: unknown, path: Path, parsePart: ParsePart): Condition | null {
    if (path.length > MAX_CONDITION_DEPTH) return this.report(path, 'key', `nests deeper than ${MAX_CONDITION_DEPTH}`);
    if (key === '$not') {
      const part = parsePart(value, path);
      return part && not(part);
    }
    if (!Array.isArray(value) || value.length === 0)
      return this.report(path, 'value', 'takes a list that is not empty');
    const all = complete((value as unknown[]).map((part, index) => parsePart(part, [...path, index])));
    return all && (key === '$and' ? and(all) : or(all));
  }

  private parseOperator(
    operator: string,
    name: string,
    field: FieldDefinition,
    value: unknown,
    path: Path,
    on: 'key' | 'value',
  ): Condition | null {
    const offered = OPERATORS[field.type];
    if (!FIELD_OPERATORS.includes(operator)) {
      return this.report(path, on, `no operator ${operator}${didYouMean(operator, [...offered, ...LOGICAL])}`);
    }
    if (!offered.includes(operator)) {
      return this.report(path, on, `${operator} does not apply to ${name}; it takes ${offered.join(', ')}`);
    }
    if (operator === '$exists') {
      if (typeof value !== 'boolean') return this.report(path, 'value', 'takes true or false');
      const exists = new FieldCondition<Leaf>('exists', name, { field, operand: true, test: () => true });
      return value ? exists : not(exists);
    }
    const positive = NEGATED[operator] ?? operator;
    const parsed = parseOperand(positive, field, value);
    if (!parsed.ok) {
      for (const { key, reason } of parsed.problems) this.report(key === null ? path : [...path, key], 'value', reason);
      return null;
    }
    const leaf = { field, operand: parsed.operand, test: parsed.test };
    const condition = new FieldCondition<Leaf>(positive.slice(1), name, leaf);
    return positive === operator ? condition : not(condition);
  }

  private report(path: Path, on: 'key' | 'value', reason: string): null {
    this.issues.push({ path, on, reason });
    return null;
  }
}

/**
 * Parses a rule's `where` against the fields its actions have.
 * The tree has `and`, `or`, `not` and the positive operators `eq in lt lte gt gte exists glob within` as leaves
 * (`LeafCondition`). Every issue is reported; the condition is null if there is one.
 */
export function parseCondition(
  where: unknown,
  fields: ReadonlyMap<string, FieldDefinition>,
): { readonly condition: Condition | null; readonly issues: readonly ConditionIssue[] } {
  const parser = new ConditionParser(fields);
  const condition = parser.parseDocument(where, []);
  return { condition, issues: parser.issues };
}

export function isLeaf(condition: Condition): condition is LeafCondition {
  return condition instanceof FieldCondition;
}

/** The parts of an `and`, `or` or `not`. */
export function partsOf(condition: Condition): readonly Condition[] {
  return condition instanceof CompoundCondition ? (condition.value as Condition[]) : [];
}
