import { compilePattern, indexKey, type Matcher, matches, type Path, parsePath } from '../../../patterns/index.ts';
import type { FieldDefinition, FieldType } from './actions.ts';
import { didYouMean } from './nearest.ts';
import { parseTextGlob } from './text-glob.ts';
import { parseWindow } from './windows.ts';

/** Asks a present value of the field's type; a path is a `Path`, an instant is in milliseconds. */
export type LeafTest = (value: never, caseSensitive: boolean) => boolean;

/** `key` is the part of the operand that is wrong, when it is not the whole. */
export type OperandProblem = { readonly key: string | number | null; readonly reason: string };
export type OperandResult =
  | { readonly ok: true; readonly test: LeafTest; readonly operand: unknown }
  | { readonly ok: false; readonly problems: readonly OperandProblem[] };

const EQUALITY = ['$eq', '$ne', '$in', '$nin', '$exists'];
const ORDER = ['$lt', '$lte', '$gt', '$gte'];

/** What may be asked of a field. `$ne`, `$nin` and `$outside` are the exact opposites of `$eq`, `$in` and `$within`. */
export const OPERATORS: Readonly<Record<FieldType, readonly string[]>> = {
  text: [...EQUALITY, '$glob'],
  path: [...EQUALITY, '$glob'],
  command: [...EQUALITY, '$glob'],
  number: [...EQUALITY, ...ORDER],
  boolean: EQUALITY,
  list: [...EQUALITY, '$glob'],
  instant: [...ORDER, '$exists', '$within', '$outside'],
};

export const FIELD_OPERATORS: readonly string[] = [...new Set(Object.values(OPERATORS).flat())];

/** A command as it is compared: a run of white space is one space, none at the ends. */
export function normalizeCommand(command: string): string {
  return command.trim().replaceAll(/\s+/g, ' ');
}

type LiteralResult = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string };

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

function parseText(field: FieldDefinition, value: unknown): LiteralResult {
  if (typeof value !== 'string' || value === '') {
    if (Array.isArray(value)) return { ok: false, reason: 'takes one text; for any of several write $in' };
    return {
      ok: false,
      reason: value === '' || value === null ? 'takes a text, not an empty one' : 'takes a text: quote it',
    };
  }
  if (field.values && !field.values.includes(value)) {
    const all = field.values.join(', ');
    return { ok: false, reason: `"${value}" is none of ${all}${didYouMean(value, field.values)}` };
  }
  if (field.type === 'command') return { ok: true, value: normalizeCommand(value) };
  if (field.type !== 'path') return { ok: true, value };
  const path = parsePath(value);
  return path.ok ? { ok: true, value: path.path } : { ok: false, reason: path.problem.detail };
}

/** A value that `field` may have, as a request's value is compared with it. */
function parseLiteral(field: FieldDefinition, value: unknown): LiteralResult {
  switch (field.type) {
    case 'text':
    case 'path':
    case 'command':
    case 'list':
      return parseText(field, value);
    case 'number':
      if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return { ok: true, value };
      return { ok: false, reason: 'takes a number that is not negative' };
    case 'boolean':
      return typeof value === 'boolean' ? { ok: true, value } : { ok: false, reason: 'takes true or false' };
    case 'instant': {
      const at = typeof value === 'string' && RFC_3339.test(value) ? Date.parse(value) : Number.NaN;
      if (!Number.isNaN(at)) return { ok: true, value: at };
      return { ok: false, reason: 'takes a time like 2026-12-24T18:00:00Z' };
    }
  }
}

const CASE_SENSITIVE = { caseSensitive: true };
const CASE_INSENSITIVE = { caseSensitive: false };

function pathTest(matcher: Matcher): LeafTest {
  return (path: Path, caseSensitive) => matches(matcher, path, caseSensitive ? CASE_SENSITIVE : CASE_INSENSITIVE);
}

