import { stepsToCompile } from '../../patterns/index.ts';
import type { Statement } from '../../platform/database/pipeline.ts';
import { type Claim, type ClaimTexts, readClaims } from './claim.ts';
import type { HeldLease, SpentApproval } from './lease.ts';
import { lookupsOf, type WantedIn } from './lookups.ts';
import type { LeaseMode } from './request.ts';
import { HELD_WAITER } from './waiting/rows.ts';

/** The columns of a held lease with those who stand behind it. Joins go by primary key, each inside the org. */
export const HELD_LEASE = `
  SELECT l.id, l.repo_id, p.name AS repo, l.run_id, l.loop_id, l.fence, l.mode, l.paths, l.patterns, l.resources, l.purpose,
    l.ttl_seconds, l.granted_at, l.expires_at, l.ended_at, l.end_reason, l.revoke_reason, r.status = 'finished' AS run_finished, o.name AS loop_name, o.owner_kind, o.owner_id,
    coalesce(m.name, k.name, '') AS owner_name, a.id AS approval_id, a.action AS approval_action, a.requirements AS approval_requirements
  FROM lease l
  JOIN repo p ON p.org_id = l.org_id AND p.id = l.repo_id
  JOIN run r ON r.org_id = l.org_id AND r.id = l.run_id
  JOIN loop o ON o.org_id = l.org_id AND o.id = l.loop_id
  LEFT JOIN member m ON m.org_id = l.org_id AND m.id = o.owner_id
  LEFT JOIN api_key k ON k.org_id = l.org_id AND k.id = o.owner_id
  LEFT JOIN approval a ON a.org_id = l.org_id AND a.id = l.approval_id`;

/** A row of `HELD_LEASE`, as `pg` reads it. */
export interface HeldLeaseRow extends ClaimTexts {
  id: string;
  repo_id: string;
  repo: string;
  run_id: string;
  loop_id: string;
  fence: string;
  mode: LeaseMode;
  purpose: string | null;
  ttl_seconds: number;
  granted_at: Date;
  expires_at: Date;
  ended_at: Date | null;
  end_reason: string | null;
  revoke_reason: string | null;
  run_finished: boolean;
  loop_name: string;
  owner_kind: string;
  owner_id: string;
  owner_name: string;
  approval_id: string | null;
  approval_action: string | null;
  approval_requirements: SpentApproval['requirements'] | null;
  /** Of a candidate: what it and those before it claim. */
  weighed?: string;
}

export function toHeldLease(row: HeldLeaseRow): HeldLease {
  return {
    id: row.id,
    repoId: row.repo_id,
    repo: row.repo,
    runId: row.run_id,
    loopId: row.loop_id,
    fence: Number(row.fence),
    mode: row.mode,
    matchers: readClaims(row),
    purpose: row.purpose,
    ttlSeconds: row.ttl_seconds,
    grantedAt: row.granted_at,
    expiresAt: row.expires_at,
    runFinished: row.run_finished,
    revoked: row.end_reason === 'revoked' ? (row.revoke_reason ?? '') : null,
    approval:
      row.approval_id === null || row.approval_action === null
        ? null
        : { id: row.approval_id, action: row.approval_action, requirements: row.approval_requirements ?? [] },
    holder: {
      loop: { id: row.loop_id, name: row.loop_name },
      run: { id: row.run_id },
      owner: { kind: row.owner_kind, id: row.owner_id, name: row.owner_name },
    },
  };
}

/** Whose claims are looked for. */
export type Claimants = 'lease' | 'waiter';

/** Candidates that a batch looks at under its locks. With more it is too broad: see `searchBroadly`. */
export const MOST_CANDIDATES = 5000;
/** What they claim together, by `weightOf`. */
const MOST_WEIGHT = 8_000_000;
/** What a claim weighs besides its characters. */
const CLAIM_WEIGHT = 64;
/** Patterns of theirs. */
const MOST_PATTERNS = 2000;
/** Steps that it may cost to compile those that no cache has: some 70 milliseconds, or about a thousand ordinary patterns. */
const STEPS_UNDER_LOCK_MAX = 3_000_000;

/** Whether rows are more than should be read and compared while others wait. */
export function areTooMany(rows: readonly (ClaimTexts & { readonly weighed?: string })[]): boolean {
  const patterns = rows.reduce((sum, row) => sum + row.patterns.length, 0);
  const isHeavy = rows.some(({ weighed }) => weighed !== undefined && Number(weighed) > MOST_WEIGHT);
  return rows.length > MOST_CANDIDATES || patterns > MOST_PATTERNS || isHeavy;
}

