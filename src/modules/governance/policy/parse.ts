import type { z } from 'zod';
import { ACTION_NAMES, type ActionName, fieldsOfAll, isAction } from './actions.ts';
import { parseCondition } from './conditions.ts';
import {
  APPROVERS_KEYS,
  DOCUMENT_KEYS,
  type DocumentIssue,
  documentShape,
  EFFECTS,
  MODES,
  type PolicyDocument,
  RULE_KEYS,
} from './document.ts';
import { didYouMean } from './nearest.ts';
import {
  type DocumentFormat,
  type DocumentPath,
  type DocumentSource,
  formatPath,
  MAX_ERRORS,
  readSource,
} from './source.ts';
import { absenceWarnings } from './warnings.ts';

export type ParseResult =
  | { readonly ok: true; readonly document: PolicyDocument; readonly warnings: readonly DocumentIssue[] }
  | { readonly ok: false; readonly errors: readonly DocumentIssue[] };

export type Report = (path: DocumentPath, on: 'key' | 'value', reason: string) => void;

type Shape = Readonly<Record<string, unknown>>;

function isMap(value: unknown): value is Shape {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function ownValue(value: unknown, key: string): unknown {
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function valueAt(root: unknown, path: DocumentPath): unknown {
  return path.reduce<unknown>((value, part) => {
    return Array.isArray(value) ? (value as unknown[])[Number(part)] : ownValue(value, String(part));
  }, root);
}

function knownKeysAt(path: DocumentPath): readonly string[] {
  if (path.at(-1) === 'approvers') return APPROVERS_KEYS;
  return path.length === 0 ? DOCUMENT_KEYS : RULE_KEYS;
}

function reportShape(issue: z.core.$ZodIssue, root: unknown, report: Report): void {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const value = valueAt(root, path);
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeysAt(path);
    for (const key of issue.keys) report([...path, key], 'key', `no key "${key}" here${didYouMean(key, known)}`);
  } else if (value === undefined) {
    report(path, 'value', 'is required');
  } else if (issue.code === 'invalid_value') {
    const names = path.at(-1) === 'mode' ? MODES : EFFECTS;
    const meant = typeof value === 'string' ? didYouMean(value, names) : '';
    report(path, 'value', `takes ${names.join(', ')}${meant}`);
  } else if (issue.code === 'invalid_type') {
    report(
      path,
      'value',
      `takes ${issue.expected === 'record' || issue.expected === 'object' ? 'a map' : issue.expected}`,
    );
  } else {
    report(path, 'value', issue.message);
  }
}

function checkActions(rule: Shape, path: DocumentPath, defaults: unknown, report: Report): ActionName[] {
  const actions: ActionName[] = [];
  const named = Array.isArray(rule['actions']) ? (rule['actions'] as unknown[]) : [];
  for (const [index, action] of named.entries()) {
    const at = [...path, 'actions', index];
    if (typeof action !== 'string') continue;
    if (!isAction(action)) report(at, 'value', `no action "${action}"${didYouMean(action, ACTION_NAMES)}`);
    else if (actions.includes(action)) report(at, 'value', `names ${action} twice`);
    else {
      actions.push(action);
      if (ownValue(defaults, action) === undefined)
        report(at, 'value', `${action} needs a default: name it under defaults`);
    }
  }
  return actions;
}

function checkRule(rule: Shape, path: DocumentPath, defaults: unknown, report: Report, warn: Report): void {
  const actions = checkActions(rule, path, defaults, report);
  const { where, effect } = rule;
  if (actions.length > 0 && isMap(where)) {
    const { condition, issues } = parseCondition(where, fieldsOfAll(actions));
    for (const issue of issues) report([...path, 'where', ...issue.path], issue.on, issue.reason);
    if (condition && (effect === 'allow' || effect === 'deny' || effect === 'require_approval')) {
      for (const warning of absenceWarnings(condition, effect)) warn([...path, 'where'], 'key', warning);
    }
  }
  if (rule['approvers'] !== undefined && effect !== 'require_approval') {
    report([...path, 'approvers'], 'key', 'only a require_approval rule has approvers');
  }
  if (rule['reason'] === undefined && effect !== 'allow') {
    warn(path, 'value', 'has no reason: whoever is stopped by it will not know why');
  }
}

/** What the shape cannot say: actions, defaults, conditions, ids. Whatever part has the right shape is checked. */
function checkMeaning(root: unknown, report: Report, warn: Report): void {
  const defaults = ownValue(root, 'defaults');
  for (const action of isMap(defaults) ? Object.keys(defaults) : []) {
    if (!isAction(action))
      report(['defaults', action], 'key', `no action "${action}"${didYouMean(action, ACTION_NAMES)}`);
  }
  const rules = ownValue(root, 'rules');
  const ids = new Set<unknown>();
  for (const [index, rule] of Array.isArray(rules) ? (rules as unknown[]).entries() : []) {
    if (!isMap(rule)) continue;
    const id = ownValue(rule, 'id');
    if (id !== undefined && ids.has(id)) report(['rules', index, 'id'], 'value', 'is the id of an earlier rule');
    ids.add(id);
    checkRule(rule, ['rules', index], defaults, report, warn);
  }
}

function collector(source: DocumentSource): { issues: DocumentIssue[]; report: Report } {
  const issues: DocumentIssue[] = [];
  return {
    issues,
    report: (path, on, reason) => {
      if (issues.length >= MAX_ERRORS) return;
      const place = source.placeOf(path, on);
      issues.push({ line: place?.line ?? null, column: place?.column ?? null, path: formatPath(path), reason });
    },
  };
}

function inOrder(issues: DocumentIssue[]): DocumentIssue[] {
  return issues.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/**
 * Parses and checks a policy document. Pure; says all that is wrong, in the order of the text.
 * A document that parses also compiles (`compilePolicySet`). Warnings do not refuse it.
 */
export function parsePolicyDocument(text: string, format: DocumentFormat): ParseResult {
  const read = readSource(text, format);
  if (!read.ok) return read;
  const { source } = read;
  const errors = collector(source);
  const warnings = collector(source);
  const shaped = documentShape.safeParse(source.value);
  for (const issue of shaped.error?.issues ?? []) reportShape(issue, source.value, errors.report);
  checkMeaning(source.value, errors.report, warnings.report);
  if (!shaped.success || errors.issues.length > 0) return { ok: false, errors: inOrder(errors.issues) };
  return { ok: true, document: shaped.data as PolicyDocument, warnings: inOrder(warnings.issues) };
}
