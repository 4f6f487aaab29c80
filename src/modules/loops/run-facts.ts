import type { Statement } from '../../platform/database/pipeline.ts';
import type { Guardrails } from './definition/index.ts';
import type { RunStatus } from './run-states.ts';

/** A run with its loop and owner, as a decision needs them. */
export interface RunFacts {
  readonly id: string;
  readonly repoId: string;
  readonly status: RunStatus;
  readonly epoch: number;
  readonly iteration: number;
  readonly usage: { readonly costUsd?: number | string; readonly inputTokens?: number; readonly outputTokens?: number };
  readonly startedAt: Date;
  readonly lastBeatAt: Date;
  readonly loop: {
    readonly id: string;
    readonly name: string;
    readonly teamId: string | null;
    readonly guardrails: Guardrails | undefined;
    readonly scope: readonly string[];
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly owner: { readonly kind: string; readonly id: string; readonly name: string };
  /** The owner's teams and the loop's own, each once. */
  readonly teams: readonly { readonly id: string; readonly name: string }[];
}

interface RunFactsRow {
  id: string;
  repo_id: string;
  status: RunStatus;
  epoch: number;
  iteration: number;
  usage: RunFacts['usage'];
  started_at: Date;
  last_beat_at: Date;
  loop_id: string;
  loop_name: string;
  team_id: string | null;
  guardrails: Guardrails | null;
  scope: string | string[] | null;
  labels: Record<string, string> | null;
  owner_kind: string;
  owner_id: string;
  owner_name: string;
  teams: { id: string; name: string }[] | null;
}

/** Reads the runs of a batch in one statement. Each value is as fresh as the statement. */
export function runFactsStatement(
  orgId: string,
  runIds: readonly string[],
  leaseIds: readonly string[] = [],
): Statement {
  return {
    name: 'run_facts',
    text: `
      SELECT r.id, r.repo_id, r.status, r.epoch, r.iteration, r.usage, r.started_at, r.last_beat_at, o.id AS loop_id, o.name AS loop_name,
        o.team_id, o.definition -> 'guardrails' AS guardrails, o.definition -> 'scope' AS scope, o.definition -> 'labels' AS labels,
        o.owner_kind, o.owner_id, coalesce(m.name, k.name, '') AS owner_name,
        (SELECT json_agg(json_build_object('id', t.id, 'name', t.name)) FROM team t
          WHERE t.org_id = $1 AND (t.id = o.team_id OR t.id IN (SELECT tm.team_id FROM team_member tm WHERE tm.org_id = $1 AND tm.member_id = o.owner_id))) AS teams
      FROM unnest($2::uuid[] || ARRAY(SELECT l.run_id FROM lease l WHERE l.org_id = $1 AND l.id = ANY ($3::uuid[]))) AS q (id)
      CROSS JOIN LATERAL (SELECT * FROM run x WHERE x.org_id = $1 AND x.id = q.id OFFSET 0) r
      JOIN loop o ON o.org_id = $1 AND o.id = r.loop_id
      LEFT JOIN member m ON m.org_id = $1 AND m.id = o.owner_id
      LEFT JOIN api_key k ON k.org_id = $1 AND k.id = o.owner_id`,
    values: [orgId, runIds, leaseIds],
  };
}

export function toRunFacts(row: unknown): RunFacts {
  const facts = row as RunFactsRow;
  return {
    id: facts.id,
    repoId: facts.repo_id,
    status: facts.status,
    epoch: facts.epoch,
    iteration: facts.iteration,
    usage: facts.usage,
    startedAt: facts.started_at,
    lastBeatAt: facts.last_beat_at,
    loop: {
      id: facts.loop_id,
      name: facts.loop_name,
      teamId: facts.team_id,
      guardrails: facts.guardrails ?? undefined,
      scope: facts.scope === null ? [] : [facts.scope].flat(),
      labels: facts.labels ?? {},
    },
    owner: { kind: facts.owner_kind, id: facts.owner_id, name: facts.owner_name },
    teams: facts.teams ?? [],
  };
}

/**
 * SQL: whether a loop, or a team whose loop it is, has been halted: as `haltsOver`, but for halts of a repo or of the org, which
 * stop everybody there.
 * @param loop the alias of its row
 */
export const isLoopHalted = (loop: string): string => `EXISTS (
    SELECT FROM halt h WHERE h.org_id = ${loop}.org_id AND h.lifted_at IS NULL AND (h.scope_kind = 'loop' AND h.scope_id = ${loop}.id
      OR h.scope_kind = 'team' AND (h.scope_id = ${loop}.team_id OR EXISTS (SELECT FROM team_member tm
        WHERE tm.org_id = ${loop}.org_id AND tm.team_id = h.scope_id AND tm.member_id = ${loop}.owner_id))))`;