/** Rows by whether they may be read while others wait. */
export interface Compilable<R> {
  readonly ready: readonly R[];
  /** What the others hold, if they are not too many. */
  readonly uncompiled: readonly string[];
}

/** From the first row on, those whose patterns may be compiled while others wait, and all that hold none to be compiled. */
export function compilable<R extends ClaimTexts>(rows: readonly R[]): Compilable<R> {
  let [patterns, steps] = [0, 0];
  const ready: R[] = [];
  const uncompiled: string[] = [];
  for (const row of rows) {
    patterns += row.patterns.length;
    // Nor are they compiled beforehand: see `areTooMany`.
    if (row.patterns.length > 0 && patterns > MOST_PATTERNS) continue;
    const own = row.patterns.reduce((sum, text) => sum + stepsToCompile(text), 0);
    if (own > 0 && steps + own > STEPS_UNDER_LOCK_MAX) uncompiled.push(...row.patterns);
    else {
      steps += own;
      ready.push(row);
    }
  }
  return { ready, uncompiled };
}

/** What it takes to read a row's claims, about in bytes. */
export function weightOf({ paths, patterns, resources }: ClaimTexts): number {
  return [...paths, ...patterns, ...resources].reduce((sum, text) => sum + CLAIM_WEIGHT + text.length, 0);
}

/** The same of claims that have been read. */
export function weightOfClaims(claims: readonly Claim[]): number {
  return claims.reduce((sum, { text }) => sum + CLAIM_WEIGHT + text.length, 0);
}

/** Questions of many paths that are put in one statement, by `weightOfClaims`: about 10,000 ordinary paths. */
export const MOST_ASKED = 1_000_000;

/**
 * All leases not ended (or revoked before their expiry), and all waiters, that might share a path with what is wanted: never
 * fewer, by the keys of the index tables; but no more than it takes for them to be too many. Run them after the repos are
 * locked, each as a statement of its own.
 */
export function candidatesStatements(orgId: string, wanted: readonly WantedIn[]): Record<Claimants, Statement> {
  const { values, hasRange } = lookupsOf(orgId, wanted);
  const statement = (of: Claimants) => ({
    name: `${of}_candidates${hasRange ? '_range' : ''}`,
    text: TEXTS[of][hasRange ? 'withRange' : 'byPoint'],
    values,
  });
  return { lease: statement('lease'), waiter: statement('waiter') };
}

/** The ids alone of all of them, however many. */
export function candidateIdsStatements(orgId: string, wanted: WantedIn): Record<Claimants, Statement> {
  const { values, hasRange } = lookupsOf(orgId, [wanted]);
  const statement = (of: Claimants) => ({ text: TEXTS[of][hasRange ? 'idsWithRange' : 'idsByPoint'], values });
  return { lease: statement('lease'), waiter: statement('waiter') };
}

/**
 * What these runs hold that anybody may wait for, and what they wait for, in all repos; but no more than it takes for it to be
 * too much.
 */
export function stakesStatements(orgId: string, runIds: readonly string[]): Record<Claimants, Statement> {
  const statement = (of: Claimants) => ({ name: `${of}s_of_runs`, text: TEXTS[of].ofRuns, values: [orgId, runIds] });
  return { lease: statement('lease'), waiter: statement('waiter') };
}

interface KeyTable {
  readonly table: string;
  readonly id: string;
}

// OFFSET 0 keeps the planner from turning the lookups into one scan of the whole index.
const pointHits = ({ table, id }: KeyTable) => `
  SELECT k.id FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) AS w (repo_id, kind, key, tail)
  CROSS JOIN LATERAL (
    SELECT x.${id} AS id FROM ${table} x
    WHERE x.org_id = $1 AND x.repo_id = w.repo_id AND x.key = w.key COLLATE "C" AND x.kind = w.kind
      AND (x.tail IS NULL OR w.tail IS NULL OR x.tail = w.tail COLLATE "C")
    OFFSET 0
  ) k`;

const patternHits = ({ table, id }: KeyTable) => `
  SELECT k.id FROM unnest($6::uuid[]) AS w (repo_id)
  CROSS JOIN LATERAL (
    SELECT x.${id} AS id FROM ${table} x WHERE x.org_id = $1 AND x.repo_id = w.repo_id AND x.kind = 'pattern' OFFSET 0
  ) k`;

