import type { Logger } from 'pino';
import { Prisma } from '../../../generated/prisma/client.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Database } from '../../../platform/database/database.ts';
import { Problem } from '../../../platform/errors.ts';
import { systemPrincipal } from '../../../platform/principal.ts';
import { RecentMap } from '../../../platform/recent-map.ts';
import type { SettledWatch } from '../../../platform/settled-watch.ts';
import { isLoopHalted } from '../../loops/index.ts';
import type { CancelOperation, LeaseChanges, LeaseQueue } from '../operation.ts';
import { lockDelayOf, type ReadTx } from '../service.ts';
import { Alarm } from './alarm.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { watches, youngestInCycles } from './standstill.ts';
import type { Waiter } from './waiter.ts';

const heldWaiter = Prisma.raw(HELD_WAITER);
const aheadIsHalted = Prisma.raw(isLoopHalted('ao'));
/** Of a waiter `w` of a loop `o`: by its loop, a team, its repo or the org. */
const isHalted =
  Prisma.raw(`(${isLoopHalted('o')} OR EXISTS (SELECT FROM halt h WHERE h.org_id = w.org_id AND h.lifted_at IS NULL
  AND (h.scope_kind = 'org' OR h.scope_kind = 'repo' AND h.scope_id = w.repo_id)))`);

/** Waiters looked at in one go; what is left is looked at right after. */
const LOOK_SIZE = 200;
/** Looks of a sweep: who has more waiters that nobody can let in, as under a halt, is gone through in several. */
const LOOKS = 10;
const ORGS = 10_000;
/** An alarm rings once the lock delay is surely over, by the database's clock. */
const MARGIN_MS = 5;
/** Settled tickets are told for so long: `chores_due` has it too. */
export const KEPT_HOURS = 48;
const PURGE_SIZE = 1000;

interface Deps {
  readonly db: Database;
  readonly queue: LeaseQueue;
  readonly watch: SettledWatch;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Sees to it that waiters get their turn. Each watches one lease or waiter in its way; when that is gone, whoever made it
 * go has those who watched it looked at again, in order. A server that dies in between leaves that to the sweep of any
 * other. Where a lease simply expires, an alarm rings on the server on which somebody last began to watch it.
 */
export class WaitingLine {
  readonly #deps: Deps;
  readonly #alarm: Alarm;
  /** By org, while a look is under way: what was freed since it began. */
  readonly #gathered = new Map<string, Set<string>>();
  /** By org: the seq up to which a sweep has looked. */
  readonly #reached = new RecentMap<number>(ORGS);
  /** By org: tickets that the last sweep found in a cycle. */
  readonly #stuck = new RecentMap<ReadonlySet<string>>(ORGS);

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#alarm = new Alarm(deps.clock, (orgId, leaseId) => this.freed(orgId, [leaseId]));
  }

  close(): void {
    this.#alarm.close();
  }

  /** After a commit of this server's batches. */
  changed({ orgId, ended, someWait, settled, watched }: Omit<LeaseChanges, 'granted'>): void {
    for (const { ticketId } of settled) this.#deps.watch.wake(orgId, ticketId);
    for (const { leaseId, freeInMs } of watched) this.#alarm.ring(orgId, leaseId, freeInMs + MARGIN_MS);
    // Behind a granted ticket stands its lease already; behind one that was given up, whoever watched it.
    const gone = settled.filter(({ granted }) => !granted).map(({ ticketId }) => ticketId);
    // What was taken back from a run it cannot get by a ticket either: kept, that would only be in everybody's way.
    const barred = ended.filter(({ revoked }) => revoked !== null).map(({ runId }) => runId);
    if (someWait) this.freed(orgId, [...ended.map(({ id }) => id), ...gone, ...barred]);
  }

  /**
   * Has those looked at who watch these leases or tickets, or are of these runs. One look at a time in an org: the next takes
   * what gathered.
   */
  freed(orgId: string, ids: readonly string[]): void {
    if (ids.length === 0) return;
    const gathered = this.#gathered.get(orgId);
    if (gathered !== undefined) {
      for (const id of ids) gathered.add(id);
      return;
    }
    this.#gathered.set(orgId, new Set(ids));
    void this.#lookWhileAnyAreFreed(orgId);
  }

