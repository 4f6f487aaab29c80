import { Prisma } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { invalid } from '../../platform/errors.ts';
import type { DeployBasis, Edge } from './views.ts';

/** Changes that one deploy is taken to have brought: the newest ones, so that the older are those left out. */
const MAX_BROUGHT = 2000;
/** How far the first deploy of a service goes back: nothing is known of when the older ones went out. */
const FIRST_DEPLOY_DAYS = 30;
const DAY_MS = 24 * 3600 * 1000;

/** What a deploy says of its commits. */
export interface DeployCommits {
  readonly service: string;
  readonly environment: string;
  readonly commit: string;
  readonly previousCommit: string | null;
  /** Null: not said. Empty: nothing new went out. */
  readonly commits: readonly string[] | null;
  readonly at: Date;
}

/** Where a change stands in its repo's ledger: by time of record, then id. */
interface Position {
  readonly id: string;
  readonly at: Date;
}

interface Known extends Position {
  readonly commit: string;
}

export interface Brought {
  readonly basis: DeployBasis;
  readonly headChangeId: string;
  readonly changes: readonly { readonly changeId: string; readonly edge: Edge }[];
  readonly changesOmitted: number;
  readonly unknownCommits: readonly string[];
  /** It went back behind what was out already. */
  readonly rollback: boolean;
}

/**
 * Which recorded changes a deploy brought: those it names; else those recorded between its two commits; else those since
 * the last deploy of the same service and environment. The ledger knows no ancestry, so only what is named (or is the
 * deployed commit itself) is exact. Run it under the repo's lock.
 * @throws Problem 422 `commit_unknown` when no change is on record for the commit that the answer depends on
 */
export async function whatItBrought(tx: OrgTx, repoId: string, deploy: DeployCommits): Promise<Brought> {
  if (deploy.commits !== null) return named(tx, repoId, deploy, deploy.commits);
  const [head] = await findCommits(tx, repoId, [deploy.commit]);
  if (head === undefined) throw commitUnknown([deploy.commit]);
  if (deploy.previousCommit !== null) {
    const previous = await positionOf(tx, repoId, deploy, deploy.previousCommit);
    return between(tx, repoId, { basis: 'between', from: previous, head });
  }
  const last = await lastDeployed(tx, repoId, deploy);
  return between(tx, repoId, { basis: last === null ? 'first' : 'since_last', from: last, head });
}

async function named(tx: OrgTx, repoId: string, deploy: DeployCommits, commits: readonly string[]): Promise<Brought> {
  const wanted = [...new Set(commits)];
  const known = await findCommits(tx, repoId, [deploy.commit, ...wanted]);
  const [newest] = known.toSorted(byPosition).toReversed();
  if (newest === undefined) throw commitUnknown([...new Set([deploy.commit, ...wanted])]);
  const byCommit = new Map(known.map((change) => [change.commit, change]));
  const brought = wanted.flatMap((commit) => byCommit.get(commit) ?? []);
  return {
    basis: 'commits',
    headChangeId: (byCommit.get(deploy.commit) ?? newest).id,
    changes: brought.map(({ id }) => ({ changeId: id, edge: 'exact' })),
    changesOmitted: 0,
    unknownCommits: wanted.filter((commit) => !byCommit.has(commit)),
    rollback: false,
  };
}

/** After `from`, up to and including the head; a head before it is a rollback and brings nothing. */
async function between(
  tx: OrgTx,
  repoId: string,
  range: { basis: DeployBasis; from: Position | null; head: Known },
): Promise<Brought> {
  const { basis, from, head } = range;
  const rollback = from !== null && byPosition(head, from) < 0;
  const empty = { basis, headChangeId: head.id, changes: [], changesOmitted: 0, unknownCommits: [], rollback };
  if (rollback) return empty;
  const after =
    from === null
      ? Prisma.sql`c.at > ${new Date(head.at.getTime() - FIRST_DEPLOY_DAYS * DAY_MS)}::timestamptz`
      : Prisma.sql`(c.at, c.id) > (${from.at}::timestamptz, ${from.id}::uuid)`;
  const rows = await tx.db.$queryRaw<{ id: string; total: bigint }[]>`
    SELECT c.id::text, count(*) OVER () AS total FROM change c
    WHERE c.org_id = ${tx.orgId}::uuid AND c.repo_id = ${repoId}::uuid AND ${after}
      AND (c.at, c.id) <= (${head.at}::timestamptz, ${head.id}::uuid)
    ORDER BY c.at DESC, c.id DESC LIMIT ${MAX_BROUGHT}::int`;
  return {
    ...empty,
    changes: rows.map(({ id }) => ({ changeId: id, edge: id === head.id ? 'exact' : 'inferred' })),
    changesOmitted: Number(rows[0]?.total ?? 0) - rows.length,
  };
}

/** A commit's position: its own change's or, for one that no change knows (a merge), that of the deploy that had it. */
async function positionOf(tx: OrgTx, repoId: string, deploy: DeployCommits, commit: string): Promise<Position> {
  const [change] = await findCommits(tx, repoId, [commit]);
  if (change !== undefined) return change;
  const last = await lastDeployed(tx, repoId, deploy, commit);
  if (last === null) throw commitUnknown([commit]);
  return last;
}

/** What stood there before: the head of the newest deploy to that service and environment, if there was one. */
async function lastDeployed(
  tx: OrgTx,
  repoId: string,
  { service, environment, at }: DeployCommits,
  commit?: string,
): Promise<Position | null> {
  const last = await tx.db.deploy.findFirst({
    where: {
      orgId: tx.orgId,
      repoId,
      service,
      environment,
      at: { lte: at },
      ...(commit === undefined ? {} : { commit }),
    },
    orderBy: [{ at: 'desc' }, { id: 'desc' }],
    select: { headChangeId: true },
  });
  if (last === null) return null;
  return tx.db.change.findUniqueOrThrow({
    where: { orgId_id: { orgId: tx.orgId, id: last.headChangeId } },
    select: { id: true, at: true },
  });
}

function findCommits(tx: OrgTx, repoId: string, commits: readonly string[]): Promise<Known[]> {
  return tx.db.change.findMany({
    where: { orgId: tx.orgId, repoId, commit: { in: [...new Set(commits)] } },
    select: { id: true, at: true, commit: true },
  });
}

function byPosition(a: Position, b: Position): number {
  return a.at.getTime() - b.at.getTime() || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

const COMMITS_TOLD = 5;

export function commitUnknown(commits: readonly string[]): Error {
  const told = commits.slice(0, COMMITS_TOLD).join(', ');
  const more = commits.length > COMMITS_TOLD ? ` and ${commits.length - COMMITS_TOLD} more` : '';
  return invalid(
    'commit_unknown',
    `No change is on record in this repo for ${told}${more}. Report it with POST /changes first, or name in \`commits\` what the deploy brought.`,
  );
}
