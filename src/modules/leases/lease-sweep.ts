import type { Database, OrgTx } from '../../platform/database/database.ts';
import { systemPrincipal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { endLeases } from './end-leases.ts';
import type { OnFreed } from './run-life.ts';
import { lockDelayOf, type ReadTx } from './service.ts';

/** Looked at by one statement: some milliseconds of PostgreSQL. In one piece, 100,000 live leases would hold up others. */
const LOOK = 2000;
/** Statements a pass: who has more leases open is gone through in several passes. */
const LOOKS = 5;
/** Ended by one transaction, which locks their repos. */
const END_AT_ONCE = 500;
const ORGS = 10_000;
const BEGINNING = '00000000-0000-0000-0000-000000000000';

interface Looked {
  /** Open, and over. */
  readonly due: readonly string[];
  /** Revoked; found until they would have expired, so that their runs do not take them back, then no more. */
  readonly forgettable: readonly string[];
  /** Where the next look begins; null: at the beginning. */
  readonly next: string | null;
}

/**
 * Ends the rows of leases that are over: expired with their lock delay past, or granted at the very moment in which their
 * run finished. Nothing depends on it but the size of the index; a grant that comes first ends them itself.
 */
export class LeaseSweep {
  readonly #db: Database;
  readonly #onFreed: OnFreed;
  /** By org: the lease up to which they have been looked at. */
  readonly #reached = new RecentMap<string>(ORGS);

  constructor(db: Database, onFreed: OnFreed) {
    this.#db = db;
    this.#onFreed = onFreed;
  }

  /** A part of the org's open leases, all of them where they are not many. */
  async pass(orgId: string): Promise<void> {
    const system = systemPrincipal(orgId);
    for (let look = 0; look < LOOKS; look += 1) {
      const { due, forgettable, next } = await this.#db.read(system, (tx) =>
        lookFrom(tx, this.#reached.get(orgId) ?? BEGINNING),
      );
      await endThoseOver(this.#db, orgId, due, (ended) => this.#onFreed(orgId, ended));
      if (forgettable.length > 0) await this.#db.write(system, (tx) => forget(tx, forgettable));
      // Only now: what could not be ended is looked at again by the next pass.
      if (next === null) return this.#reached.delete(orgId);
      this.#reached.set(orgId, next);
    }
  }
}

/**
 * Ends those leases that are over, some at a time.
 * @param onEnded told after each commit which these were
 * @returns whether all were: one may have been renewed meanwhile, or the clock gone back
 */
export async function endThoseOver(
  db: Database,
  orgId: string,
  leaseIds: readonly string[],
  onEnded: (ended: readonly string[]) => void = () => {},
): Promise<boolean> {
  let areAll = true;
  for (let at = 0; at < leaseIds.length; at += END_AT_ONCE) {
    const due = leaseIds.slice(at, at + END_AT_ONCE);
    const isNoneLeft = await db.write(systemPrincipal(orgId), async (tx) => {
      const { ended, stand } = await endDue(tx, due);
      tx.afterCommit(() => onEnded(ended));
      return stand === 0;
    });
    areAll &&= isNoneLeft;
  }
  return areAll;
}

/** Keys are kept only of what is open, or was revoked lately: by them the leases are found without all that ever were. */
async function lookFrom(tx: ReadTx, after: string): Promise<Looked> {
  const lockDelay = await lockDelayOf(tx);
  const [row] = await tx.db.$queryRaw<[{ seen: number; last: string | null; due: string[]; forgettable: string[] }]>`
    WITH open AS MATERIALIZED (
      SELECT k.lease_id FROM lease_key k
      WHERE k.org_id = ${tx.orgId}::uuid AND k.ordinal = 0 AND k.lease_id > ${after}::uuid
      ORDER BY k.lease_id LIMIT ${LOOK}),
    looked AS MATERIALIZED (
      SELECT l.id, l.run_id, l.expires_at, l.ended_at FROM open o CROSS JOIN LATERAL (
        SELECT x.* FROM lease x WHERE x.org_id = ${tx.orgId}::uuid AND x.id = o.lease_id OFFSET 0) l),
    finished AS MATERIALIZED (
      SELECT q.run_id FROM (SELECT DISTINCT run_id FROM looked) q CROSS JOIN LATERAL (
        SELECT x.status FROM run x WHERE x.org_id = ${tx.orgId}::uuid AND x.id = q.run_id OFFSET 0) r
      WHERE r.status = 'finished')
    SELECT (SELECT count(*)::int FROM open) AS seen, (SELECT lease_id::text FROM open ORDER BY lease_id DESC LIMIT 1) AS last,
      ARRAY(SELECT l.id::text FROM looked l
        WHERE l.ended_at IS NULL AND (l.expires_at < clock_timestamp() - make_interval(secs => ${lockDelay}::int)
          OR l.run_id IN (SELECT f.run_id FROM finished f))
        ORDER BY l.expires_at) AS due,
      ARRAY(SELECT l.id::text FROM looked l WHERE l.ended_at IS NOT NULL AND l.expires_at < clock_timestamp()) AS forgettable`;
  return { due: row.due, forgettable: row.forgettable, next: row.seen < LOOK ? null : row.last };
}

/** Returns which of them were over, and ended now; and how many stand. */
async function endDue(tx: OrgTx, due: readonly string[]): Promise<{ ended: string[]; stand: number }> {
  await tx.db.$queryRaw`
    SELECT p.id FROM repo p WHERE p.org_id = ${tx.orgId}::uuid AND p.id IN (
      SELECT l.repo_id FROM lease l WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${due}::uuid[]))
    ORDER BY p.id FOR NO KEY UPDATE`;
  // Looked at again under the lock: a renewal may have come first.
  const now = await tx.clock();
  const lockDelay = await lockDelayOf(tx);
  const open = await tx.db.$queryRaw<{ id: string; finished: boolean; over: boolean }[]>`
    SELECT l.id, r.status = 'finished' AS finished,
      r.status = 'finished' OR l.expires_at <= ${now}::timestamptz - make_interval(secs => ${lockDelay}::int) AS over
    FROM lease l JOIN run r ON r.org_id = l.org_id AND r.id = l.run_id
    WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${due}::uuid[]) AND l.ended_at IS NULL`;
  const over = open.filter((row) => row.over);
  const idsWhere = (finished: boolean) => over.filter((row) => row.finished === finished).map(({ id }) => id);
  await endLeases(tx, idsWhere(true), 'run_ended', now);
  await endLeases(tx, idsWhere(false), 'expired', now);
  return { ended: over.map(({ id }) => id), stand: open.length - over.length };
}

/** Leases that have ended stay so, at the time at which they would have expired: nothing can have come first. */
async function forget(tx: OrgTx, ended: readonly string[]): Promise<void> {
  await tx.db.leaseKey.deleteMany({ where: { orgId: tx.orgId, leaseId: { in: [...ended] } } });
}
