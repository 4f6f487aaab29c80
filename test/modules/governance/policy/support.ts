import {
  type Actor,
  compilePolicySet,
  type Evaluation,
  type EvaluationRequest,
  evaluate,
  type PolicyDocument,
  type PolicySet,
  parsePolicyDocument,
} from '../../../../src/modules/governance/policy/index.ts';

const NOON = new Date('2026-11-20T12:00:00Z');

export const ACTOR: Actor = { principalId: 'principal-1', role: 'member', teams: [] };

/** Parses a document given as a value; fails with all that is wrong with it. */
export function documentOf(value: unknown): PolicyDocument {
  const parsed = parsePolicyDocument(JSON.stringify(value), 'json');
  if (!parsed.ok) throw new Error(parsed.errors.map(({ path, reason }) => `${path}: ${reason}`).join('\n'));
  return parsed.document;
}

export function policySetOf(...documents: unknown[]): PolicySet {
  return compilePolicySet(
    documents.map(documentOf).map((document, index) => ({ name: document.name, version: index + 1, document })),
  );
}

export type RequestParts = Pick<EvaluationRequest, 'action' | 'subjects'> & Partial<EvaluationRequest>;

export function requestOf(parts: RequestParts): EvaluationRequest {
  return { actor: ACTOR, at: NOON, caseSensitive: true, ...parts };
}

/** One rule under one default, asked once. */
export function decide(rule: object, defaultEffect: string, parts: RequestParts): Evaluation {
  const document = {
    name: 'house',
    defaults: { [parts.action]: defaultEffect },
    rules: [{ id: 'rule', actions: [parts.action], reason: 'r', ...rule }],
  };
  return evaluate(policySetOf(document), requestOf(parts));
}

/** The errors of a document, as `path: reason`. */
export function errorsOf(text: string, format: 'yaml' | 'json' = 'yaml'): string[] {
  const parsed = parsePolicyDocument(text, format);
  return parsed.ok ? [] : parsed.errors.map(({ path, reason }) => `${path}: ${reason}`);
}

/** The errors of a document whose only rule has this `where`, relative to it. */
export function whereErrors(where: unknown, actions: readonly string[] = ['path.edit']): string[] {
  const defaults = Object.fromEntries(actions.map((action) => [action, 'allow']));
  const rules = [{ id: 'rule', effect: 'deny', actions, where, reason: 'r' }];
  const errors = errorsOf(JSON.stringify({ name: 'house', defaults, rules }), 'json');
  return errors.map((error) => error.replace(/^rules\[0\]\.where\.?/, ''));
}
