import type { Loop, Run } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { demandMayActFor } from './access.ts';
import { checkEpoch } from './run-states.ts';

export interface LockedRun {
  readonly run: Run;
  readonly loop: Loop;
  /** The database's clock after the lock: what came first by it also committed first. */
  readonly now: Date;
  /** Of the repos that were locked before it. */
  readonly repoIds: readonly string[];
}

/**
 * Loads a run that the caller may act for, and locks its row. Who may not act is refused before anything is locked.
 * @param lockRepos takes the locks that come before the run's
 * @throws Problem 404; 403 `not_your_run`
 */
export async function lockRun(tx: OrgTx, id: string, lockRepos?: () => Promise<readonly string[]>): Promise<LockedRun> {
  const where = { orgId_id: { orgId: tx.orgId, id } };
  const { loop } = await findRun(tx, id);
  const repoIds = (await lockRepos?.()) ?? [];
  await tx.db.$queryRaw`SELECT 1 FROM run WHERE org_id = ${tx.orgId}::uuid AND id = ${id}::uuid FOR UPDATE`;
  const run = await tx.db.run.findUniqueOrThrow({ where });
  return { run, loop, now: await tx.clock(), repoIds };
}

/** @throws Problem 404; 403 `not_your_run` */
async function findRun(tx: OrgTx, id: string): Promise<{ run: Run; loop: Loop }> {
  const run = await tx.db.run.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
  if (run === null) throw notFound('run');
  const loop = await tx.db.loop.findUniqueOrThrow({ where: { orgId_id: { orgId: tx.orgId, id: run.loopId } } });
  demandMayActFor(tx.principal, { loopId: loop.id, ownerId: loop.ownerId });
  return { run, loop };
}

/** Who asks for something in a run's name. Without an epoch, any process of its loop does. */
export interface Speaker {
  readonly runId: string;
  readonly epoch?: number | undefined;
}

/**
 * Whether the caller speaks for a run that may still ask for something, as of now: nothing is locked.
 * @throws Problem 404; 403 `not_your_run`; 409 `epoch_stale`, `epoch_unknown`, `run_finished`
 */
export async function demandSpeaker(tx: OrgTx, { runId, epoch }: Speaker): Promise<void> {
  const { run } = await findRun(tx, runId);
  if (epoch !== undefined) demandEpoch(run, epoch);
  if (run.status === 'finished') throw runFinished();
}

/** @throws Problem 409 `epoch_stale` for a process that was replaced, `epoch_unknown` for an epoch never given out */
export function demandEpoch(run: Pick<Run, 'epoch'>, claimed: number): void {
  const check = checkEpoch(run.epoch, claimed);
  if (check.ok) return;
  throw conflict(check.code, `The run is in epoch ${run.epoch}; ${claimed} does not speak for it.`, {
    epoch: run.epoch,
  });
}

export const runFinished = () => conflict('run_finished', 'The run has finished.');
