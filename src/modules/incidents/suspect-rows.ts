import { Prisma } from '../../generated/prisma/client.ts';
import { indexKey, parsePath } from '../../patterns/index.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { type EvidencePath, MAX_PREFIX, readEvidencePath } from './ranking/evidence-path.ts';

export type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

/** Deployed changes that are weighed: those that went out last. */
const MAX_CANDIDATES = 500;
/** Files looked at of one change, beside those that the evidence names. */
const MAX_FILES = 100;

/** A change with the deploy that brought it and those that bear on it. */
export interface CandidateRow {
  readonly id: string;
  readonly commit: string;
  readonly repo: string;
  readonly caseSensitive: boolean;
  readonly intent: string | null;
  readonly at: Date;
  readonly runId: string | null;
  readonly loopId: string | null;
  readonly recordedBy: string;
  readonly fileCount: number;
  readonly filesOmitted: number;
  readonly unleasedCount: number;
  readonly leases: readonly { readonly id: string; readonly fence: number }[];
  readonly stale: readonly { readonly id: string; readonly reason: string }[];
  readonly reverts: readonly { readonly path: string; readonly declared: boolean }[];
  readonly outcome: string | null;
  readonly deployId: string;
  readonly deployedAt: Date;
  readonly service: string;
  readonly environment: string;
  readonly deployCommit: string;
  readonly edge: 'exact' | 'inferred';
  readonly rolledBack: boolean;
}

export interface Window {
  readonly from: Date;
  /** When the incident began. */
  readonly to: Date;
  readonly service: string | null;
  readonly environment: string | null;
}

/**
 * Changes that went out in the window, both ends included, each once: by its deploy to the incident's service if there is
 * one, and then by the last. A rollback counts when it came after that deploy and went back behind the change.
 */
export async function readCandidates(tx: ReadTx, window: Window): Promise<{ rows: CandidateRow[]; total: number }> {
  const { from, to, service, environment } = window;
  const rows = await tx.db.$queryRaw<(CandidateRow & { total: bigint })[]>`
    SELECT c.id::text, c.commit, r.name AS repo, r.case_sensitive AS "caseSensitive", c.intent, c.at, c.run_id::text AS "runId",
      c.loop_id::text AS "loopId", c.recorded_by::text AS "recordedBy", c.file_count AS "fileCount",
      c.files_omitted AS "filesOmitted", c.unleased_count AS "unleasedCount", c.leases, c.stale, c.reverts,
      u.outcome ->> 'status' AS outcome, x.deploy_id::text AS "deployId", x.deployed_at AS "deployedAt", x.service, x.environment,
      x.deploy_commit AS "deployCommit", x.edge, x.total,
      EXISTS (
        SELECT FROM deploy b JOIN change h ON h.org_id = b.org_id AND h.id = b.head_change_id
        WHERE b.org_id = c.org_id AND b.repo_id = c.repo_id AND b.service = x.service AND b.environment = x.environment AND b.rollback
          AND (b.at, b.id) > (x.deployed_at, x.deploy_id) AND b.at <= ${to}::timestamptz AND (h.at, h.id) < (c.at, c.id)
      ) AS "rolledBack"
    FROM (
      SELECT y.*, count(*) OVER () AS total FROM (
        SELECT DISTINCT ON (m.change_id) m.change_id, m.edge, d.id AS deploy_id, d.at AS deployed_at, d.service, d.environment,
          d.commit AS deploy_commit
        FROM deploy d JOIN deploy_change m ON m.org_id = d.org_id AND m.deploy_id = d.id
        WHERE d.org_id = ${tx.orgId}::uuid AND d.at BETWEEN ${from}::timestamptz AND ${to}::timestamptz
          AND (${environment}::text IS NULL OR d.environment = ${environment}::text)
        ORDER BY m.change_id, (d.service = ${service}::text) DESC NULLS LAST, d.at DESC, d.id DESC
      ) y ORDER BY y.deployed_at DESC, y.change_id DESC LIMIT ${MAX_CANDIDATES}::int
    ) x
    JOIN change c ON c.org_id = ${tx.orgId}::uuid AND c.id = x.change_id
    JOIN repo r ON r.org_id = c.org_id AND r.id = c.repo_id
    LEFT JOIN run u ON u.org_id = c.org_id AND u.id = c.run_id
    ORDER BY x.deployed_at DESC, c.id DESC`;
  return { rows, total: Number(rows[0]?.total ?? 0) };
}

