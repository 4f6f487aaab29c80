import type pg from 'pg';
import { enterOrg } from '../../../platform/database/in-org.ts';
import { flushNamed } from '../../../platform/database/pipeline.ts';
import { RecentMap } from '../../../platform/recent-map.ts';
import { type ActiveHalt } from '../../budgets/index.ts';
import type { PolicySet } from '../../governance/index.ts';
import { compilePolicySet, EMPTY_POLICY_SET, type PublishedPolicy } from '../../governance/index.ts';
import { settingsOf } from '../../identity/index.ts';
import {
  areTooMany,
  ClaimTable,
  candidatesStatements,
  compilable,
  type HeldLease,
  type HeldLeaseRow,
  type Tables,
  TooBroad,
  toHeldLease,
  toWaiter,
  Uncompiled,
  type Waiter,
  type WaiterRow,
} from '../../leases/index.ts';
import { runFactsStatement, toRunFacts } from '../../loops/index.ts';
import {
  lockRepos,
  readHead,
  readKept,
  readKeys,
  readLeases,
  readLeasesSince,
  readRepos,
  readTickets,
  readWaitersSince,
} from './load-statements.ts';
import { collect } from './named.ts';
import type { HotOperation } from './operation.ts';
import { type ApprovalRow, type KeptAnswer, keptKey, type Snapshot } from './snapshot.ts';

/** Compiled policies and active halts, each valid for one version of an org and never changing under it. */
export interface VersionCaches {
  readonly policies: RecentMap<PolicySet>;
  readonly halts: RecentMap<readonly ActiveHalt[]>;
}

export function createVersionCaches(): VersionCaches {
  return { policies: new RecentMap(500), halts: new RecentMap(2000) };
}

/**
 * Opens the batch's transaction and reads what its operations need, in one flush: the repos are locked first; all else
 * is read by statements of their own after that, so that each sees what was committed before the lock was had. Without
 * `lock` each sees what is committed then: nothing may be given by that.
 */
export async function loadSnapshot(
  client: pg.PoolClient,
  orgId: string,
  ops: readonly HotOperation[],
  caches: VersionCaches,
  { lock }: { readonly lock: boolean },
): Promise<Loaded> {
  const named = collect(ops);
  const candidates = named.wanted.length === 0 ? null : candidatesStatements(orgId, named.wanted);
  // What nobody in the batch needs is not asked.
  const statements = {
    begin: { text: 'BEGIN' },
    org: enterOrg(orgId),
    repos: lock ? lockRepos(orgId, named) : readRepos(orgId, named),
    head: readHead(orgId, lock),
    keys: readKeys(orgId, named.keyIds),
    runs: runFactsStatement(orgId, named.runIds, named.spokenForIds),
    leases: named.leaseIds.length === 0 ? null : readLeases(orgId, named.leaseIds),
    tickets: named.ticketIds.length === 0 ? null : readTickets(orgId, named.ticketIds),
    since: named.since.length === 0 ? null : readLeasesSince(orgId, named.since),
    waitersSince: named.since.length === 0 ? null : readWaitersSince(orgId, named.since),
    candidates: candidates?.lease ?? null,
    waiters: candidates?.waiter ?? null,
    kept: named.idempotency.length === 0 ? null : readKept(orgId, named.idempotency),
  };
  const answers = await flushNamed(client, statements);
  const { repos, head, keys, runs, leases, tickets, kept } = answers;
  const overlapping = [...rowsOf<HeldLeaseRow>(answers.candidates), ...rowsOf<HeldLeaseRow>(answers.since)];
  const waiters = [...rowsOf<WaiterRow>(answers.waiters), ...rowsOf<WaiterRow>(answers.waitersSince)];
  const byId = rowsOf<HeldLeaseRow>(leases);
  const isCut = [...compilable(overlapping).uncompiled, ...compilable(waiters).uncompiled].length > 0;
  if (isCut || areTooMany([...overlapping, ...byId]) || areTooMany(waiters))
    throw new TooBroad('too many leases may overlap what is wanted');
  const { uncompiled } = compilable(byId);
  if (uncompiled.length > 0) throw new Uncompiled(uncompiled);
  const [read] = rowsOf<HeadRow>(head);
  if (read === undefined) throw new Error(`org ${orgId} has no head row`);
  const versions = { policyVersion: Number(read.policy_version), haltEpoch: Number(read.halt_epoch) };
  const repoRows = rowsOf<RepoRow>(repos);
  const snapshot: Snapshot = {
    orgId,
    now: read.now,
    seq: Number(read.seq),
    someWait: read.some_wait,
    ...versions,
    settings: settingsOf(read.settings),
    policies: await policiesOf(client, orgId, versions.policyVersion, caches),
    halts: await activeHaltsOf(client, orgId, versions.haltEpoch, caches),
    keys: new Map(rowsOf<KeyRow>(keys).map((row) => [row.id, { teams: row.teams ?? [] }])),
    runs: new Map(rowsOf<{ id: string }>(runs).map((row) => [row.id, toRunFacts(row)])),
    repos: new Map(repoRows.map((row) => [row.id, { name: row.name, caseSensitive: row.case_sensitive }])),
    ...tablesOf(repoRows, overlapping, byId),
    ...waitersOf(orgId, repoRows, waiters, rowsOf<WaiterRow>(tickets)),
    waits: null,
    kept: new Map(rowsOf<KeptRow>(kept).map((row) => [keptKey(row.key_id, row.key), toKept(row)])),
    approvals: new Map(),
  };
  return { snapshot, xid: read.xid, factsVersion: Number(read.facts_version) };
}

