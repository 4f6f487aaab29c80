import type { Database } from '../../platform/database/database.ts';
import type { Principal } from '../../platform/principal.ts';
import type { Claim, Known } from './link.ts';

/** Runs of the sessions in one request that are looked at, the newest first. */
const SESSION_RUNS = 2000;

const NOTHING: Known = { runs: [], loops: [] };

/** Asks the org for what claims name. What it does not know is left out. @throws Problem 401 for a key revoked meanwhile */
export async function knownOf(db: Database, principal: Principal, claims: Iterable<Claim>): Promise<Known> {
  const loopIds = new Set<string>();
  const runIds = new Set<string>();
  const sessionIds = new Set<string>();
  for (const { loopId, runId, sessionId } of claims) {
    if (loopId !== null) loopIds.add(loopId);
    if (runId !== null) runIds.add(runId);
    if (sessionId !== null) sessionIds.add(sessionId);
  }
  if (loopIds.size + runIds.size + sessionIds.size === 0) return NOTHING;
  return db.read(principal, async (tx) => {
    const rows = await tx.db.$queryRaw<
      { id: string; loop_id: string; owner_id: string; session_id: string | null; started_ms: string }[]
    >`
      SELECT r.id, r.loop_id, l.owner_id, r.session_id, (extract(epoch FROM r.started_at) * 1000)::bigint::text AS started_ms
      FROM (
        SELECT * FROM run WHERE org_id = ${tx.orgId}::uuid AND id = ANY (${[...runIds]}::uuid[])
        UNION (SELECT * FROM run WHERE org_id = ${tx.orgId}::uuid AND session_id = ANY (${[...sessionIds]}::text[])
          ORDER BY started_at DESC LIMIT ${SESSION_RUNS}::int)
      ) r
      JOIN loop l ON l.org_id = ${tx.orgId}::uuid AND l.id = r.loop_id`;
    const loops = await tx.db.loop.findMany({
      where: { orgId: tx.orgId, id: { in: [...loopIds] } },
      select: { id: true, ownerId: true },
    });
    const runs = rows.map((row) => ({
      id: row.id,
      loopId: row.loop_id,
      ownerId: row.owner_id,
      sessionId: row.session_id,
      startedNanos: BigInt(row.started_ms) * 1_000_000n,
    }));
    return { runs, loops };
  });
}
