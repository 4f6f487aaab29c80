import { randomBytes } from 'node:crypto';
import type { Loop, Run } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { newId } from '../../platform/ids.ts';
import { principalId } from '../../platform/principal.ts';
import { activeHalts, haltsOver } from '../budgets/index.ts';
import { teamIdsOf } from './access.ts';
import type { LoopDefinition } from './definition/index.ts';
import { stallSecondsOf } from './liveness.ts';

export interface NewRun {
  readonly trigger: string | null;
  readonly branch: string | null;
  readonly worktree: string | null;
  readonly sessionId: string | null;
}

/**
 * Starts a run of a loop that the caller may act for, or finds the live one of the same session. The loop's row is
 * locked first, so that runs are counted one by one, and of two first calls of one session the second finds what the
 * first one started; behind that lock stands a unique index.
 * @throws Problem 404; 409 `halted`, `max_parallel_runs`
 */
export async function startRun(tx: OrgTx, loopId: string, input: NewRun): Promise<{ run: Run; started: boolean }> {
  const loop = await lockLoop(tx, loopId);
  const live = await liveRunOf(tx, loopId, input.sessionId);
  if (live !== null) return { run: live, started: false };
  await demandNoHalt(tx, loop);
  await demandRoom(tx, loop);
  return { run: await insertRun(tx, loop, input), started: true };
}

/** W3C trace context with fresh ids, sampled. */
function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}

async function lockLoop(tx: OrgTx, id: string): Promise<Loop> {
  await tx.db.$queryRaw`SELECT 1 FROM loop WHERE org_id = ${tx.orgId}::uuid AND id = ${id}::uuid FOR UPDATE`;
  const loop = await tx.db.loop.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
  if (loop === null) throw notFound('loop');
  return loop;
}

async function liveRunOf(tx: OrgTx, loopId: string, sessionId: string | null): Promise<Run | null> {
  if (sessionId === null) return null;
  return tx.db.run.findFirst({ where: { orgId: tx.orgId, loopId, sessionId, endedAt: null } });
}

async function demandNoHalt(tx: OrgTx, loop: Loop): Promise<void> {
  const target = { teamIds: await teamIdsOf(tx, loop), repoId: loop.repoId, loopId: loop.id };
  const [halt] = haltsOver(await activeHalts(tx), target);
  if (halt !== undefined) {
    throw conflict('halted', `Halted (${halt.scopeKind}): ${halt.reason}`, { haltId: halt.id });
  }
}

/** A stalled run takes no room: its process may be gone for good, and the loop must be able to go on without it. */
async function demandRoom(tx: OrgTx, loop: Loop): Promise<void> {
  const limit = (loop.definition as LoopDefinition).guardrails?.maxParallelRuns;
  if (limit === undefined) return;
  const silentSince = new Date(tx.now.getTime() - (await stallSecondsOf(tx)) * 1000);
  const running = await tx.db.run.count({
    where: { orgId: tx.orgId, loopId: loop.id, status: 'running', lastBeatAt: { gt: silentSince } },
  });
  if (running < limit) return;
  throw conflict('max_parallel_runs', `The loop has ${running} of at most ${limit} runs at a time.`);
}

async function insertRun(tx: OrgTx, loop: Loop, input: NewRun): Promise<Run> {
  const now = await tx.clock();
  const run = await tx.db.run.create({
    data: {
      ...input,
      orgId: tx.orgId,
      id: newId(),
      loopId: loop.id,
      loopVersion: loop.version,
      repoId: loop.repoId,
      epoch: 1,
      status: 'running',
      traceparent: newTraceparent(),
      startedBy: principalId(tx.principal),
      startedAt: now,
      lastBeatAt: now,
    },
  });
  const { trigger, branch, sessionId } = input;
  const data = { loopId: loop.id, loopVersion: loop.version, repoId: loop.repoId, trigger, branch, sessionId };
  tx.emit({ kind: 'run.started', subject: { kind: 'run', id: run.id }, data });
  return run;
}
