import type { Deploy } from '../../generated/prisma/client.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { newId } from '../../platform/ids.ts';
import { type Principal, principalId } from '../../platform/principal.ts';
import { repoNames } from '../loops/index.ts';
import { type Brought, commitUnknown, whatItBrought } from './deploy-range.ts';
import { notInFuture } from './moment.ts';
import type { DeployBasis, DeployBody, DeployView, Edge, WholeDeployView } from './views.ts';

export interface DeployQuery {
  readonly repo?: string | undefined;
  readonly service?: string | undefined;
  readonly environment?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

/** Changes shown of one deploy. */
const CHANGES_SHOWN = 500;

/** What went out where, and which recorded changes that brought. */
export class DeployService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * All of it or nothing: a deploy that cannot be tied to any recorded change would never show up behind an incident,
   * and whoever recorded it would believe that it does.
   * @throws Problem 422 `commit_unknown`, `time_in_future`
   */
  async record(principal: Principal, body: DeployBody, idempotent: Idempotent | null): Promise<Answer<DeployView>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      // Its row orders deploys among themselves and against changes that are being recorded. An unknown repo is not
      // registered: none of its commits can be known.
      const [repo] = await tx.db.$queryRaw<{ id: string }[]>`
        SELECT id::text FROM repo WHERE org_id = ${tx.orgId}::uuid AND name = ${body.repo} FOR NO KEY UPDATE`;
      if (repo === undefined) throw commitUnknown([body.commit]);
      const now = await tx.clock();
      const commits = {
        service: body.service,
        environment: body.environment,
        commit: body.commit,
        previousCommit: body.previousCommit ?? null,
        commits: body.commits ?? null,
        at: notInFuture('at', body.at, now),
      };
      const brought = await whatItBrought(tx, repo.id, commits);
      const deploy = await insert(tx, { commits, brought, repoId: repo.id, now });
      emitRecorded(tx, body.repo, deploy);
      return { status: 201, body: viewDeploy(deploy, body.repo) };
    });
  }

  /** Newest first, by when they were recorded. @throws Problem 422 `cursor_invalid` */
  async list(principal: Principal, query: DeployQuery): Promise<Page<DeployView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const { orgId } = tx;
      const repoId = query.repo === undefined ? null : await repoIdOf(tx, query.repo);
      if (query.repo !== undefined && repoId === null) return { items: [], nextCursor: null };
      const rows = await tx.db.deploy.findMany({
        where: {
          orgId,
          ...(repoId === null ? {} : { repoId }),
          ...(query.service === undefined ? {} : { service: query.service }),
          ...(query.environment === undefined ? {} : { environment: query.environment }),
          ...(after === null ? {} : { id: { lt: String(after[0]) } }),
        },
        orderBy: { id: 'desc' },
        take: query.limit + 1,
      });
      const names = await repoNames(tx, rows);
      return pageFrom(
        rows,
        query.limit,
        (row) => viewDeploy(row, names.get(row.repoId) ?? ''),
        (row) => [row.id],
      );
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<WholeDeployView> {
    return this.#db.read(principal, async (tx) => {
      const { orgId } = tx;
      const deploy = await tx.db.deploy.findUnique({ where: { orgId_id: { orgId, id } } });
      if (deploy === null) throw notFound('deploy');
      const changes = await tx.db.$queryRaw<WholeDeployView['changes']>`
        SELECT c.id::text, c.commit, c.intent, d.edge FROM deploy_change d
        JOIN change c ON c.org_id = d.org_id AND c.id = d.change_id
        WHERE d.org_id = ${orgId}::uuid AND d.deploy_id = ${id}::uuid
        ORDER BY c.at DESC, c.id DESC LIMIT ${CHANGES_SHOWN}::int`;
      const names = await repoNames(tx, [deploy]);
      return { ...viewDeploy(deploy, names.get(deploy.repoId) ?? ''), changes };
    });
  }
}

async function insert(
  tx: OrgTx,
  given: {
    commits: { service: string; environment: string; commit: string; previousCommit: string | null; at: Date };
    brought: Brought;
    repoId: string;
    now: Date;
  },
): Promise<Deploy> {
  const { brought, repoId, now } = given;
  const { service, environment, commit, previousCommit, at } = given.commits;
  const id = newId();
  const deploy = await tx.db.deploy.create({
    data: {
      orgId: tx.orgId,
      id,
      repoId,
      service,
      environment,
      commit,
      previousCommit,
      headChangeId: brought.headChangeId,
      basis: brought.basis,
      rollback: brought.rollback,
      changeCount: brought.changes.length,
      changesOmitted: brought.changesOmitted,
      unknownCommits: [...brought.unknownCommits],
      at,
      recordedAt: now,
      recordedBy: principalId(tx.principal),
    },
  });
  await tx.db.deployChange.createMany({
    data: brought.changes.map(({ changeId, edge }: { changeId: string; edge: Edge }) => ({
      orgId: tx.orgId,
      deployId: id,
      changeId,
      edge,
    })),
  });
  return deploy;
}

function emitRecorded(tx: OrgTx, repo: string, deploy: Deploy): void {
  const { id, service, environment, commit, basis, rollback, changeCount, unknownCommits, at } = deploy;
  tx.emit(
    {
      kind: 'deploy.recorded',
      subject: { kind: 'deploy', id },
      data: {
        repo,
        service,
        environment,
        commit,
        basis,
        rollback,
        changeCount,
        unknownCount: unknownCommits.length,
        at: at.toISOString(),
      },
    },
    deploy.recordedAt,
  );
}

function viewDeploy(deploy: Deploy, repo: string): DeployView {
  return {
    id: deploy.id,
    service: deploy.service,
    environment: deploy.environment,
    repo,
    commit: deploy.commit,
    previousCommit: deploy.previousCommit,
    at: deploy.at.toISOString(),
    recordedAt: deploy.recordedAt.toISOString(),
    recordedBy: deploy.recordedBy,
    basis: deploy.basis as DeployBasis,
    rollback: deploy.rollback,
    changeCount: deploy.changeCount,
    changesOmitted: deploy.changesOmitted,
    unknownCommits: deploy.unknownCommits,
  };
}

async function repoIdOf(tx: ReadTx, name: string): Promise<string | null> {
  const repo = await tx.db.repo.findUnique({ where: { orgId_name: { orgId: tx.orgId, name } } });
  return repo?.id ?? null;
}