function equals(field: FieldDefinition, operand: unknown): LeafTest {
  if (field.type === 'path') return pathTest(operand as Path);
  if (field.type === 'list') return (values: readonly unknown[]) => values.includes(operand);
  return (value: unknown) => value === operand;
}

function oneOf(field: FieldDefinition, operands: readonly unknown[]): LeafTest {
  if (field.type === 'path') {
    const paths = operands as Path[];
    const [texts, folded] = [new Set(paths.map((path) => path.text)), new Set(paths.map((path) => path.folded))];
    return (path: Path, caseSensitive) => (caseSensitive ? texts.has(path.text) : folded.has(path.folded));
  }
  const set = new Set(operands);
  if (field.type === 'list') return (values: readonly unknown[]) => values.some((value) => set.has(value));
  return (value: unknown) => set.has(value);
}

const COMPARE: Readonly<Record<string, (value: number, operand: number) => boolean>> = {
  $lt: (value, operand) => value < operand,
  $lte: (value, operand) => value <= operand,
  $gt: (value, operand) => value > operand,
  $gte: (value, operand) => value >= operand,
};

const failed = (reason: string): OperandResult => ({ ok: false, problems: [{ key: null, reason }] });

function parseList(field: FieldDefinition, value: unknown): OperandResult {
  if (!Array.isArray(value) || value.length === 0) return failed('takes a list with at least one value');
  const literals = (value as unknown[]).map((item) => parseLiteral(field, item));
  const problems = literals.flatMap((literal, key) => (literal.ok ? [] : [{ key, reason: literal.reason }]));
  if (problems.length > 0) return { ok: false, problems };
  const operands = literals.map((literal) => (literal.ok ? literal.value : null));
  return { ok: true, test: oneOf(field, operands), operand: operands };
}

/** A longer tail may be cut, and is then not what a path ends in. */
const CERTAIN_TAIL_LENGTH = 16;

function parsePathGlob(text: string): OperandResult {
  const parsed = compilePattern(text);
  if (!parsed.ok) return failed(parsed.problem.detail);
  const { pattern } = parsed;
  const test = pathTest(pattern);
  const { tail } = indexKey(pattern);
  if (tail === null || tail === '' || tail.length > CERTAIN_TAIL_LENGTH) return { ok: true, operand: pattern, test };
  // For `**/*.sql` and its like no bucket helps: most paths are told by their end, without a walk.
  const tailTest: LeafTest = (path: Path, caseSensitive) =>
    path.folded.endsWith(tail) && test(path as never, caseSensitive);
  return { ok: true, operand: pattern, test: tailTest };
}

function parseGlob(field: FieldDefinition, value: unknown): OperandResult {
  if (typeof value !== 'string') return failed('takes a glob');
  if (field.type === 'path') return parsePathGlob(value);
  const glob = parseTextGlob(field.type === 'command' ? normalizeCommand(value) : value);
  if (!glob.ok) return failed(glob.problem);
  const { test } = glob;
  if (field.type === 'list') return { ok: true, operand: value, test: (values: string[]) => values.some(test) };
  return { ok: true, operand: value, test };
}

/**
 * Checks the operand of one operator against the field it stands under, and makes the test.
 * `operator` is positive: the caller turns `$ne`, `$nin`, `$outside` round, and answers `$exists` itself.
 */
export function parseOperand(operator: string, field: FieldDefinition, value: unknown): OperandResult {
  if (operator === '$in') return parseList(field, value);
  if (operator === '$glob') return parseGlob(field, value);
  if (operator === '$within') {
    const window = parseWindow(value);
    return window.ok ? { ok: true, operand: value, test: window.contains } : window;
  }
  const literal = parseLiteral(field, value);
  if (!literal.ok) return failed(literal.reason);
  if (operator === '$eq') return { ok: true, operand: literal.value, test: equals(field, literal.value) };
  const compare = COMPARE[operator];
  if (!compare) throw new Error(`no operator ${operator}`);
  const operand = literal.value as number;
  return { ok: true, operand, test: (asked: number) => compare(asked, operand) };
}
