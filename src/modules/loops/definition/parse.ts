import { compilePattern } from '../../../patterns/index.ts';
import { checked, type Fields, type Read, readObject, spelled } from './fields.ts';
import { readGuardrails } from './guardrails.ts';
import { findUnplain } from './plain-value.ts';
import { collectReport, type DefinitionError, type DefinitionWarning, type Report } from './report.ts';
import { type LoopDefinition, loopDefinitionSchema } from './schema.ts';
import { readSource, type Source } from './source.ts';
import { readTrigger } from './trigger.ts';

export type DefinitionInput = { text: string; format: 'yaml' | 'json' } | { value: unknown };

export type DefinitionResult =
  | { ok: true; definition: LoopDefinition; warnings: DefinitionWarning[] }
  | { ok: false; errors: DefinitionError[] };

/**
 * Reads a loop's definition, as text or as a value already parsed, into its normal form. snake_case and camelCase are
 * both understood. Unknown keys are kept at every level, each with a warning; `owner` is ignored (the server knows who
 * registers) and so is `$schema`. Reading a normal form again gives the same one.
 * @param defaults.repo the repo for a definition that names none
 */
export function parseLoopDefinition(input: DefinitionInput, defaults: { repo?: string } = {}): DefinitionResult {
  const read: { ok: true; source: Source } | { ok: false; errors: DefinitionError[] } =
    'text' in input
      ? readSource(input.text, input.format)
      : { ok: true, source: { value: input.value, lineOf: () => null } };
  if (!read.ok) return read;
  const { value, lineOf } = read.source;
  const report = collectReport(lineOf);
  const unplain = findUnplain(value);
  if (unplain) {
    report.error(unplain.at, unplain.reason);
    return { ok: false, errors: report.errors };
  }
  const fields = readObject(value, [], FIELDS, report);
  if (fields['repo'] === undefined && defaults.repo !== undefined) {
    fields['repo'] = FIELDS['repo']?.read(defaults.repo, ['repo'], report);
  }
  return settle(fields, report);
}

/** What the fields' readers let through is checked once more as a whole, which also finds a missing name. */
function settle(fields: Record<string, unknown>, report: ReturnType<typeof collectReport>): DefinitionResult {
  if (fields['name'] === undefined && !report.errors.some((error) => error.path === 'name')) {
    report.error(['name'], 'is missing');
  }
  if (report.errors.length > 0) return { ok: false, errors: report.errors };
  const result = loopDefinitionSchema.safeParse(fields);
  if (result.success) return { ok: true, definition: result.data, warnings: report.warnings };
  checked(loopDefinitionSchema)(fields, [], report);
  return { ok: false, errors: report.errors };
}

const readScope: Read = (value, at, report) => {
  const patterns = checked(loopDefinitionSchema.shape.scope.unwrap())(
    typeof value === 'string' ? [value] : value,
    at,
    report,
  );
  if (!isTexts(patterns)) return undefined;
  for (const [i, pattern] of patterns.entries()) {
    checkPattern(pattern, typeof value === 'string' ? at : [...at, i], report);
  }
  return patterns;
};

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function checkPattern(pattern: string, at: readonly (string | number)[], report: Report): void {
  const parsed = compilePattern(pattern);
  if (!parsed.ok) report.error(at, `is an invalid pattern: ${parsed.problem.detail}`);
}

const ignored: Read = (_value, at, report) =>
  report.warn('ignored_key', at, 'is ignored: the owner is whoever registers the loop');

const { shape } = loopDefinitionSchema;

const FIELDS: Fields = {
  ...spelled(['name'], 'name', checked(shape.name)),
  ...spelled(['repo'], 'repo', checked(shape.repo.unwrap())),
  ...spelled(['scope'], 'scope', readScope),
  ...spelled(['trigger'], 'trigger', readTrigger),
  ...spelled(['isolation'], 'isolation', checked(shape.isolation.unwrap())),
  ...spelled(['steps'], 'steps', checked(shape.steps.unwrap())),
  ...spelled(['guardrails'], 'guardrails', readGuardrails),
  ...spelled(['team'], 'team', checked(shape.team.unwrap())),
  ...spelled(['labels'], 'labels', checked(shape.labels.unwrap())),
  ...spelled(['description'], 'description', checked(shape.description.unwrap())),
  ...spelled(['owner'], 'owner', ignored),
  ...spelled(['$schema'], '$schema', () => undefined),
};
