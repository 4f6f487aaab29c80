import { canonicalJson } from '../../../platform/canonical.ts';
import { secondsOfDuration } from './duration.ts';
import { checked, isRecord, type Read, readObject, spelled } from './fields.ts';
import type { Report, SourcePath } from './report.ts';
import { type Budget, budgetSchema, countSchema, guardrailsSchema, type HaltCondition } from './schema.ts';

const AMOUNT = /^\$?\s*(\d+|\d{1,3}(?:,\d{3})+)(\.\d+)?\s*(?:\$|usd)?(?:\s*(?:\/|per\b)\s*([a-z]+))?$/i;

/** Reads a loop's limits on itself. */
export function readGuardrails(value: unknown, at: SourcePath, report: Report): Record<string, unknown> {
  return readObject(value, at, FIELDS, report);
}

/** `$5/run`, `20 USD per day`, `5` (a run), `{usd, per}`, or a list of them with one for each period. */
const readBudgets: Read = (value, at, report) => {
  const items = Array.isArray(value) ? value : [value];
  const budgets: Budget[] = [];
  for (const [i, item] of items.entries()) {
    const where = Array.isArray(value) ? [...at, i] : at;
    const budget = readBudget(item, where, report);
    if (!budget) continue;
    if (budgets.some((other) => other.per === budget.per)) report.error(where, `is a second budget per ${budget.per}`);
    else budgets.push(budget);
  }
  return budgets;
};

function readBudget(value: unknown, at: SourcePath, report: Report): Budget | undefined {
  const budget = isRecord(value) ? readBudgetObject(value, at, report) : readWrittenBudget(value, at, report);
  const result = budgetSchema.safeParse(budget);
  return result.success ? result.data : undefined;
}

function readBudgetObject(value: Record<string, unknown>, at: SourcePath, report: Report): Record<string, unknown> {
  if ((value['usd'] ?? null) === null) report.error(at, 'needs an amount of USD, as usd');
  return { per: 'run', ...readObject(value, at, BUDGET_FIELDS, report) };
}

function readWrittenBudget(value: unknown, at: SourcePath, report: Report): Record<string, unknown> {
  const match = typeof value === 'string' ? AMOUNT.exec(value.trim()) : null;
  if (!match && typeof value !== 'number') {
    report.error(at, 'must be an amount such as $5/run, $20/day or 5, or a mapping of usd and per');
    return {};
  }
  const { usd, per } = budgetSchema.shape;
  return {
    usd: checked(usd)(match ? amountOf(match) : value, at, report),
    per: checked(per)((match?.[3] ?? 'run').toLowerCase(), at, report),
  };
}

function amountOf(match: RegExpExecArray): number {
  return Number((match[1] ?? '').replaceAll(',', '') + (match[2] ?? ''));
}

const BUDGET_FIELDS = {
  ...spelled(['usd'], 'usd', (value, at, report) => {
    const match = typeof value === 'string' ? AMOUNT.exec(value.trim()) : null;
    const usd = match && match[3] === undefined ? amountOf(match) : value;
    return checked(budgetSchema.shape.usd)(usd, at, report);
  }),
  ...spelled(['per'], 'per', checked(budgetSchema.shape.per)),
};

/** `no_progress(2)`, `{noProgress: 2}`, or a list of such. A condition that nobody here knows is kept and reported. */
const readHaltOn: Read = (value, at, report) => {
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item: unknown, i) => readConditions(item, Array.isArray(value) ? [...at, i] : at, report));
};

function readConditions(value: unknown, at: SourcePath, report: Report): HaltCondition[] {
  if (typeof value === 'string') return readWrittenCondition(value.trim(), at, report);
  if (!isRecord(value)) {
    report.error(at, 'must be a condition such as no_progress(2), or a mapping');
    return [];
  }
  if (value['kind'] === 'no_progress') {
    const condition = readObject(value, at, CONDITION_FIELDS, report);
    const rounds = condition['rounds'];
    if (typeof rounds === 'number') return [{ ...condition, kind: 'no_progress', rounds }];
    if (value['rounds'] === undefined) report.error(at, ROUNDS_MISSING);
    return [];
  }
  if (value['kind'] === 'unknown' && typeof value['expression'] === 'string') {
    return unknownCondition(value['expression'], at, report);
  }
  return Object.entries(value).flatMap(([key, inner]) =>
    isNoProgress(key)
      ? noProgress(inner, [...at, key], report)
      : unknownCondition(canonicalJson({ [key]: inner }), [...at, key], report),
  );
}

const ROUNDS_MISSING = 'needs a number of rounds, such as no_progress(2)';

const CONDITION_FIELDS = {
  ...spelled(['kind'], 'kind', (value) => value),
  ...spelled(['rounds'], 'rounds', (value, at, report) => noProgress(value, at, report)[0]?.rounds),
};

function isNoProgress(name: string): boolean {
  return /^no_?progress$/i.test(name);
}

function readWrittenCondition(text: string, at: SourcePath, report: Report): HaltCondition[] {
  const call = /^(\w+)\s*(?:\(\s*(\S*)\s*\))?$/.exec(text);
  if (!call || !isNoProgress(call[1] ?? '')) return unknownCondition(text, at, report);
  if (call[2] === undefined || call[2] === '') {
    report.error(at, ROUNDS_MISSING);
    return [];
  }
  return noProgress(Number(call[2]), at, report);
}

function noProgress(rounds: unknown, at: SourcePath, report: Report): { kind: 'no_progress'; rounds: number }[] {
  const read = checked(countSchema)(rounds, at, report);
  return typeof read === 'number' ? [{ kind: 'no_progress', rounds: read }] : [];
}

function unknownCondition(expression: string, at: SourcePath, report: Report): HaltCondition[] {
  report.warn(
    'unknown_halt_condition',
    at,
    'is not a condition that Signalbox can check; it is kept, and halts nothing',
  );
  return [{ kind: 'unknown', expression }];
}

const readDuration: Read = (value, at, report) => {
  const seconds = typeof value === 'string' ? secondsOfDuration(value) : value;
  return checked(guardrailsSchema.shape.maxDurationSeconds.unwrap())(seconds, at, report);
};

const FIELDS = {
  ...spelled(['maxIterations', 'max_iterations'], 'maxIterations', checked(countSchema)),
  ...spelled(['budget', 'budgets'], 'budgets', readBudgets),
  ...spelled(['haltOn', 'halt_on'], 'haltOn', (value, at, report) =>
    checked(guardrailsSchema.shape.haltOn.unwrap())(readHaltOn(value, at, report), at, report),
  ),
  ...spelled(
    ['maxDuration', 'max_duration', 'maxDurationSeconds', 'max_duration_seconds'],
    'maxDurationSeconds',
    readDuration,
  ),
  ...spelled(['maxParallelRuns', 'max_parallel_runs'], 'maxParallelRuns', checked(countSchema)),
};