  async #lookWhileAnyAreFreed(orgId: string): Promise<void> {
    for (let ids = this.#take(orgId); ids.length > 0; ids = this.#take(orgId)) {
      await this.#lookAtWatchers(orgId, ids).catch((error: unknown) =>
        this.#deps.logger.warn({ err: error, orgId }, 'waiters not looked at; the next sweep does'),
      );
    }
    this.#gathered.delete(orgId);
  }

  #take(orgId: string): string[] {
    const ids = [...(this.#gathered.get(orgId) ?? [])];
    this.#gathered.set(orgId, new Set());
    return ids;
  }

  async #lookAtWatchers(orgId: string, ids: readonly string[]): Promise<void> {
    for (let after = 0; ; ) {
      const rows = await this.#deps.db.read(
        systemPrincipal(orgId),
        (tx) => tx.db.$queryRaw<WaiterRow[]>`${heldWaiter}
          WHERE w.org_id = ${orgId}::uuid AND (w.blocked_by = ANY (${ids}::uuid[]) OR w.run_id = ANY (${ids}::uuid[]))
            AND w.status = 'waiting' AND w.seq > ${after}
          ORDER BY w.seq LIMIT ${LOOK_SIZE}`,
      );
      await this.#lookAt(rows.map((row) => toWaiter(orgId, row)));
      if (rows.length < LOOK_SIZE) return;
      after = Number(rows.at(-1)!.seq);
    }
  }

  /** In the order of their places; they meet in one batch. */
  async #lookAt(waiters: readonly Waiter[]): Promise<void> {
    const { queue, watch } = this.#deps;
    await Promise.all(
      waiters.map(async (ticket) => {
        const { id: ticketId, principal, runId, repoId, repo } = ticket;
        await queue
          .submit({
            kind: 'promote',
            principal,
            idempotent: null,
            ticketId,
            repo: { id: repoId, name: repo },
            runId,
            wanted: ticket,
          })
          .catch((error: unknown) => {
            // Each look would be as long, and find as little; and it is in the way of all who stand behind it.
            if (!isTooIntricate(error)) throw error;
            return this.#end(principal.orgId, ticketId, 'too_intricate');
          });
        // An admission whose way is free settles itself, once it is told.
        if (ticket.kind === 'admission') watch.wake(ticket.principal.orgId, ticket.id);
      }),
    );
  }

  /** Something else has changed who may have its turn: a halt was set, or lifted. */
  lookAgain(orgId: string): void {
    void this.#lookAtDue(orgId).catch((error: unknown) =>
      this.#deps.logger.warn({ err: error, orgId }, 'waiters not looked at; the next sweep does'),
    );
  }

  /**
   * The net under all that: looks at every waiter whose way seems free, ends places and tickets that nobody will ask for,
   * and forgets old ones. Breaks up what has come to a standstill. Of an org in which nobody waits it costs one look.
   */
  async sweep(orgId: string): Promise<void> {
    const { abandoned, old } = await this.#deps.db.read(systemPrincipal(orgId), async (tx) => ({
      abandoned: await abandonedTickets(tx),
      old: await oldTickets(tx),
    }));
    await Promise.all(abandoned.map((ticketId) => this.#end(orgId, ticketId)));
    await this.#breakCycles(orgId);
    if (old.length > 0) {
      await this.#deps.db.write(systemPrincipal(orgId), (tx) =>
        tx.db.leaseWaiter.deleteMany({ where: { orgId, id: { in: old }, status: { not: 'waiting' } } }),
      );
    }
    await this.#lookAtDue(orgId);
  }

  /**
   * No wait begins that would close a cycle; but whoever passed others for what it holds already, or while they were silent,
   * may come to wait for them. Seen in two sweeps, the youngest ticket of a cycle ends.
   */
  async #breakCycles(orgId: string): Promise<void> {
    const found = youngestInCycles(await this.#deps.db.read(systemPrincipal(orgId), watches));
    const before = this.#stuck.get(orgId);
    this.#stuck.set(orgId, new Set(found));
    for (const ticketId of found) if (before?.has(ticketId) === true) await this.#end(orgId, ticketId, 'deadlock');
  }

  async #lookAtDue(orgId: string): Promise<void> {
    for (let look = 0; look < LOOKS; look += 1) {
      const after = this.#reached.get(orgId) ?? 0;
      const due = await this.#deps.db.read(systemPrincipal(orgId), (tx) => dueWaiters(tx, after));
      // Before they are looked at: what one of them fails by is not to keep the others waiting for ever.
      if (due.length < LOOK_SIZE) this.#reached.delete(orgId);
      else this.#reached.set(orgId, due.at(-1)!.seq!);
      await this.#lookAt(due);
      if (due.length < LOOK_SIZE) return;
    }
  }

  async #end(orgId: string, ticketId: string, reason: CancelOperation['reason'] = 'abandoned'): Promise<void> {
    const principal = systemPrincipal(orgId);
    await this.#deps.queue
      .submit({ kind: 'cancel', principal, idempotent: null, ticketId, spares: null, reason })
      // Settled meanwhile, by its run or by another server's sweep.
      .catch(() => undefined);
  }
}

