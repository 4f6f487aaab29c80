import { z } from 'zod';
import type { Iteration, Loop, Run } from '../../generated/prisma/client.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { guardrailsSchema, type LoopDefinition, loopDefinitionSchema } from './definition/index.ts';
import { RUN_OUTCOMES, RUN_STATUSES, type RunStatus, statusAt } from './run-states.ts';

const definitionShape = loopDefinitionSchema.shape;

/** As callers send it. */
export const epochNumber = () =>
  z
    .int()
    .min(1)
    .max(2 ** 31 - 1);

export const loopView = z
  .object({
    id: uuid(),
    name: z.string(),
    repo: z.string(),
    repoId: uuid(),
    version: z.int(),
    digest: z.string().describe('Hex SHA-256 of the definition in its normal form.'),
    owner: z.object({ kind: z.enum(['member', 'key']), id: uuid() }),
    teamId: uuid().nullable(),
    labels: z.record(z.string(), z.string()),
    guardrails: guardrailsSchema.nullable(),
    trigger: definitionShape.trigger.unwrap().nullable(),
    scope: z.array(z.string()).nullable(),
    definition: loopDefinitionSchema,
    createdAt: time(),
    updatedAt: time(),
  })
  .meta({ id: 'Loop' });

export const registeredLoopView = loopView
  .extend({
    warnings: z.array(z.object({ code: z.string(), path: z.string(), line: z.int().nullable(), reason: z.string() })),
  })
  .meta({ id: 'RegisteredLoop' });

export type LoopView = z.output<typeof loopView>;
export type RegisteredLoopView = z.output<typeof registeredLoopView>;

export function viewLoop(loop: Loop, repo: string): LoopView {
  const definition = loop.definition as LoopDefinition;
  return {
    id: loop.id,
    name: loop.name,
    repo,
    repoId: loop.repoId,
    version: loop.version,
    digest: loop.digest,
    owner: { kind: loop.ownerKind as 'member' | 'key', id: loop.ownerId },
    teamId: loop.teamId,
    labels: definition.labels ?? {},
    guardrails: definition.guardrails ?? null,
    trigger: definition.trigger ?? null,
    scope: definition.scope ?? null,
    definition,
    createdAt: loop.createdAt.toISOString(),
    updatedAt: loop.updatedAt.toISOString(),
  };
}

const tokens = z.int().min(0);

/** Totals of a run so far; a field that was never reported is absent. */
export const usageSchema = z
  .object({
    inputTokens: tokens.optional(),
    outputTokens: tokens.optional(),
    costUsd: z.number().min(0).max(1_000_000_000).optional(),
    model: z.string().optional().describe('The one reported last.'),
  })
  .meta({ id: 'Usage' });

export type Usage = z.output<typeof usageSchema>;

export const outcomeView = z.object({ status: z.enum(RUN_OUTCOMES), summary: z.string().nullable() });

export type RunOutcomeView = z.output<typeof outcomeView>;

export const runView = z
  .object({
    id: uuid(),
    loopId: uuid(),
    loopVersion: z.int(),
    repoId: uuid(),
    epoch: z.int().describe('Which process speaks for the run: a resume raises it, and lower ones are refused.'),
    status: z.enum(RUN_STATUSES),
    trigger: z.string().nullable(),
    branch: z.string().nullable(),
    worktree: z.string().nullable(),
    sessionId: z.string().nullable(),
    traceparent: z.string().describe('W3C trace context: the parent for the spans of this run.'),
    iteration: z.int().describe('The latest round reported; 0 before the first.'),
    usage: usageSchema,
    outcome: outcomeView.nullable(),
    startedBy: uuid(),
    startedAt: time(),
    lastBeatAt: time().describe('To a few seconds.'),
    endedAt: time().nullable(),
  })
  .meta({ id: 'Run' });

/** One run, with what only it can use: its checkpoint can be 64 KiB, which would swell a list. */
export const wholeRunView = runView
  .extend({ checkpoint: z.unknown().describe('As the run reported it last; null before that.') })
  .meta({ id: 'WholeRun' });

export type RunView = z.output<typeof runView>;
export type WholeRunView = RunView & { checkpoint: unknown };

/** A run as of `now`: silent for `stallSeconds` is stalled, whether or not a sweep has come by. */
export function viewRun(run: Omit<Run, 'checkpoint'>, now: Date, stallSeconds: number): RunView {
  return {
    id: run.id,
    loopId: run.loopId,
    loopVersion: run.loopVersion,
    repoId: run.repoId,
    epoch: run.epoch,
    status: statusAt({ status: run.status as RunStatus, lastBeatAt: run.lastBeatAt }, now, stallSeconds),
    trigger: run.trigger,
    branch: run.branch,
    worktree: run.worktree,
    sessionId: run.sessionId,
    traceparent: run.traceparent,
    iteration: run.iteration,
    usage: run.usage as Usage,
    outcome: run.outcome as RunOutcomeView | null,
    startedBy: run.startedBy,
    startedAt: run.startedAt.toISOString(),
    lastBeatAt: run.lastBeatAt.toISOString(),
    endedAt: run.endedAt?.toISOString() ?? null,
  };
}

export function viewWholeRun(run: Run, now: Date, stallSeconds: number): WholeRunView {
  return { ...viewRun(run, now, stallSeconds), checkpoint: run.checkpoint };
}

export const iterationView = z
  .object({
    number: z.int().describe('From 1; 0 is the state that the run began with, if it reported one.'),
    startedAt: time(),
    endedAt: time().nullable(),
    treeHash: z.string().nullable(),
    checkpointDigest: z.string().nullable().describe('Hex SHA-256 of the canonical JSON of its last checkpoint.'),
    failingChecks: z.array(z.string()).nullable().describe('Null where the round said nothing of checks.'),
  })
  .meta({ id: 'Iteration' });

export type IterationView = z.output<typeof iterationView>;

export function viewIteration(iteration: Iteration): IterationView {
  const facts = iteration.facts as Partial<IterationView>;
  return {
    number: iteration.number,
    startedAt: iteration.startedAt.toISOString(),
    endedAt: iteration.endedAt?.toISOString() ?? null,
    treeHash: facts.treeHash ?? null,
    checkpointDigest: facts.checkpointDigest ?? null,
    failingChecks: facts.failingChecks ?? null,
  };
}
