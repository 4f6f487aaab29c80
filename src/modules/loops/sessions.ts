import { Prisma } from '../../generated/prisma/client.ts';
import type { Database, OrgTx } from '../../platform/database/database.ts';
import { forbidden } from '../../platform/errors.ts';
import { type Principal, principalId } from '../../platform/principal.ts';
import { recordHeartbeat } from './heartbeat.ts';
import { BEAT_EVERY_SECONDS, beat } from './liveness.ts';
import { lockRun } from './locked-run.ts';
import { readDefinition } from './loop-service.ts';
import { registerLoop } from './registry.ts';
import { startRun } from './start-run.ts';

/** The loop of agent sessions whose configuration names none. */
const SESSION_LOOP = 'sessions';

export interface Session {
  /** A repo's name; it is registered on first use. */
  readonly repo: string;
  /** Null: the loop that the key is bound to, else `SESSION_LOOP`. */
  readonly loopName: string | null;
  readonly sessionId: string;
  readonly trigger: string;
  readonly worktree?: string | undefined;
  readonly branch?: string | undefined;
}

export interface SessionRun {
  readonly run: {
    readonly id: string;
    readonly epoch: number;
    readonly traceparent: string;
    /** The latest round; 0 before the first. */
    readonly iteration: number;
    /** Where the session was when its run started. */
    readonly worktree: string | null;
  };
  readonly loop: { readonly id: string; readonly name: string; readonly ownerId: string };
  /** Whether this very call started the run. */
  readonly started: boolean;
}

interface Found {
  readonly loop_id: string;
  readonly loop_name: string;
  readonly owner_id: string;
  readonly repo_name: string;
  readonly run_id: string | null;
  readonly epoch: number;
  readonly traceparent: string;
  readonly iteration: number;
  readonly worktree: string | null;
  readonly beat_due: boolean;
}

/** Runs of agent sessions, which hooks name by the session's id alone. */
export class SessionRuns {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * The live run of a session, started now if there is none, of a loop that is registered now if there is none. A loop
   * that exists stays as it is. Every call is a beat. Concurrent first calls of one session get one run.
   * @throws Problem 403 `not_your_loop`; 409 `halted`, `max_parallel_runs` when a run would have to start; 422 `loop_invalid`
   */
  async runOfSession(principal: Principal, session: Session): Promise<SessionRun> {
    // Nearly every call ends here: one statement, nothing written.
    const found = await this.#db.read(principal, (tx) => find(tx, session));
    if (found !== null && found.run_id !== null && !found.beat_due) return sessionRun(found, found.run_id);
    return this.#db.write(principal, async (tx) => takeOrStart(tx, session));
  }

  /** The live run of a session, or null; starts nothing and is no beat. @throws Problem 403 `not_your_loop` */
  async liveRunOf(principal: Principal, session: Session): Promise<SessionRun | null> {
    const found = await this.#db.read(principal, (tx) => find(tx, session));
    return found === null || found.run_id === null ? null : sessionRun(found, found.run_id);
  }

  /**
   * Ends the round that a run is in. Its leases stay as they are: an agent that stopped may wait for a person for long,
   * and must not keep others out meanwhile. A round that nobody announced is counted now.
   * @param data what the log should say of the end besides; no secret
   * @returns the round that ended; null if the run has finished
   */
  async endIteration(
    principal: Principal,
    runId: string,
    data: Readonly<Record<string, unknown>> = {},
  ): Promise<number | null> {
    return this.#db.write(principal, async (tx) => {
      const locked = await lockRun(tx, runId);
      const { run, now } = locked;
      if (run.status === 'finished') return null;
      const key = { orgId: tx.orgId, runId, number: run.iteration };
      const current = await tx.db.iteration.findUnique({ where: { orgId_runId_number: key } });
      const isOpen = run.iteration > 0 && current?.endedAt == null;
      const number = isOpen ? run.iteration : run.iteration + 1;
      await recordHeartbeat(tx, locked, { epoch: run.epoch, iteration: number });
      await tx.db.iteration.updateMany({ where: { ...key, number }, data: { endedAt: now } });
      const subject = { kind: 'run', id: runId };
      tx.emit({ kind: 'run.iteration_ended', subject, data: { loopId: run.loopId, iteration: number, ...data } }, now);
      return number;
    });
  }
}

async function takeOrStart(tx: OrgTx, session: Session): Promise<SessionRun> {
  const known = await find(tx, session);
  if (known !== null && known.run_id !== null) {
    await beat(tx, known.run_id);
    return sessionRun(known, known.run_id);
  }
  const loop = known === null ? await registerSessionLoop(tx, session) : loopOf(known);
  const { run, started } = await startRun(tx, loop.id, {
    trigger: session.trigger,
    branch: session.branch ?? null,
    worktree: session.worktree ?? null,
    sessionId: session.sessionId,
  });
  const { id, epoch, traceparent, iteration, worktree } = run;
  return { run: { id, epoch, traceparent, iteration, worktree }, loop, started };
}

type ReadTx = Pick<OrgTx, 'db' | 'orgId' | 'principal'>;

/** @throws Problem 403 `not_your_loop` when the key is bound to another loop than the session names */
async function find(tx: ReadTx, { repo, loopName, sessionId }: Session): Promise<Found | null> {
  const { principal } = tx;
  const isTheLoop =
    principal.loopId === null
      ? Prisma.sql`l.owner_id = ${principalId(principal)}::uuid AND o.name = ${repo} AND l.name = ${loopName ?? SESSION_LOOP}`
      : Prisma.sql`l.id = ${principal.loopId}::uuid`;
  const [found] = await tx.db.$queryRaw<Found[]>`
    SELECT l.id AS loop_id, l.name AS loop_name, l.owner_id, o.name AS repo_name, r.id AS run_id, r.epoch, r.traceparent, r.iteration, r.worktree,
      (r.status = 'stalled' OR r.last_beat_at <= clock_timestamp() - make_interval(secs => ${BEAT_EVERY_SECONDS}::int)) AS beat_due
    FROM loop l
    JOIN repo o ON o.org_id = l.org_id AND o.id = l.repo_id
    LEFT JOIN run r ON r.org_id = l.org_id AND r.loop_id = l.id AND r.session_id = ${sessionId} AND r.ended_at IS NULL
    WHERE l.org_id = ${tx.orgId}::uuid AND ${isTheLoop}`;
  if (found === undefined) return null;
  const isNamed = loopName === null || loopName === found.loop_name;
  if (principal.loopId !== null && !(isNamed && found.repo_name === repo)) {
    throw forbidden(`This key is bound to another loop, ${found.loop_name}.`, 'not_your_loop');
  }
  return found;
}

async function registerSessionLoop(tx: OrgTx, { repo, loopName }: Session): Promise<SessionRun['loop']> {
  const { definition } = readDefinition({ value: { name: loopName ?? SESSION_LOOP } }, repo);
  const { loop } = await registerLoop(tx, definition, 'keep');
  return { id: loop.id, name: loop.name, ownerId: loop.ownerId };
}

function loopOf(found: Found): SessionRun['loop'] {
  return { id: found.loop_id, name: found.loop_name, ownerId: found.owner_id };
}

function sessionRun(found: Found, runId: string): SessionRun {
  const { epoch, traceparent, iteration, worktree } = found;
  const run = { id: runId, epoch, traceparent, iteration, worktree };
  return { run, loop: loopOf(found), started: false };
}