function isTooIntricate(error: unknown): boolean {
  return error instanceof Problem && error.code === 'leases_too_intricate';
}

/** Places of admissions that nobody holds open any more, and tickets of runs that nobody has heard of for a day. */
async function abandonedTickets(tx: ReadTx): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT w.id FROM lease_waiter w JOIN run r ON r.org_id = w.org_id AND r.id = w.run_id
    WHERE w.org_id = ${tx.orgId}::uuid AND w.status = 'waiting'
      AND (w.held_until < clock_timestamp() - interval '1 minute'
        OR r.status = 'finished' OR r.status = 'stalled' AND r.last_beat_at < clock_timestamp() - interval '1 day')
    LIMIT ${LOOK_SIZE}`;
  return rows.map(({ id }) => id);
}

async function oldTickets(tx: ReadTx): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT w.id FROM lease_waiter w WHERE w.org_id = ${tx.orgId}::uuid AND w.status <> 'waiting'
      AND w.settled_at < clock_timestamp() - make_interval(hours => ${KEPT_HOURS}::int)
    LIMIT ${PURGE_SIZE}`;
  return rows.map(({ id }) => id);
}

/**
 * Whose way seems free, whose key is valid no more, or from whose run something was taken back; behind `after` in the line. Not those under a halt: it is its end that
 * has them looked at, and until then each look, again and again, could only find that they get nothing.
 */
async function dueWaiters(tx: ReadTx, after: number): Promise<Waiter[]> {
  const { orgId } = tx;
  const lockDelay = await lockDelayOf(tx);
  // Step by step, each by primary key: as one statement the planner walks every waiter for every lease.
  const gone = await tx.db.$queryRaw<{ id: string }[]>`
    WITH watched AS MATERIALIZED (SELECT DISTINCT x.blocked_by AS id FROM lease_waiter x
      CROSS JOIN LATERAL (SELECT xr.status FROM run xr WHERE xr.org_id = ${orgId}::uuid AND xr.id = x.run_id OFFSET 0) xr
      WHERE x.org_id = ${orgId}::uuid AND x.status = 'waiting' AND x.blocked_by IS NOT NULL AND xr.status = 'running')
    SELECT q.id FROM watched q
    LEFT JOIN LATERAL (SELECT l.id FROM lease l JOIN run lr ON lr.org_id = l.org_id AND lr.id = l.run_id
      WHERE l.org_id = ${orgId}::uuid AND l.id = q.id AND l.ended_at IS NULL AND lr.status <> 'finished'
        AND l.expires_at > clock_timestamp() - make_interval(secs => ${lockDelay}::int) OFFSET 0) held ON true
    LEFT JOIN LATERAL (SELECT a.id FROM lease_waiter a JOIN run ar ON ar.org_id = a.org_id AND ar.id = a.run_id
        JOIN loop ao ON ao.org_id = a.org_id AND ao.id = a.loop_id
      WHERE a.org_id = ${orgId}::uuid AND a.id = q.id AND a.status = 'waiting' AND ar.status = 'running' AND NOT ${aheadIsHalted}
        AND (a.held_until IS NULL OR a.held_until > clock_timestamp()) OFFSET 0) ahead ON true
    WHERE held.id IS NULL AND ahead.id IS NULL`;
  const free = gone.map(({ id }) => id);
  const rows = await tx.db.$queryRaw<WaiterRow[]>`${heldWaiter}
    WHERE w.org_id = ${orgId}::uuid AND w.status = 'waiting' AND w.seq > ${after} AND r.status = 'running' AND (
      (w.blocked_by IS NULL AND w.kind = 'lease' OR w.blocked_by = ANY (${free}::uuid[])) AND NOT ${isHalted}
      OR EXISTS (SELECT FROM api_key y WHERE y.org_id = ${orgId}::uuid AND y.id = (w.principal ->> 'keyId')::uuid
        AND (y.revoked_at IS NOT NULL OR y.expires_at <= clock_timestamp()))
      OR w.run_id = ANY (ARRAY(SELECT l.run_id FROM lease l
        WHERE l.org_id = ${orgId}::uuid AND l.end_reason = 'revoked' AND l.expires_at > clock_timestamp())))
    ORDER BY w.seq LIMIT ${LOOK_SIZE}`;
  return rows.map((row) => toWaiter(orgId, row));
}
