import { Prisma } from '../../generated/prisma/client.ts';
import { type Path, parsePath } from '../../patterns/index.ts';
import type { Database, OrgTx } from '../../platform/database/database.ts';
import { invalid, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import { settingsOf } from '../identity/index.ts';
import { Comparison } from './broad-search.ts';
import { areTooMany, candidatesStatements, HELD_LEASE, type HeldLeaseRow, toHeldLease } from './candidates.ts';
import { textsOf } from './claim.ts';
import { ClaimTable } from './claim-table.ts';
import { type HeldLease, standing } from './lease.ts';
import { parseClaims } from './request.ts';
import { type Revocation, revocationsOf } from './revocations.ts';
import { TooBroad } from './too-broad.ts';
import { compileStored } from './uncompiled.ts';
import { type LeaseView, viewLease } from './views.ts';

export type ReadTx = Pick<OrgTx, 'db' | 'orgId' | 'now'>;

export interface Verification {
  readonly ok: boolean;
  /** Paths that none of the presented live and exclusive leases covers. */
  readonly uncovered: string[];
  readonly stale: { id: string; fence: number; reason: StaleReason; message: string | null }[];
}

export const STALE_REASONS = ['unknown', 'fence', 'ended', 'revoked', 'expired', 'other_repo'] as const;
type StaleReason = (typeof STALE_REASONS)[number];

/** Reading leases: what is held, and whether what a push or merge brings was held. Changing them is the hot path's. */
export class LeaseService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Leases that are live or closing, newest first; with `path`, those that cover it. @throws Problem 422 for a bad path, `leases_too_intricate` */
  async list(
    principal: Principal,
    query: {
      repo?: string | undefined;
      path?: string | undefined;
      runId?: string | undefined;
      limit: number;
      cursor?: string | undefined;
    },
  ): Promise<Page<LeaseView>> {
    const [after = null] = decodeCursor(query.cursor, 'number') ?? [];
    const below = after === null ? null : Number(after);
    const path = query.path === undefined ? null : readPath(query.path);
    if (path !== null && query.repo === undefined)
      throw invalid('repo_required', 'A path is looked up in one repo: send repo too.');
    return this.#db.read(principal, async (tx) => {
      const lockDelay = await lockDelayOf(tx);
      const repo =
        query.repo === undefined
          ? null
          : await tx.db.repo.findUnique({ where: { orgId_name: { orgId: tx.orgId, name: query.repo } } });
      if (query.repo !== undefined && repo === null) return { items: [], nextCursor: null };
      const rows =
        path === null || repo === null
          ? await newest(tx, {
              repoId: repo?.id,
              runId: query.runId,
              below,
              limit: query.limit + 1,
              lockDelay,
            })
          : (await covering(tx, repo, path, query.runId)).filter(({ fence }) => below === null || fence! < below);
      const held = rows.filter((lease) => ['live', 'closing'].includes(standing(lease, tx.now, lockDelay)));
      return pageFrom(
        held,
        query.limit,
        (lease) => viewLease(lease, tx.now, lockDelay),
        (lease) => [lease.fence ?? 0],
      );
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<LeaseView> {
    return this.#db.read(principal, async (tx) => {
      const [lease] = await leasesByIds(tx, [id]);
      if (lease === undefined) throw notFound('lease');
      const view = viewLease(lease, tx.now, await lockDelayOf(tx));
      return lease.ended && lease.revoked === null ? { ...view, state: 'over' as const } : view;
    });
  }

  /** The leases of a run that an admin took back, and that it might still take for its own. */
  async revocations(principal: Principal, runId: string): Promise<readonly Revocation[]> {
    return this.#db.read(principal, async (tx) => revocationsOf(tx, runId, tx.now));
  }

  /** Whether a third of a run's time on anything that it holds has passed: its next heartbeat is due. */
  async areRunningLow(principal: Principal, runId: string): Promise<boolean> {
    const [row] = await this.#db.read(
      principal,
      (tx) => tx.db.$queryRaw<{ low: boolean }[]>`
        SELECT EXISTS (SELECT FROM lease l WHERE l.org_id = ${tx.orgId}::uuid AND l.run_id = ${runId}::uuid AND l.ended_at IS NULL
          AND l.expires_at > ${tx.now} AND l.expires_at < ${tx.now}::timestamptz + make_interval(secs => l.ttl_seconds) * 2 / 3) AS low`,
    );
    return row!.low;
  }

  /**
   * For push and merge gates: are all paths covered by these leases, each live and with its own fence? Whoever holds a
   * lease that has expired cannot know whether another run has taken over: it counts as stale. A shared one covers nothing:
   * it kept nobody else from the same.
   * @throws Problem 422 for a bad path, `verify_too_large`
   */
  async verify(
    principal: Principal,
    input: { repo: string; paths: string[]; leases: { id: string; fence: number }[] },
  ): Promise<Verification> {
    const paths = parseClaims(input.paths, []) as Path[];
    const verified = this.#db.read(principal, async (tx) => {
      const repo = await tx.db.repo.findUnique({ where: { orgId_name: { orgId: tx.orgId, name: input.repo } } });
      const found = new Map(
        (
          await leasesByIds(
            tx,
            input.leases.map(({ id }) => id),
          )
        ).map((lease) => [lease.id, lease]),
      );
      const live = new ClaimTable<HeldLease>({ caseSensitive: repo?.caseSensitive ?? true });
      const stale: Verification['stale'] = [];
      const counting: HeldLease[] = [];
      for (const claimed of input.leases) {
        const lease = found.get(claimed.id);
        const reason = staleness(lease, claimed.fence, repo?.id, tx.now);
        const message = reason === 'revoked' ? (lease?.revoked ?? null) : null;
        if (reason === null && lease?.mode === 'exclusive') counting.push(lease);
        if (reason !== null) stale.push({ ...claimed, reason, message });
      }
      await compileStored(counting.flatMap(({ matchers }) => textsOf(matchers, 'pattern')));
      for (const lease of counting) live.add(lease);
      const uncovered = paths.filter((path) => !live.overlapsAny(path)).map(({ text }) => text);
      return { ok: uncovered.length === 0 && stale.length === 0, uncovered, stale };
    });
    return verified.catch(unlessTooBroad);
  }
}

