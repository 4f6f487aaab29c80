import { Prisma } from '../../generated/prisma/client.ts';
import { canonicalDigest } from '../../platform/canonical.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { activeHalts, haltsOver } from '../budgets/index.ts';
import { teamIdsOf } from './access.ts';
import type { LoopDefinition } from './definition/index.ts';
import { BEAT_EVERY_SECONDS, revived } from './liveness.ts';
import type { LockedRun } from './locked-run.ts';
import { type GuardrailReason, guardrailSignal, type IterationFacts, type Signal } from './progress.ts';
import type { RunNotice } from './run-observer.ts';
import type { Usage } from './views.ts';

export interface Heartbeat {
  readonly epoch: number;
  /** The round that the run is in, from 1. */
  readonly iteration?: number | undefined;
  /** Totals of the run so far, not what was used since the last heartbeat: so a repeated one counts once. */
  readonly usage?: Usage | undefined;
  /** Undefined leaves it; null is a value like any other. */
  readonly checkpoint?: unknown;
  readonly treeHash?: string | undefined;
  readonly failingChecks?: readonly string[] | undefined;
}

export interface HeartbeatAnswer {
  signal: Signal;
  reasons: { code: GuardrailReason['code'] | RunNotice['code'] | 'halted'; detail: string }[];
  status: 'running';
}

type Facts = Omit<IterationFacts, 'number'>;

/** More rounds than this without progress are not told apart. */
const MOST_ROUNDS_COMPARED = 2000;

/** Writes what a run of the current epoch reports; its usage and its latest round afterwards. */
export async function recordHeartbeat(
  tx: OrgTx,
  { run, now }: LockedRun,
  heartbeat: Heartbeat,
): Promise<{ iteration: number; usage: Usage }> {
  const iteration = Math.max(run.iteration, heartbeat.iteration ?? 0);
  const usage = mergeUsage(run.usage as Usage, heartbeat.usage ?? {});
  await recordIteration(tx, { run, now }, heartbeat);
  const reported = [heartbeat.usage, heartbeat.checkpoint].some((part) => part !== undefined);
  const isDue = now.getTime() - run.lastBeatAt.getTime() >= BEAT_EVERY_SECONDS * 1000;
  if (reported || isDue || run.status === 'stalled' || iteration > run.iteration) {
    const { checkpoint } = heartbeat;
    await tx.db.run.update({
      where: { orgId_id: { orgId: tx.orgId, id: run.id } },
      data: {
        iteration,
        usage,
        status: 'running',
        lastBeatAt: now,
        ...(checkpoint === undefined ? {} : { checkpoint: storable(checkpoint) }),
      },
      select: { id: true },
    });
  }
  if (run.status === 'stalled') tx.emit(revived(run.id), now);
  if (iteration > run.iteration) {
    const data = { loopId: run.loopId, iteration };
    tx.emit({ kind: 'run.iteration_started', subject: { kind: 'run', id: run.id }, data }, now);
  }
  return { iteration, usage };
}

/** Totals only grow: a report that was overtaken by a later one takes nothing back. */
function mergeUsage(known: Usage, reported: Usage): Usage {
  const most = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
  const merged = {
    inputTokens: most(known.inputTokens, reported.inputTokens),
    outputTokens: most(known.outputTokens, reported.outputTokens),
    costUsd: most(known.costUsd, reported.costUsd),
    model: reported.model ?? known.model,
  };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
}

/**
 * Adds to what is known of the round named, else of the current one. Before the first round that is row 0: the state
 * that the run began with, which its first round is compared with.
 */
async function recordIteration(tx: OrgTx, { run, now }: Pick<LockedRun, 'run' | 'now'>, heartbeat: Heartbeat) {
  const facts = factsOf(heartbeat);
  if (heartbeat.iteration === undefined && Object.keys(facts).length === 0) return;
  const number = heartbeat.iteration ?? run.iteration;
  const endedAt = number < run.iteration ? now : null;
  await tx.db.$executeRaw`
    INSERT INTO iteration (org_id, run_id, number, started_at, ended_at, facts)
    VALUES (${tx.orgId}::uuid, ${run.id}::uuid, ${number}::int, ${now}, ${endedAt}, ${JSON.stringify(facts)}::jsonb)
    ON CONFLICT (org_id, run_id, number) DO UPDATE SET facts = iteration.facts || excluded.facts`;
  if (number <= run.iteration) return;
  await tx.db.iteration.updateMany({
    where: { orgId: tx.orgId, runId: run.id, number: { lt: number }, endedAt: null },
    data: { endedAt: now },
  });
}

function factsOf({ treeHash, failingChecks, checkpoint }: Heartbeat): Facts {
  return {
    ...(treeHash === undefined ? {} : { treeHash }),
    ...(failingChecks === undefined ? {} : { failingChecks: [...new Set(failingChecks)].toSorted() }),
    ...(checkpoint === undefined ? {} : { checkpointDigest: canonicalDigest(checkpoint).toString('hex') }),
  };
}

function storable(checkpoint: unknown): Prisma.InputJsonValue | typeof Prisma.JsonNull {
  return checkpoint === null ? Prisma.JsonNull : (checkpoint as Prisma.InputJsonValue);
}

/**
 * What the run is told: a halt over it stops it whatever else holds; else its loop's guardrails speak, as the loop is
 * registered now, so that a person who raises a budget need not restart the run.
 */
export async function signalTo(
  tx: OrgTx,
  { run, loop, now }: LockedRun,
  iteration: number,
  usage: Usage,
): Promise<Pick<HeartbeatAnswer, 'signal' | 'reasons'>> {
  const target = { teamIds: await teamIdsOf(tx, loop), repoId: run.repoId, loopId: loop.id };
  const halts = haltsOver(await activeHalts(tx), target);
  const { guardrails } = loop.definition as LoopDefinition;
  const rail = guardrailSignal({
    guardrails,
    iterations: [{ number: iteration }, ...(await recentRounds(tx, run.id, guardrails))],
    usage: { costUsd: usage.costUsd ?? 0, tokens: (usage.inputTokens ?? 0) + (usage.outputTokens ?? 0) },
    startedAt: run.startedAt,
    now,
  });
  const halted = halts.map(({ scopeKind, reason }) => ({ code: 'halted' as const, detail: `${scopeKind}: ${reason}` }));
  return { signal: halts.length > 0 ? 'stop' : rail.signal, reasons: [...halted, ...rail.reasons] };
}

/** Enough of the latest rounds that said anything to judge `no_progress` by; none where the loop does not ask for it. */
async function recentRounds(
  tx: OrgTx,
  runId: string,
  guardrails: LoopDefinition['guardrails'],
): Promise<IterationFacts[]> {
  const limits = (guardrails?.haltOn ?? []).flatMap((it) => (it.kind === 'no_progress' ? [it.rounds] : []));
  if (limits.length === 0) return [];
  // Rounds may report one measure and then the other; twice as many, and some, have enough of both.
  const take = Math.min(MOST_ROUNDS_COMPARED, 2 * Math.min(...limits) + 50);
  const rows = await tx.db.iteration.findMany({
    where: { orgId: tx.orgId, runId, facts: { not: {} } },
    orderBy: { number: 'desc' },
    take,
  });
  return rows.map((row) => ({ ...(row.facts as Facts), number: row.number }));
}
