import { Prisma } from '../../../generated/prisma/client.ts';
import { isLoopHalted } from '../../loops/index.ts';
import { lockDelayOf, type ReadTx } from '../service.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import type { Waiter } from './waiter.ts';

/** What a sweep finds to do in an org's line. */

const heldWaiter = Prisma.raw(HELD_WAITER);
const aheadIsHalted = Prisma.raw(isLoopHalted('ao'));
/** Of a waiter `w` of a loop `o`: by its loop, a team, its repo or the org. */
const isHalted =
  Prisma.raw(`(${isLoopHalted('o')} OR EXISTS (SELECT FROM halt h WHERE h.org_id = w.org_id AND h.lifted_at IS NULL
  AND (h.scope_kind = 'org' OR h.scope_kind = 'repo' AND h.scope_id = w.repo_id)))`);

/** Waiters looked at in one go; what is left is looked at right after. */
export const LOOK_SIZE = 200;
/** Settled tickets are told for so long: `chores_due` has it too. */
export const KEPT_HOURS = 48;
const PURGE_SIZE = 1000;

/** Places of admissions that nobody holds open any more, and tickets of runs that nobody has heard of for a day. */
export async function abandonedTickets(tx: ReadTx): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT w.id FROM lease_waiter w JOIN run r ON r.org_id = w.org_id AND r.id = w.run_id
    WHERE w.org_id = ${tx.orgId}::uuid AND w.status = 'waiting'
      AND (w.held_until < clock_timestamp() - interval '1 minute'
        OR r.status = 'finished' OR r.status = 'stalled' AND r.last_beat_at < clock_timestamp() - interval '1 day')
    LIMIT ${LOOK_SIZE}`;
  return rows.map(({ id }) => id);
}

export async function oldTickets(tx: ReadTx): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT w.id FROM lease_waiter w WHERE w.org_id = ${tx.orgId}::uuid AND w.status <> 'waiting'
      AND w.settled_at < clock_timestamp() - make_interval(hours => ${KEPT_HOURS}::int)
    LIMIT ${PURGE_SIZE}`;
  return rows.map(({ id }) => id);
}

/**
 * Whose way seems free, whose key is valid no more, whose process was replaced by a resume that did not see it, or from whose run
 * something was taken back; behind `after` in the line. Not those under a halt: it is its end that
 * has them looked at, and until then each look, again and again, could only find that they get nothing.
 */
export async function dueWaiters(tx: ReadTx, after: number): Promise<Waiter[]> {
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
      OR w.epoch <> r.epoch
      OR w.run_id = ANY (ARRAY(SELECT l.run_id FROM lease l
        WHERE l.org_id = ${orgId}::uuid AND l.end_reason = 'revoked' AND l.expires_at > clock_timestamp())))
    ORDER BY w.seq LIMIT ${LOOK_SIZE}`;
  return rows.map((row) => toWaiter(orgId, row));
}
