import {
  budgetOf,
  type CaseMode,
  compilePattern,
  covers,
  type Matcher,
  parsePath,
  storedPattern,
} from '../../../patterns/index.ts';
import type { Principal } from '../../../platform/principal.ts';
import { principalId } from '../../../platform/principal.ts';
import { compileGlobs, type Evaluation, evaluate, type MatchedRule, standInPaths } from '../../governance/index.ts';
import { guardrailSignal, type RunFacts } from '../../loops/index.ts';
import { haltsOf } from './halts.ts';
import type { AskOperation, Part } from './operation.ts';
import type { Snapshot } from './snapshot.ts';

type Outcome = Evaluation['outcome'];

/** A reason, as answers and the log show it: a policy's rule, or what stands above policies (halt, guardrail, approval). */
export interface ShownRule {
  readonly id: string;
  readonly policy: string | null;
  readonly version: number | null;
  readonly effect: Outcome;
  readonly reason: string;
  readonly paths: readonly string[];
}

/** What halts, guardrails and policies say to one request, before any approval or lease is looked at. */
export interface Judgement {
  readonly outcome: Outcome;
  readonly ungoverned: boolean;
  readonly rules: readonly ShownRule[];
  readonly shadow: { readonly outcome: Outcome; readonly rules: readonly ShownRule[] };
  readonly requirements: Evaluation['requirements'];
}

const STRICTNESS: Readonly<Record<Outcome, number>> = { allow: 0, require_approval: 1, deny: 2 };

function strictest(outcomes: readonly Outcome[]): Outcome {
  return outcomes.reduce((worst, outcome) => (STRICTNESS[outcome] > STRICTNESS[worst] ? outcome : worst), 'allow');
}

/**
 * Steps (see `workDone`) that it may cost to tell what the policies say of one request, half a second at worst: twice what five hundred
 * paths cost under a hundred globs that all begin as they do. To deny what could be told is worse than to be slow.
 */
const POLICY_STEPS_MAX = 20_000_000;
const POLICIES_TOO_INTRICATE =
  'It takes too long to tell what the policies say of all this: ask for less at once, or have the globs of the rules simplified.';

/** Pure. A halt or a guardrail denies whatever policies say; all that matched is told. */
export function judgeRequest(snapshot: Snapshot, op: AskOperation, run: RunFacts | null): Judgement {
  const above = [
    ...haltRules(snapshot, op, run),
    ...(run === null ? [] : [...guardrailRules(run, snapshot), ...scopeRules(snapshot, op, run)]),
  ];
  const caseSensitive = op.repo === null ? true : (snapshot.repos.get(op.repo.id)?.caseSensitive ?? true);
  if (!caseSensitive) compileGlobs(snapshot.policies, { caseSensitive });
  const isIntricate = budgetOf(POLICY_STEPS_MAX);
  const evaluations = op.parts.map((part) => {
    const subjects = subjectsOf(snapshot, part, { repo: op.repo?.name, caseSensitive, isIntricate });
    const asker = askerOf(snapshot, op.principal, run);
    const request = { action: part.action, subjects, at: snapshot.now, caseSensitive, ...asker };
    return evaluate(snapshot.policies, request, isIntricate);
  });
  if (isIntricate())
    above.push(guardrail('policies_too_intricate', POLICIES_TOO_INTRICATE, [...pathsOf(op), ...patternsOf(op)]));
  const outcome = strictest([
    ...above.map(({ effect }) => effect),
    ...evaluations.map((evaluation) => evaluation.outcome),
  ]);
  return {
    outcome,
    ungoverned: above.length === 0 && evaluations.every((evaluation) => evaluation.ungoverned),
    rules: [...above, ...merged(evaluations.flatMap((evaluation) => evaluation.rules))],
    shadow: {
      outcome: strictest([outcome, ...evaluations.map((evaluation) => evaluation.shadow.outcome)]),
      rules: merged(evaluations.flatMap((evaluation) => evaluation.shadow.rules)),
    },
    requirements:
      outcome === 'require_approval' ? union(evaluations.flatMap((evaluation) => evaluation.requirements)) : [],
  };
}

/** Rules speak of paths: for a pattern, paths that it may match stand in. */
function subjectsOf(
  snapshot: Snapshot,
  { subjects, patterns = [] }: Part,
  { repo, ...how }: CaseMode & { repo: string | undefined; isIntricate: () => boolean },
) {
  const standIns = patterns.flatMap((text) => {
    const read = how.isIntricate() ? null : compilePattern(text);
    return read?.ok === true ? standInPaths(snapshot.policies, read.pattern, how) : [];
  });
  return standIns.length === 0 ? subjects : [...subjects, ...standIns.map((path) => ({ repo, path }))];
}