/** Paths by change: the first ones of each, and those whose very path or key the evidence names, however many there are. */
export async function readFiles(
  tx: ReadTx,
  changeIds: readonly string[],
  evidence: readonly string[],
): Promise<ReadonlyMap<string, string[]>> {
  const keys = evidence.flatMap((text) => keysOf(readEvidencePath(text)));
  const rows = await tx.db.$queryRaw<{ id: string; path: string }[]>`
    SELECT f.change_id::text AS id, f.path FROM change_file f
    WHERE f.org_id = ${tx.orgId}::uuid AND f.change_id = ANY (${changeIds}::uuid[])
      AND (f.ordinal < ${MAX_FILES}::int OR f.key = ANY (${keys}::text[]))
    ORDER BY f.change_id, f.ordinal`;
  return grouped(
    rows,
    ({ id }) => id,
    ({ path }) => path,
  );
}

/** An answer to a run that was not an allow, about a path that its change touched all the same. */
export async function readRefused(tx: ReadTx, changeIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.db.$queryRaw<{ id: string }[]>`
    SELECT DISTINCT c.id::text FROM change c
    JOIN decision d ON d.org_id = c.org_id AND d.run_id = c.run_id AND d.at <= c.at AND d.outcome <> 'allow'
      AND d.action IN ('path.edit', 'path.delete')
    CROSS JOIN LATERAL jsonb_path_query(d.subject, '$.parts[*].subjects[*].path') p
    JOIN change_file f ON f.org_id = c.org_id AND f.change_id = c.id AND f.path = p #>> '{}'
    WHERE c.org_id = ${tx.orgId}::uuid AND c.id = ANY (${changeIds}::uuid[])
      AND NOT EXISTS (
        SELECT FROM decision a WHERE a.org_id = c.org_id AND a.run_id = c.run_id AND a.at BETWEEN d.at AND c.at AND a.outcome = 'allow'
          AND a.action = d.action AND jsonb_path_exists(a.subject, '$.parts[*].subjects[*] ? (@.path == $p)', jsonb_build_object('p', p))
      )`;
  return new Set(rows.map(({ id }) => id));
}

/** Leases, of those given, that were granted on a spent approval: a policy asked for a human, and one said yes. */
export async function readExceptions(tx: ReadTx, leaseIds: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await tx.db.lease.findMany({
    where: { orgId: tx.orgId, id: { in: [...new Set(leaseIds)] }, approvalId: { not: null } },
    select: { id: true },
  });
  return new Set(rows.map(({ id }) => id));
}

/** The keys that a file has if it is the one that the evidence names, with what may be a prefix taken away. */
function keysOf({ segments, prefixed }: EvidencePath): string[] {
  const prefixes = prefixed ? Math.min(segments.length - 1, MAX_PREFIX) : 0;
  return Array.from({ length: prefixes + 1 }, (_, skipped) => segments.slice(skipped).join('/')).flatMap((text) => {
    const read = parsePath(text);
    return read.ok ? [indexKey(read.path).key] : [];
  });
}

export interface TraceRow {
  readonly traceId: string;
  readonly runId: string | null;
  readonly link: 'exact' | 'inferred' | null;
  readonly path: string | null;
  readonly line: string | null;
}

const MAX_SPAN_FACTS = 1000;

/** What spans of these traces say: of which run they are, and in which file they were made. */
export async function readTraceEvidence(tx: ReadTx, traceIds: readonly string[]): Promise<TraceRow[]> {
  if (traceIds.length === 0) return [];
  const ids = traceIds.map((id) => Buffer.from(id, 'hex'));
  return tx.db.$queryRaw<TraceRow[]>`
    SELECT DISTINCT encode(s.trace_id, 'hex') AS "traceId", s.run_id::text AS "runId", s.link,
      coalesce(s.attributes ->> 'code.file.path', s.attributes ->> 'code.filepath') AS path,
      coalesce(s.attributes ->> 'code.line.number', s.attributes ->> 'code.lineno') AS line
    FROM trace_window w
    JOIN span s ON s.org_id = w.org_id AND s.trace_id = w.trace_id
      AND s.day BETWEEN ${dayOf(Prisma.sql`w.min_nanos`)} AND ${dayOf(Prisma.sql`w.max_nanos`)}
    WHERE w.org_id = ${tx.orgId}::uuid AND w.trace_id = ANY (${ids}::bytea[])
    LIMIT ${MAX_SPAN_FACTS}::int`;
}

function dayOf(nanos: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(date '1970-01-01' + (${nanos} / 86400000000000)::int)`;
}

export function grouped<R, T>(rows: readonly R[], keyOf: (row: R) => string, valueOf: (row: R) => T): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const known = groups.get(keyOf(row));
    if (known === undefined) groups.set(keyOf(row), [valueOf(row)]);
    else known.push(valueOf(row));
  }
  return groups;
}