// A pattern never shares anything with a resource.
const rangeHits = ({ table, id }: KeyTable) => `
  SELECT k.id FROM unnest($7::uuid[], $8::text[], $9::text[], $10::text[]) AS w (repo_id, low, below, tail)
  CROSS JOIN LATERAL (
    SELECT x.${id} AS id FROM ${table} x
    WHERE x.org_id = $1 AND x.repo_id = w.repo_id AND x.key >= w.low COLLATE "C" AND (w.below IS NULL OR x.key < w.below COLLATE "C")
      AND x.kind <> 'resource' AND (x.tail IS NULL OR w.tail IS NULL OR x.tail = w.tail COLLATE "C")
    OFFSET 0
  ) k`;

/** As `weightOf`. With the row that is too much the rest are left out: none is left out unseen. */
const WEIGHT = ['paths', 'patterns', 'resources']
  .map((claims) => `cardinality(h.${claims}) * ${CLAIM_WEIGHT} + length(array_to_string(h.${claims}, ''))`)
  .join(' + ');

const textsFor = (keys: KeyTable, rows: string, ofRuns: string) => {
  const distinct = (hits: string) => `SELECT DISTINCT h.id FROM (${hits}) h`;
  // Keys go with their lease or waiter, in the same transaction: each hit has its row, and the limit cuts off none unseen.
  const withHits = (hits: string) => `
  WITH hit AS MATERIALIZED (${distinct(hits)} LIMIT ${MOST_CANDIDATES + 1})
  SELECT * FROM (
    SELECT h.*, ${WEIGHT} AS weight, sum(${WEIGHT}) OVER (ROWS UNBOUNDED PRECEDING) AS weighed
    FROM hit CROSS JOIN LATERAL (${rows} OFFSET 0) h
  ) c WHERE c.weighed - c.weight <= ${MOST_WEIGHT}`;
  const byPoint = `${pointHits(keys)} UNION ALL ${patternHits(keys)}`;
  const withRange = `${byPoint} UNION ALL ${rangeHits(keys)}`;
  return {
    byPoint: withHits(byPoint),
    withRange: withHits(withRange),
    ofRuns: withHits(ofRuns),
    idsByPoint: distinct(byPoint),
    idsWithRange: distinct(withRange),
  };
};

/**
 * A run may hold thousands, and of most nobody wants anything. So of what it holds: each pattern, where anybody waits; each path,
 * where somebody waits for a pattern; and what somebody waits for by the same key. OFFSET 0 as above.
 */
const heldAndWanted = `
  SELECT x.id FROM (
    SELECT l.repo_id, array_agg(l.id) AS ids,
      EXISTS (SELECT FROM lease_waiter_key k WHERE k.org_id = $1 AND k.repo_id = l.repo_id OFFSET 0) AS any_waits,
      EXISTS (SELECT FROM lease_waiter_key k WHERE k.org_id = $1 AND k.repo_id = l.repo_id AND k.kind = 'pattern' OFFSET 0) AS by_pattern
    FROM lease l WHERE l.org_id = $1 AND l.run_id = ANY ($2::uuid[])
      AND (l.ended_at IS NULL OR l.end_reason = 'revoked' AND l.expires_at > clock_timestamp())
    GROUP BY l.repo_id
  ) r CROSS JOIN LATERAL unnest(r.ids) AS x (id)
  WHERE r.any_waits AND EXISTS (
    SELECT FROM lease_key h WHERE h.org_id = $1 AND h.lease_id = x.id AND (
      h.kind = 'pattern' OR h.kind = 'literal' AND r.by_pattern OR EXISTS (
        SELECT FROM lease_waiter_key k
        WHERE k.org_id = $1 AND k.repo_id = r.repo_id AND k.key = h.key COLLATE "C" AND k.kind = h.kind OFFSET 0))
    OFFSET 0)`;

const TEXTS = {
  lease: textsFor(
    { table: 'lease_key', id: 'lease_id' },
    `${HELD_LEASE} WHERE l.org_id = $1 AND l.id = hit.id AND (l.ended_at IS NULL OR l.end_reason = 'revoked')`,
    heldAndWanted,
  ),
  waiter: textsFor(
    { table: 'lease_waiter_key', id: 'waiter_id' },
    `${HELD_WAITER} WHERE w.org_id = $1 AND w.id = hit.id AND w.status = 'waiting'`,
    `SELECT x.id FROM lease_waiter x WHERE x.org_id = $1 AND x.run_id = ANY ($2::uuid[]) AND x.status = 'waiting'`,
  ),
};