interface HeadRow {
  now: Date;
  seq: string;
  some_wait: boolean;
  policy_version: string;
  halt_epoch: string;
  facts_version: string;
  settings: unknown;
  xid: string;
}
interface RepoRow {
  id: string;
  name: string;
  case_sensitive: boolean;
}
interface KeyRow {
  id: string;
  teams: { id: string; name: string }[] | null;
}
interface KeptRow {
  key_id: string;
  key: string;
  operation: string;
  fingerprint: Buffer;
  status: number;
  response: string;
  fence: string | null;
}
interface HaltRow {
  id: string;
  scope_kind: ActiveHalt['scopeKind'];
  scope_id: string | null;
  reason: string;
}

/** The driver cannot know what a statement selects; the statement and its row type stand side by side here. */
function rowsOf<T>(result: pg.QueryResult | undefined): T[] {
  return (result?.rows ?? []) as T[];
}

export interface Loaded {
  readonly snapshot: Snapshot;
  /** The transaction's id, by which a lost COMMIT is looked up. */
  readonly xid: string;
  /** Read before the facts themselves: they may be newer than it says, never older. */
  readonly factsVersion: number;
}

function toKept(row: KeptRow): KeptAnswer {
  const { operation, fingerprint, status, response, fence } = row;
  return { operation, fingerprint, status, response, fence: fence === null ? null : Number(fence) };
}

function tablesOf(
  repos: readonly RepoRow[],
  candidates: readonly HeldLeaseRow[],
  byId: readonly HeldLeaseRow[],
): { tables: Map<string, Tables['leases']>; leases: Map<string, HeldLease>; endedLeases: Map<string, HeldLease> } {
  const tables = new Map(
    repos.map((repo) => [repo.id, new ClaimTable<HeldLease>({ caseSensitive: repo.case_sensitive })]),
  );
  const leases = new Map<string, HeldLease>();
  const endedLeases = new Map<string, HeldLease>();
  // A lease that is both a candidate and named is one object: a renewal must be seen by a grant later in the batch.
  for (const row of [...byId, ...candidates]) {
    if (leases.has(row.id) || endedLeases.has(row.id)) continue;
    const lease = toHeldLease(row);
    if (row.ended_at !== null) {
      endedLeases.set(lease.id, lease);
      if (lease.revoked !== null) tables.get(lease.repoId)?.add(lease);
      continue;
    }
    leases.set(lease.id, lease);
    tables.get(lease.repoId)?.add(lease);
  }
  return { tables, leases, endedLeases };
}