/** Who asks, as the server knows it; never as the request says. */
export function askerOf(snapshot: Snapshot, principal: Principal, run: RunFacts | null) {
  const teams = run?.teams ?? (principal.keyId === null ? [] : (snapshot.keys.get(principal.keyId)?.teams ?? []));
  const actor = { principalId: principalId(principal), role: principal.role, teams: teams.map(({ name }) => name) };
  if (run === null) return { actor };
  const labels = Object.entries(run.loop.labels).flatMap(([name, value]) => [name, `${name}=${value}`]);
  return {
    actor: { ...actor, owner: run.owner.id, loop: { id: run.loop.id, name: run.loop.name, labels } },
    run: { id: run.id, iteration: run.iteration, status: run.status },
  };
}

function haltRules(snapshot: Snapshot, op: AskOperation, run: RunFacts | null): ShownRule[] {
  return haltsOf(snapshot, run, op.repo?.id ?? null).map((halt) => ({
    id: `halt:${halt.id}`,
    policy: null,
    version: null,
    effect: 'deny',
    reason: `Halted (${halt.scopeKind}): ${halt.reason}`,
    paths: [],
  }));
}

function guardrailRules(run: RunFacts, snapshot: Snapshot): ShownRule[] {
  const { reasons } = guardrailSignal({
    guardrails: run.loop.guardrails,
    iterations: [{ number: run.iteration }],
    usage: { costUsd: run.usage.costUsd ?? 0, tokens: (run.usage.inputTokens ?? 0) + (run.usage.outputTokens ?? 0) },
    startedAt: run.startedAt,
    now: snapshot.now,
  });
  return reasons.map(({ code, detail }) => guardrail(code, detail, []));
}

/** Steps that it may cost (see `workDone`) to tell whether a request stays in a scope: some 20 milliseconds, with all others waiting. */
const SCOPE_STEPS_MAX = 3_000_000;

/** A loop that declares a scope stays in it, and so that it can be told. Without one, nothing is said here. */
function scopeRules(snapshot: Snapshot, op: AskOperation, run: RunFacts): ShownRule[] {
  if (run.loop.scope.length === 0 || op.repo === null) return [];
  const mode = { caseSensitive: snapshot.repos.get(op.repo.id)?.caseSensitive ?? true };
  // What only stands in for a text would let through more than was declared.
  const scope = run.loop.scope.map(storedPattern).filter(({ isExact }) => isExact);
  for (const pattern of scope) pattern.automaton(mode.caseSensitive);
  const asked = [
    ...pathsOf(op).map((text) => ({ text, matcher: readPath(text) })),
    ...patternsOf(op).map((text) => ({ text, matcher: compiled(text, mode) })),
  ];
  const isIntricate = budgetOf(SCOPE_STEPS_MAX);
  const isWithin = (matcher: Matcher) => scope.some((pattern) => !isIntricate() && covers(pattern, matcher, mode));
  const outside = asked.filter(({ matcher }) => matcher === null || !isWithin(matcher)).map(({ text }) => text);
  if (outside.length === 0) return [];
  const reason = isIntricate()
    ? "It takes too long to tell what of this lies in the loop's scope: ask for less at once, or declare simpler patterns."
    : `The loop's scope is ${run.loop.scope.join(', ')}.`;
  return [guardrail('out_of_scope', reason, outside)];
}

function readPath(text: string): Matcher | null {
  const read = parsePath(text);
  return read.ok ? read.path : null;
}

/** With the automaton that will be asked: what comparing costs must not depend on what was asked before. */
function compiled(text: string, { caseSensitive }: CaseMode): Matcher | null {
  const read = compilePattern(text);
  if (!read.ok) return null;
  read.pattern.automaton(caseSensitive);
  return read.pattern;
}

function guardrail(code: string, reason: string, paths: readonly string[]): ShownRule {
  return { id: `guardrail:${code}`, policy: null, version: null, effect: 'deny', reason, paths };
}

/** All paths of a request, each once, in order. */
export function pathsOf(op: AskOperation): string[] {
  const paths = op.parts.flatMap(({ subjects }) => subjects.map((subject) => subject['path']));
  return [...new Set(paths.filter((path): path is string => typeof path === 'string'))];
}

const patternsOf = (op: AskOperation): readonly string[] => op.parts.flatMap(({ patterns = [] }) => patterns);

function merged(rules: readonly MatchedRule[]): ShownRule[] {
  const byId = new Map<string, ShownRule>();
  for (const { id, policy, version, effect, reason, paths } of rules) {
    const key = `${policy} ${id}`;
    const known = byId.get(key);
    byId.set(key, { id, policy, version, effect, reason, paths: [...new Set([...(known?.paths ?? []), ...paths])] });
  }
  return [...byId.values()];
}

function union(requirements: Evaluation['requirements']): Evaluation['requirements'] {
  return [
    ...new Map(
      requirements.map((requirement) => [`${requirement.policy} ${requirement.ruleId}`, requirement]),
    ).values(),
  ];
}
