import type { Prisma, Run } from '../../generated/prisma/client.ts';
import { canonicalJson } from '../../platform/canonical.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import { demandMayActFor } from './access.ts';
import { type Heartbeat, type HeartbeatAnswer, recordHeartbeat, signalTo } from './heartbeat.ts';
import { stallSecondsOf } from './liveness.ts';
import { demandEpoch, lockRun, runFinished } from './locked-run.ts';
import { repoIdOf } from './loop-service.ts';
import { noRunObserver, type RunObserver } from './run-observer.ts';
import type { RunStatus } from './run-states.ts';
import { type NewRun, startRun } from './start-run.ts';
import {
  type IterationView,
  type RunOutcomeView,
  type RunView,
  viewIteration,
  viewRun,
  viewWholeRun,
  type WholeRunView,
} from './views.ts';

export interface RunQuery {
  readonly loopId?: string | undefined;
  readonly status?: RunStatus | undefined;
  readonly repo?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Runs: started, heard of, taken over, finished. Reads are for the whole org; the rest for the loop and its owner. */
export class RunService {
  readonly #db: Database;
  readonly #observer: RunObserver;

  constructor(db: Database, observer: RunObserver = noRunObserver) {
    this.#db = db;
    this.#observer = observer;
  }

  /** @throws Problem 404; 403 `not_your_run`; 409 `halted`, `max_parallel_runs`, `session_running` (with `runId`) */
  async start(
    principal: Principal,
    loopId: string,
    input: NewRun,
    idempotent: Idempotent | null,
  ): Promise<Answer<WholeRunView>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      const loop = await tx.db.loop.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: loopId } } });
      if (loop === null) throw notFound('loop');
      demandMayActFor(principal, { loopId, ownerId: loop.ownerId });
      const { run, started } = await startRun(tx, loopId, input);
      if (!started) throw conflict('session_running', 'This session has a run that goes on.', { runId: run.id });
      return { status: 201, body: await this.#whole(tx, run, tx.now) };
    });
  }

  /**
   * Records what a run reports and tells it whether to go on. A late epoch changes nothing, not even the run's leases.
   * @throws Problem 404; 403 `not_your_run`; 409 `epoch_stale`, `epoch_unknown`, `run_finished`
   */
  async heartbeat(principal: Principal, id: string, heartbeat: Heartbeat): Promise<HeartbeatAnswer> {
    return this.#db.write(principal, async (tx) => {
      const locked = await lockRun(tx, id, () => this.#observer.lockRepos(tx, id));
      demandEpoch(locked.run, heartbeat.epoch);
      if (locked.run.status === 'finished') throw runFinished();
      const notices = await this.#observer.onHeartbeat(tx, { id, repoIds: locked.repoIds, now: locked.now });
      const { iteration, usage } = await recordHeartbeat(tx, locked, heartbeat);
      const { signal, reasons } = await signalTo(tx, locked, iteration, usage);
      return { signal, reasons: [...reasons, ...notices], status: 'running' };
    });
  }

  /**
   * Ends a run. The same outcome again, in the same epoch, is answered as the first time.
   * @throws Problem 404; 403 `not_your_run`; 409 `epoch_stale`, `epoch_unknown`, `run_finished`
   */
  async finish(
    principal: Principal,
    id: string,
    { epoch, outcome }: { epoch: number; outcome: RunOutcomeView },
  ): Promise<WholeRunView> {
    return this.#db.write(principal, async (tx) => {
      const { run, now, repoIds } = await lockRun(tx, id, () => this.#observer.lockRepos(tx, id));
      demandEpoch(run, epoch);
      if (run.status === 'finished') {
        if (canonicalJson(run.outcome) !== canonicalJson(outcome)) throw runFinished();
        return this.#whole(tx, run, now);
      }
      const finished = await tx.db.run.update({
        where: { orgId_id: { orgId: tx.orgId, id } },
        data: { status: 'finished', outcome, endedAt: now, lastBeatAt: now },
      });
      await tx.db.iteration.updateMany({
        where: { orgId: tx.orgId, runId: id, endedAt: null },
        data: { endedAt: now },
      });
      await this.#observer.onFinish(tx, { id, repoIds, now });
      tx.emit(
        { kind: 'run.finished', subject: { kind: 'run', id }, data: { loopId: run.loopId, epoch, outcome } },
        now,
      );
      return this.#whole(tx, finished, now);
    });
  }

  /**
   * Takes a run over from a process that died: the epoch rises, and whoever still has the old one is late from now on.
   * @throws Problem 404; 403 `not_your_run`; 409 `run_finished`
   */
  async resume(principal: Principal, id: string): Promise<WholeRunView> {
    return this.#db.write(principal, async (tx) => {
      const { run, now, repoIds } = await lockRun(tx, id, () => this.#observer.lockRepos(tx, id));
      if (run.status === 'finished') throw runFinished();
      const epoch = run.epoch + 1;
      const resumed = await tx.db.run.update({
        where: { orgId_id: { orgId: tx.orgId, id } },
        data: { epoch, status: 'running', lastBeatAt: now },
      });
      await this.#observer.onResume(tx, { id, repoIds, now }, epoch);
      const data = { loopId: run.loopId, epoch, was: run.status };
      tx.emit({ kind: 'run.resumed', subject: { kind: 'run', id }, data }, now);
      // As with a halt: what the old epoch has asked for and is being decided now may not commit after this.
      tx.bump('haltEpoch');
      return this.#whole(tx, resumed, now);
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<WholeRunView> {
    return this.#db.read(principal, async (tx) => {
      const run = await tx.db.run.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
      if (run === null) throw notFound('run');
      return this.#whole(tx, run, tx.now);
    });
  }

  /** Newest first. */
  async list(principal: Principal, query: RunQuery): Promise<Page<RunView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const stallSeconds = await stallSecondsOf(tx);
      const repoId = query.repo === undefined ? undefined : await repoIdOf(tx, query.repo);
      if (repoId === null) return { items: [], nextCursor: null };
      const rows = await tx.db.run.findMany({
        where: {
          orgId: tx.orgId,
          ...(query.loopId === undefined ? {} : { loopId: query.loopId }),
          ...(repoId === undefined ? {} : { repoId }),
          ...(after === null ? {} : { id: { lt: String(after[0]) } }),
          ...whereStatus(query.status, tx.now, stallSeconds),
        },
        omit: { checkpoint: true },
        orderBy: { id: 'desc' },
        take: query.limit + 1,
      });
      return pageFrom(
        rows,
        query.limit,
        (run) => viewRun(run, tx.now, stallSeconds),
        (row) => [row.id],
      );
    });
  }

  /** In the order of their numbers. @throws Problem 404 */
  async listIterations(
    principal: Principal,
    id: string,
    query: { limit: number; cursor?: string | undefined },
  ): Promise<Page<IterationView>> {
    const after = decodeCursor(query.cursor, 'int');
    return this.#db.read(principal, async (tx) => {
      if ((await tx.db.run.count({ where: { orgId: tx.orgId, id } })) === 0) throw notFound('run');
      const rows = await tx.db.iteration.findMany({
        where: { orgId: tx.orgId, runId: id, ...(after === null ? {} : { number: { gt: Number(after[0]) } }) },
        orderBy: { number: 'asc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewIteration, (row) => [row.number]);
    });
  }

  async #whole(tx: Pick<OrgTx, 'db' | 'orgId'>, run: Run, now: Date): Promise<WholeRunView> {
    return viewWholeRun(run, now, await stallSecondsOf(tx));
  }
}

/** The rows that are shown with a status now, which a sweep may not have written yet. */
function whereStatus(status: RunStatus | undefined, now: Date, stallSeconds: number): Prisma.RunWhereInput {
  const silentSince = new Date(now.getTime() - stallSeconds * 1000);
  switch (status) {
    case undefined:
      return {};
    case 'running':
      return { status, lastBeatAt: { gt: silentSince } };
    case 'stalled':
      return { OR: [{ status }, { status: 'running', lastBeatAt: { lte: silentSince } }] };
    case 'finished':
      return { status };
  }
}