function waitersOf(
  orgId: string,
  repos: readonly RepoRow[],
  candidates: readonly WaiterRow[],
  byId: readonly WaiterRow[],
): { waiters: Map<string, Tables['waiters']>; tickets: Map<string, Waiter> } {
  const waiters = new Map(
    repos.map((repo) => [repo.id, new ClaimTable<Waiter>({ caseSensitive: repo.case_sensitive })]),
  );
  const tickets = new Map(byId.map((row) => [row.id, toWaiter(orgId, row)]));
  for (const ticket of tickets.values()) if (ticket.status === 'waiting') waiters.get(ticket.repoId)?.add(ticket);
  for (const row of candidates) {
    if (!tickets.has(row.id)) waiters.get(row.repo_id)?.add(toWaiter(orgId, row));
  }
  return { waiters, tickets };
}

/** By what was published at or before the version: exact, even if a publish commits while we read. */
async function policiesOf(
  client: pg.PoolClient,
  orgId: string,
  version: number,
  caches: VersionCaches,
): Promise<PolicySet> {
  if (version === 0) return EMPTY_POLICY_SET;
  const key = `${orgId} ${version}`;
  const known = caches.policies.get(key);
  if (known !== undefined) return known;
  const { rows } = await client.query<PublishedPolicy>({
    name: 'published_policies',
    text: `SELECT DISTINCT ON (v.name) v.name, v.version, v.document FROM policy_version v
      WHERE v.org_id = $1 AND v.org_version <= $2 ORDER BY v.name, v.org_version DESC`,
    values: [orgId, version],
  });
  const compiled = compilePolicySet(rows);
  caches.policies.set(key, compiled);
  return compiled;
}

async function activeHaltsOf(
  client: pg.PoolClient,
  orgId: string,
  epoch: number,
  caches: VersionCaches,
): Promise<readonly ActiveHalt[]> {
  if (epoch === 0) return [];
  const key = `${orgId} ${epoch}`;
  const known = caches.halts.get(key);
  if (known !== undefined) return known;
  const { rows } = await client.query<HaltRow>({
    name: 'active_halts',
    text: `SELECT h.id, h.scope_kind, h.scope_id, h.reason FROM halt h WHERE h.org_id = $1 AND h.lifted_at IS NULL ORDER BY h.id`,
    values: [orgId],
  });
  const halts = rows.map(
    (row): ActiveHalt => ({ id: row.id, scopeKind: row.scope_kind, scopeId: row.scope_id, reason: row.reason }),
  );
  caches.halts.set(key, halts);
  return halts;
}

/** Locks and reads the approvals of these digests: what is found cannot be voted on or spent until the batch ends. */
export async function loadApprovals(
  client: pg.PoolClient,
  snapshot: Snapshot,
  digests: readonly string[],
): Promise<void> {
  const { rows } = await client.query<ApprovalRow>({
    name: 'approvals_by_digest',
    text: `SELECT a.id, encode(a.digest, 'hex') AS digest, a.status, a.requirements, a.expires_at AS "expiresAt",
        (SELECT v.comment FROM vote v WHERE v.org_id = $1 AND v.approval_id = a.id AND v.verdict = 'reject' LIMIT 1) AS comment
      FROM approval a
      WHERE a.org_id = $1 AND a.digest = ANY ($2::bytea[])
        AND (a.status IN ('pending', 'approved') OR a.status = 'rejected' AND a.expires_at > $3)
      ORDER BY a.id FOR NO KEY UPDATE`,
    values: [snapshot.orgId, digests.map((digest) => Buffer.from(digest, 'hex')), snapshot.now],
  });
  for (const row of rows) {
    const known = snapshot.approvals.get(row.digest);
    // An open one decides; of several rejected ones the newest, which comes last.
    if (known === undefined || known.status === 'rejected') snapshot.approvals.set(row.digest, row);
  }
}
