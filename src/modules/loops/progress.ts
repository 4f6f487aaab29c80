import type { Guardrails } from './definition/index.ts';
import { formatMicros, microsOfAmount, microsOfCost } from './definition/money.ts';

/**
 * What is known of one round, the first being number 1. `treeHash` or `checkpointDigest` is the state at the round's
 * end, and `failingChecks` the names of what failed then; a round that still runs has neither.
 */
export interface IterationFacts {
  number: number;
  treeHash?: string | undefined;
  checkpointDigest?: string | undefined;
  failingChecks?: readonly string[] | undefined;
}

export interface GuardrailInput {
  guardrails: Guardrails | undefined;
  /** Recent rounds in any order; of several facts about one round the last one counts. */
  iterations: readonly IterationFacts[];
  /** Of this run so far. USD as a number, or as the decimal that PostgreSQL prints. */
  usage: { costUsd: number | string; tokens: number };
  startedAt: Date;
  now: Date;
}

export type Signal = 'continue' | 'pause' | 'stop';

export interface GuardrailReason {
  code: 'max_iterations_exceeded' | 'max_duration_reached' | 'no_progress' | 'run_budget_reached';
  detail: string;
}

interface Finding extends GuardrailReason {
  signal: 'pause' | 'stop';
}

/**
 * What a loop's own guardrails say to its run, at a heartbeat and before an action. All reasons are told, and the
 * strictest decides. A spent budget only pauses, since a person may raise it; the others stop. Budgets per day and
 * month span runs, and are the budgets module's to judge.
 */
export function guardrailSignal(input: GuardrailInput): { signal: Signal; reasons: GuardrailReason[] } {
  const guardrails = input.guardrails ?? {};
  const findings = [
    iterationsFinding(guardrails, input.iterations),
    durationFinding(guardrails, input),
    ...noProgressFindings(guardrails, input.iterations),
    budgetFinding(guardrails, input.usage),
  ].filter((finding) => finding !== undefined);
  const reasons = findings.map(({ code, detail }) => ({ code, detail }));
  if (findings.some((finding) => finding.signal === 'stop')) return { signal: 'stop', reasons };
  return { signal: findings.length > 0 ? 'pause' : 'continue', reasons };
}

function iterationsFinding({ maxIterations }: Guardrails, iterations: GuardrailInput['iterations']) {
  const reached = iterations.reduce((highest, { number }) => Math.max(highest, number), 0);
  if (maxIterations === undefined || reached <= maxIterations) return undefined;
  return stop('max_iterations_exceeded', `iteration ${reached} of at most ${maxIterations}`);
}

function durationFinding({ maxDurationSeconds }: Guardrails, { startedAt, now }: GuardrailInput) {
  const seconds = Math.floor((now.getTime() - startedAt.getTime()) / 1000);
  if (maxDurationSeconds === undefined || seconds < maxDurationSeconds) return undefined;
  return stop('max_duration_reached', `running for ${seconds} s of at most ${maxDurationSeconds} s`);
}

function budgetFinding({ budgets }: Guardrails, { costUsd }: GuardrailInput['usage']): Finding | undefined {
  const budget = budgets?.find(({ per }) => per === 'run');
  const limit = budget && microsOfAmount(budget.usd);
  if (limit === undefined) return undefined;
  const spent = microsOfCost(costUsd);
  if (spent < limit) return undefined;
  const detail = `spent ${formatMicros(spent)} USD of ${formatMicros(limit)} USD for a run`;
  return { signal: 'pause', code: 'run_budget_reached', detail };
}

function stop(code: GuardrailReason['code'], detail: string): Finding {
  return { signal: 'stop', code, detail };
}

/** Two measures, each on its own: an agent that keeps rewriting files while the same checks fail is stuck as well. */
function noProgressFindings({ haltOn }: Guardrails, iterations: GuardrailInput['iterations']): Finding[] {
  const limits = (haltOn ?? []).flatMap((condition) => (condition.kind === 'no_progress' ? [condition.rounds] : []));
  if (limits.length === 0) return [];
  const limit = Math.min(...limits);
  const rounds = inOrder(iterations);
  return [
    { rounds: unchangedRounds(rounds.map(stateOf)), what: 'the same tree or checkpoint' },
    { rounds: unchangedRounds(rounds.map(failuresOf)), what: 'the same failing checks' },
  ]
    .filter(({ rounds: unchanged }) => unchanged >= limit)
    .map(({ rounds: unchanged, what }) => stop('no_progress', `${what} for ${unchanged} rounds in a row`));
}

function inOrder(iterations: GuardrailInput['iterations']): IterationFacts[] {
  const byNumber = new Map(iterations.map((facts) => [facts.number, facts]));
  return [...byNumber.values()].toSorted((a, b) => a.number - b.number);
}

/**
 * How many of the latest rounds ended as the round before them did. n of them take n + 1 equal states: the first one
 * is what they are compared with. A round that reported nothing is skipped: else saying less would be a way around.
 */
function unchangedRounds(states: readonly (string | undefined)[]): number {
  const known = states.filter((state) => state !== undefined);
  const changedAt = known.findLastIndex((state) => state !== known.at(-1));
  return Math.max(0, known.length - changedAt - 2);
}

function stateOf({ treeHash, checkpointDigest }: IterationFacts): string | undefined {
  if (treeHash !== undefined) return `tree ${treeHash}`;
  return checkpointDigest === undefined ? undefined : `checkpoint ${checkpointDigest}`;
}

/** As a set. That nothing fails, round after round, is no lack of progress, but it ends a row of failures. */
function failuresOf({ number, failingChecks }: IterationFacts): string | undefined {
  if (failingChecks === undefined) return undefined;
  return failingChecks.length === 0 ? `none in ${number}` : JSON.stringify([...new Set(failingChecks)].toSorted());
}