/** @throws Problem 422 `verify_too_large` */
function unlessTooBroad(error: unknown): never {
  if (!(error instanceof TooBroad)) throw error;
  throw invalid('verify_too_large', 'Too many paths and patterns to be compared at once: verify them in parts.');
}

function staleness(
  lease: (HeldLease & { ended: boolean }) | undefined,
  fence: number,
  repoId: string | undefined,
  now: Date,
): StaleReason | null {
  if (lease === undefined) return 'unknown';
  if (lease.repoId !== repoId) return 'other_repo';
  if (lease.fence !== fence) return 'fence';
  if (lease.revoked !== null) return 'revoked';
  if (lease.ended || lease.runFinished) return 'ended';
  return lease.expiresAt <= now ? 'expired' : null;
}

function readPath(text: string): Path {
  const read = parsePath(text);
  if (!read.ok) throw invalid(read.problem.code, `query.path: ${read.problem.detail}`);
  return read.path;
}

export async function lockDelayOf(tx: ReadTx): Promise<number> {
  const org = await tx.db.org.findUniqueOrThrow({ where: { id: tx.orgId }, select: { settings: true } });
  return settingsOf(org.settings).lockDelaySeconds;
}

const heldLease = Prisma.raw(HELD_LEASE);

async function newest(
  tx: ReadTx,
  filter: {
    repoId: string | undefined;
    runId: string | undefined;
    below: number | null;
    limit: number;
    lockDelay: number;
  },
): Promise<HeldLease[]> {
  const { repoId, runId, below, limit, lockDelay } = filter;
  // Only what is asked: a condition that may stand for nothing keeps the index that has a repo's leases in this order from
  // being used, and this is read once a second for every busy repo.
  const where = [
    Prisma.sql`l.org_id = ${tx.orgId}::uuid AND l.ended_at IS NULL AND r.status <> 'finished'
    AND l.expires_at > clock_timestamp() - make_interval(secs => ${lockDelay}::int)`,
  ];
  if (repoId !== undefined) where.push(Prisma.sql`l.repo_id = ${repoId}::uuid`);
  if (runId !== undefined) where.push(Prisma.sql`l.run_id = ${runId}::uuid`);
  if (below !== null) where.push(Prisma.sql`l.fence < ${below}::bigint`);
  const rows = await tx.db.$queryRaw<HeldLeaseRow[]>`${heldLease}
    WHERE ${Prisma.join(where, ' AND ')} ORDER BY l.fence DESC LIMIT ${limit}`;
  return rows.map(toHeldLease);
}

/** Steps (see `workDone`) that it may cost to tell which leases lie over a path: half a second, while a transaction is open. */
const LIST_STEPS_MAX = 50_000_000;

async function covering(
  tx: ReadTx,
  repo: { id: string; caseSensitive: boolean },
  path: Path,
  runId: string | undefined,
): Promise<HeldLease[]> {
  const { text, values = [] } = candidatesStatements(tx.orgId, [{ repoId: repo.id, matchers: [path] }]).lease;
  const rows = await tx.db.$queryRawUnsafe<HeldLeaseRow[]>(text, ...values);
  const comparison = new Comparison([path], repo, LIST_STEPS_MAX);
  const found: HeldLease[] = [];
  for (const row of rows) {
    if (runId !== undefined && row.run_id !== runId) continue;
    if (await comparison.meets(row)) found.push(toHeldLease(row));
    if (comparison.isSpent)
      throw invalid(
        'leases_too_intricate',
        'The patterns that may match this path are too intricate to be compared with it.',
      );
  }
  return found.toSorted((a, b) => (b.fence ?? 0) - (a.fence ?? 0));
}

/** @throws TooBroad when so many patterns are among them that others would wait until all are compiled */
async function leasesByIds(tx: ReadTx, ids: readonly string[]): Promise<(HeldLease & { ended: boolean })[]> {
  const rows = await tx.db.$queryRaw<
    HeldLeaseRow[]
  >`${heldLease} WHERE l.org_id = ${tx.orgId}::uuid AND l.id = ANY (${ids}::uuid[])`;
  if (areTooMany(rows)) throw new TooBroad('the leases hold too many patterns');
  return rows.map((row) => ({ ...toHeldLease(row), ended: row.ended_at !== null }));
}

/** Whether leases lie in a repo whose end no row says yet, or somebody waits for one. */
export async function hasOpenLeases(tx: OrgTx, repoId: string): Promise<boolean> {
  const rows = await tx.db.$queryRaw<{ found: boolean }[]>`
    SELECT EXISTS (SELECT FROM lease_key k WHERE k.org_id = ${tx.orgId}::uuid AND k.repo_id = ${repoId}::uuid)
      OR EXISTS (SELECT FROM lease_waiter_key k WHERE k.org_id = ${tx.orgId}::uuid AND k.repo_id = ${repoId}::uuid) AS found`;
  return rows[0]?.found ?? false;
}
