import { arrayText, type Statement } from '../../../../platform/database/pipeline.ts';
import { claimKey, type HeldLease } from '../../../leases/index.ts';
import type { BatchPlan } from '../plan.ts';
import type { Snapshot } from '../snapshot.ts';
import { MARK } from '../time-mark.ts';
import type { Subject } from './subject.ts';

/** The rows that hot_once takes as rows; it makes the leases of their events. A plan with any other is not for it. */
const ROWS = new Set(['beats', 'decisions', 'leaseRenewals', 'leaseEnds']);

const CALL = `SELECT hot_once($1::bigint[], $2::timestamptz, $3::uuid, $4::uuid[], $5::uuid[], $6::uuid[], $7::jsonb, $8, $9::int[], $10,
  $11::int[], $12::int[], $13::uuid[], $14::int[], $15::int[], $16, $17, $18::jsonb) AS answer`;

/** Null when the plan holds what one call cannot write. */
export function callStatement(
  snapshot: Snapshot,
  factsVersion: number,
  subjects: readonly Subject[],
  plan: BatchPlan,
): Statement | null {
  const { liveRuns: _compared, idempotency, ...rows } = plan.rows();
  const isForIt =
    Object.keys(rows).every((name) => ROWS.has(name)) && plan.granted.every(({ lease }) => isPlain(lease));
  if (!isForIt || plan.events.length === 0) return null;
  // In the order in which everybody locks them.
  const repos = [...new Set(subjects.map(({ repoId }) => repoId))].toSorted();
  const grants = grantsOf(plan, repos);
  const keys = new Set<string>();
  const runs = new Set<string>();
  const guarded = new Map<string, { id: string; iteration: number; usage: unknown }>();
  for (const { op, keyId, runId } of subjects) {
    keys.add(keyId);
    runs.add(runId);
    // Guardrails are looked at for nothing else.
    if (op.kind !== 'ask' || guarded.has(runId)) continue;
    const { iteration, usage } = snapshot.runs.get(runId)!;
    guarded.set(runId, { id: runId, iteration, usage });
  }
  return {
    name: 'hot_once',
    text: CALL,
    values: [
      `{${snapshot.policyVersion},${snapshot.haltEpoch},${factsVersion}}`,
      snapshot.now.toISOString(),
      snapshot.orgId,
      arrayText(repos),
      arrayText([...keys]),
      arrayText([...runs]),
      guarded.size === 0 ? null : JSON.stringify([...guarded.values()]),
      MARK,
      arrayText([...plan.marked]),
      plan.events.join('\n'),
      arrayText(grants.repos),
      arrayText(grants.seconds),
      arrayText(grants.keyLeases),
      arrayText(grants.keyOrdinals),
      arrayText(grants.keyRepos),
      grants.keys.join('\n'),
      grants.tails.join('\n'),
      rowsText(rows, idempotency),
    ],
  };
}

function isPlain({ approval, matchers }: HeldLease): boolean {
  return approval === null && matchers.every(({ kind }) => kind === 'path');
}

/** The answers are text within: they hold marks, for which the database puts in the times before it reads them. */
function rowsText(rows: Readonly<Record<string, unknown>>, answers: unknown): string | null {
  if (answers !== undefined) return JSON.stringify({ ...rows, answers: JSON.stringify(answers) });
  return Object.keys(rows).length === 0 ? null : JSON.stringify(rows);
}

/** Nothing that would have to be written twice: most of a lease is in its event. A key holds no line break: no path does. */
function grantsOf({ events, granted }: BatchPlan, repos: readonly string[]) {
  const none = () => events.map(() => 0);
  const grants = { repos: none(), seconds: none(), keyLeases: [] as string[], keyOrdinals: [] as number[] };
  const lines = { keyRepos: [] as number[], keys: [] as string[], tails: [] as string[] };
  for (const { lease, event } of granted) {
    const repo = repos.indexOf(lease.repoId) + 1;
    grants.repos[event] = repo;
    grants.seconds[event] = lease.ttlSeconds;
    lease.matchers.forEach((claim, ordinal) => {
      const { key, tail } = claimKey(claim);
      grants.keyLeases.push(lease.id);
      grants.keyOrdinals.push(ordinal);
      lines.keyRepos.push(repo);
      lines.keys.push(key);
      lines.tails.push(tail ?? '');
    });
  }
  return { ...grants, ...lines };
}
