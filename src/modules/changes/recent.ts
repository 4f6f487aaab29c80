import type { OrgTx } from '../../platform/database/database.ts';

type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

/** A change as others are told of it. */
export interface RecentChange {
  readonly changeId: string;
  readonly commit: string;
  readonly intent: string | null;
  /** The first ones, in the report's order. */
  readonly paths: readonly string[];
  readonly fileCount: number;
  /** Null for a change that was reported without a run. */
  readonly loop: { readonly id: string; readonly name: string } | null;
  readonly run: { readonly id: string } | null;
  /** Who owns the loop; without one, who reported it. */
  readonly owner: { readonly kind: string; readonly id: string; readonly name: string };
  readonly at: string;
}

/** Paths told of one change: enough to see where it was. */
const PATHS_TOLD = 100;

interface RecentRow {
  id: string;
  commit: string;
  intent: string | null;
  paths: string[] | null;
  file_count: number;
  loop_id: string | null;
  loop_name: string | null;
  run_id: string | null;
  owner_kind: string;
  owner_id: string;
  owner_name: string;
  at: Date;
}

/** Changes of one repo, newest first. */
export async function readRecent(
  tx: ReadTx,
  query: { repoId: string; since: Date; limit: number; changeId?: string },
): Promise<RecentChange[]> {
  const changeId = query.changeId ?? null;
  const rows = await tx.db.$queryRaw<RecentRow[]>`
    SELECT c.id::text, c.commit, c.intent, f.paths, c.file_count, c.loop_id::text, o.name AS loop_name, c.run_id::text, c.at,
      coalesce(o.owner_kind, CASE WHEN m.id IS NULL THEN 'key' ELSE 'member' END) AS owner_kind,
      coalesce(o.owner_id, c.recorded_by)::text AS owner_id, coalesce(m.name, k.name, '') AS owner_name
    FROM (
      SELECT * FROM change x
      WHERE x.org_id = ${tx.orgId}::uuid AND x.repo_id = ${query.repoId}::uuid AND x.at > ${query.since}::timestamptz
        AND (${changeId}::uuid IS NULL OR x.id = ${changeId}::uuid)
      ORDER BY x.at DESC, x.id DESC LIMIT ${query.limit}::int
    ) c
    LEFT JOIN loop o ON o.org_id = c.org_id AND o.id = c.loop_id
    LEFT JOIN member m ON m.org_id = c.org_id AND m.id = coalesce(o.owner_id, c.recorded_by)
    LEFT JOIN api_key k ON k.org_id = c.org_id AND k.id = coalesce(o.owner_id, c.recorded_by)
    CROSS JOIN LATERAL (
      SELECT array_agg(x.path ORDER BY x.ordinal) AS paths FROM change_file x
      WHERE x.org_id = c.org_id AND x.change_id = c.id AND x.ordinal < ${PATHS_TOLD}::int
    ) f
    ORDER BY c.at DESC, c.id DESC`;
  return rows.map((row) => ({
    changeId: row.id,
    commit: row.commit,
    intent: row.intent,
    paths: row.paths ?? [],
    fileCount: row.file_count,
    loop: row.loop_id === null ? null : { id: row.loop_id, name: row.loop_name ?? '' },
    run: row.run_id === null ? null : { id: row.run_id },
    owner: { kind: row.owner_kind, id: row.owner_id, name: row.owner_name },
    at: row.at.toISOString(),
  }));
}
