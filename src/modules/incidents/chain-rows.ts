import type { ReadTx } from './suspect-rows.ts';
import { grouped } from './suspect-rows.ts';

export interface RunRow {
  readonly id: string;
  readonly loopId: string;
  readonly loopName: string;
  readonly status: string;
  readonly outcome: string | null;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly traceparent: string;
  readonly ownerKind: string;
  readonly ownerId: string;
  readonly ownerName: string;
}

export async function readRuns(tx: ReadTx, ids: readonly string[]): Promise<ReadonlyMap<string, RunRow>> {
  const rows = await tx.db.$queryRaw<RunRow[]>`
    SELECT r.id::text, r.loop_id::text AS "loopId", o.name AS "loopName", r.status, r.outcome ->> 'status' AS outcome,
      r.started_at AS "startedAt", r.ended_at AS "endedAt", r.traceparent, o.owner_kind AS "ownerKind", o.owner_id::text AS "ownerId",
      coalesce(m.name, k.name, '') AS "ownerName"
    FROM run r
    JOIN loop o ON o.org_id = r.org_id AND o.id = r.loop_id
    LEFT JOIN member m ON m.org_id = o.org_id AND m.id = o.owner_id
    LEFT JOIN api_key k ON k.org_id = o.org_id AND k.id = o.owner_id
    WHERE r.org_id = ${tx.orgId}::uuid AND r.id = ANY (${ids}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row]));
}

export interface LeaseRow {
  readonly id: string;
  readonly runId: string;
  readonly fence: number;
  readonly purpose: string | null;
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly approvalId: string | null;
  readonly grantedAt: Date;
}

/** The leases that were presented, and of runs whose changes presented none the last ones. */
export async function readLeases(
  tx: ReadTx,
  wanted: { readonly ids: readonly string[]; readonly runIds: readonly string[] },
): Promise<LeaseRow[]> {
  const rows = await tx.db.$queryRaw<(Omit<LeaseRow, 'fence'> & { fence: bigint })[]>`
    SELECT l.id::text, l.run_id::text AS "runId", l.fence, l.purpose, coalesce(l.paths, '{}') AS paths,
      coalesce(l.patterns, '{}') AS patterns, l.approval_id::text AS "approvalId", l.granted_at AS "grantedAt"
    FROM lease l WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${wanted.ids}::uuid[])
    UNION
    SELECT l.id::text, l.run_id::text, l.fence, l.purpose, coalesce(l.paths, '{}'), coalesce(l.patterns, '{}'),
      l.approval_id::text, l.granted_at
    FROM unnest(${wanted.runIds}::uuid[]) AS q (id)
    CROSS JOIN LATERAL (
      SELECT * FROM lease x WHERE x.org_id = ${tx.orgId}::uuid AND x.run_id = q.id ORDER BY x.fence DESC LIMIT 50
    ) l`;
  return rows.map((row) => ({ ...row, fence: Number(row.fence) }));
}

export interface DecisionRow {
  readonly id: string;
  readonly leaseId: string;
  readonly action: string;
  readonly outcome: string;
  readonly at: Date;
  readonly policyVersion: number;
  readonly approvalId: string | null;
  readonly rules: readonly {
    readonly id: string;
    readonly policy: string | null;
    readonly effect: string;
    readonly reason: string;
  }[];
}

/** The decision that each lease came with, as the event of its grant says. A lease asked for by itself has none. */
export async function readDecisions(tx: ReadTx, leaseIds: readonly string[]): Promise<DecisionRow[]> {
  const rows = await tx.db.$queryRaw<(Omit<DecisionRow, 'policyVersion'> & { policyVersion: bigint })[]>`
    SELECT d.id::text, l.id::text AS "leaseId", d.action, d.outcome, d.at, d.policy_version AS "policyVersion",
      d.approval_id::text AS "approvalId", d.rules
    FROM lease l
    JOIN event g ON g.org_id = l.org_id AND g.seq = l.fence AND g.kind = 'lease.granted'
    JOIN decision d ON d.org_id = l.org_id AND d.id = (g.data ->> 'decisionId')::uuid
    WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${leaseIds}::uuid[])
    ORDER BY l.id`;
  return rows.map((row) => ({ ...row, policyVersion: Number(row.policyVersion) }));
}

export interface ApprovalRow {
  readonly id: string;
  readonly status: string;
  readonly reason: string;
  readonly settledAt: Date | null;
  readonly votes: readonly {
    readonly id: string;
    readonly name: string | null;
    readonly verdict: string;
    readonly comment: string | null;
    readonly at: string;
  }[];
}

export async function readApprovals(tx: ReadTx, ids: readonly string[]): Promise<ReadonlyMap<string, ApprovalRow>> {
  const rows = await tx.db.$queryRaw<Omit<ApprovalRow, 'votes'>[]>`
    SELECT a.id::text, a.status, a.reason, a.settled_at AS "settledAt" FROM approval a
    WHERE a.org_id = ${tx.orgId}::uuid AND a.id = ANY (${ids}::uuid[])`;
  const votes = await tx.db.$queryRaw<
    { approvalId: string; id: string; name: string | null; verdict: string; comment: string | null; at: Date }[]
  >`
    SELECT v.approval_id::text AS "approvalId", v.principal_id::text AS id, coalesce(m.name, k.name) AS name, v.verdict, v.comment, v.at
    FROM vote v
    LEFT JOIN member m ON m.org_id = v.org_id AND m.id = v.principal_id
    LEFT JOIN api_key k ON k.org_id = v.org_id AND k.id = v.principal_id
    WHERE v.org_id = ${tx.orgId}::uuid AND v.approval_id = ANY (${ids}::uuid[])
    ORDER BY v.at, v.principal_id`;
  const byApproval = grouped(
    votes,
    ({ approvalId }) => approvalId,
    ({ id, name, verdict, comment, at }) => ({ id, name, verdict, comment, at: at.toISOString() }),
  );
  return new Map(rows.map((row) => [row.id, { ...row, votes: byApproval.get(row.id) ?? [] }]));
}

export interface RunTraceRow {
  readonly runId: string;
  readonly traceId: string;
  readonly link: 'exact' | 'inferred';
}

const DAY_NANOS = 86_400_000_000_000n;

/** The newest stored trace of each run, by an exact link if there is one. */
export async function readRunTraces(tx: ReadTx, runs: readonly RunRow[]): Promise<ReadonlyMap<string, RunTraceRow>> {
  const from = runs.map(({ startedAt }) => BigInt(startedAt.getTime()) * 1_000_000n - DAY_NANOS);
  const rows = await tx.db.$queryRaw<RunTraceRow[]>`
    SELECT q.id::text AS "runId", encode(s.trace_id, 'hex') AS "traceId", s.link
    FROM unnest(${runs.map(({ id }) => id)}::uuid[], ${from.map(String)}::text[]) AS q (id, since)
    CROSS JOIN LATERAL (
      SELECT x.trace_id, x.link FROM span x
      WHERE x.org_id = ${tx.orgId}::uuid AND x.run_id = q.id AND x.start_nanos >= q.since::bigint
        AND x.day >= (date '1970-01-01' + (q.since::bigint / 86400000000000)::int)
      ORDER BY x.link = 'exact' DESC, x.start_nanos DESC LIMIT 1
    ) s`;
  return new Map(rows.map((row) => [row.runId, row]));
}
