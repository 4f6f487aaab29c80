import { z } from 'zod';
import type { Repo } from '../../generated/prisma/client.ts';
import type { Database, OrgTx } from '../../platform/database/database.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { newId } from '../../platform/ids.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { demandSpeaker, type Speaker } from './locked-run.ts';

export const repoView = z
  .object({ id: uuid(), name: z.string(), caseSensitive: z.boolean(), createdAt: time() })
  .meta({ id: 'Repo' });

type RepoView = z.output<typeof repoView>;

export interface RepoRef {
  readonly id: string;
  readonly name: string;
  /** As it was when this server first saw the repo. It can change: whoever compares paths reads the locked row. */
  readonly caseSensitive: boolean;
}

const CACHE_SIZE = 10_000;

/** Repos: they register themselves on first use. */
export class RepoService {
  readonly #db: Database;
  readonly #hasOpenLeases: (tx: OrgTx, repoId: string) => Promise<boolean>;
  readonly #cache = new RecentMap<RepoRef>(CACHE_SIZE);

  /** @param hasOpenLeases whether leases that have not ended lie in a repo, whose row is locked by then */
  constructor(db: Database, hasOpenLeases: (tx: OrgTx, repoId: string) => Promise<boolean>) {
    this.#db = db;
    this.#hasOpenLeases = hasOpenLeases;
  }

  /**
   * The repo of that name, registered now if it is new: only the id and the name may be relied on. Who may ask for nothing in it
   * registers nothing either: a process that its run has left behind, or a name that was mistyped with a foreign run's id,
   * would leave a repo there for ever.
   * @param speaker in whose name it is asked for; null for nobody's
   * @throws Problem as `demandSpeaker`, of a repo that is new
   */
  async resolve(principal: Principal, name: string, speaker: Speaker | null): Promise<RepoRef> {
    const cacheKey = `${principal.orgId} ${name}`;
    const cached = this.#cache.get(cacheKey);
    if (cached !== undefined) return cached;
    const { id, caseSensitive } = await this.#db.write(principal, (tx) =>
      ensureRepo(tx, name, async () => {
        if (speaker !== null) await demandSpeaker(tx, speaker);
      }),
    );
    const ref = { id, name, caseSensitive };
    this.#cache.set(cacheKey, ref);
    return ref;
  }

  async list(
    principal: Principal,
    query: { name?: string | undefined; limit: number; cursor?: string | undefined },
  ): Promise<Page<RepoView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.repo.findMany({
        where: {
          orgId: tx.orgId,
          ...(query.name === undefined ? {} : { name: query.name }),
          ...(after === null ? {} : { id: { gt: String(after[0]) } }),
        },
        orderBy: { id: 'asc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewRepo, (row) => [row.id]);
    });
  }

  /**
   * Whether the repo's paths differ by case decides which leases collide, so it changes only while none is open.
   * @throws Problem 404; 409 `repo_in_use`
   */
  async patch(principal: Principal, id: string, patch: { caseSensitive?: boolean | undefined }): Promise<RepoView> {
    return this.#db.write(principal, async (tx) => {
      await tx.db.$queryRaw`SELECT 1 FROM repo WHERE org_id = ${tx.orgId}::uuid AND id = ${id}::uuid FOR UPDATE`;
      const where = { orgId_id: { orgId: tx.orgId, id } };
      const repo = await tx.db.repo.findUnique({ where });
      if (repo === null) throw notFound('repo');
      const { caseSensitive = repo.caseSensitive } = patch;
      if (caseSensitive === repo.caseSensitive) return viewRepo(repo);
      if (await this.#hasOpenLeases(tx, id)) throw conflict('repo_in_use', 'Leases in this repo have not ended.');
      const changed = await tx.db.repo.update({ where, data: { caseSensitive } });
      tx.emit({ kind: 'repo.changed', subject: { kind: 'repo', id }, data: { name: repo.name, caseSensitive } });
      return viewRepo(changed);
    });
  }
}

/**
 * The repo's row, inserted with its event if it is new. Of two at once, the second waits for the first's row.
 * @param mayRegister throws for whoever may not register a new one
 */
export async function ensureRepo(tx: OrgTx, name: string, mayRegister?: () => Promise<void>): Promise<Repo> {
  const where = { orgId_name: { orgId: tx.orgId, name } };
  const known = await tx.db.repo.findUnique({ where });
  if (known !== null) return known;
  await mayRegister?.();
  const id = newId();
  const { count } = await tx.db.repo.createMany({
    data: [{ orgId: tx.orgId, id, name, createdAt: tx.now }],
    skipDuplicates: true,
  });
  if (count > 0) tx.emit({ kind: 'repo.registered', subject: { kind: 'repo', id }, data: { name } });
  return tx.db.repo.findUniqueOrThrow({ where });
}

/** The names of the repos that rows are of, by id. */
export async function repoNames(
  tx: Pick<OrgTx, 'db' | 'orgId'>,
  rows: readonly { readonly repoId: string }[],
): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(rows.map(({ repoId }) => repoId))];
  const repos = await tx.db.repo.findMany({ where: { orgId: tx.orgId, id: { in: ids } } });
  return new Map(repos.map(({ id, name }) => [id, name]));
}

function viewRepo(repo: Repo): RepoView {
  return { id: repo.id, name: repo.name, caseSensitive: repo.caseSensitive, createdAt: repo.createdAt.toISOString() };
}
