import { Prisma } from '../../generated/prisma/client.ts';
import { indexKey, type Path, parsePath } from '../../patterns/index.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { invalid, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import { repoNames } from '../loops/index.ts';
import { isSamePath } from './history.ts';
import { type RecentChange, readRecent } from './recent.ts';
import { type ReadLeases, type Recorded, recordChange } from './record.ts';
import { type ReportInput, readReport } from './report.ts';
import { type ChangeView, type RecordedView, viewChange, viewWholeChange, type WholeChangeView } from './views.ts';

export interface ChangeQuery {
  readonly repo?: string | undefined;
  readonly path?: string | undefined;
  readonly runId?: string | undefined;
  readonly commit?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** Told after a change of this server's has committed. */
export type ChangeListener = (orgId: string, repoId: string, change: RecentChange) => void;

type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

/** The change ledger: what landed, why, by whom, and whether a lease covered it. */
export class ChangeService {
  readonly #db: Database;
  readonly #readLeases: ReadLeases;
  readonly #listeners: ChangeListener[] = [];

  constructor(db: Database, readLeases: ReadLeases) {
    this.#db = db;
    this.#readLeases = readLeases;
  }

  /** Called after each commit that recorded a change through this server. */
  onRecorded(listener: ChangeListener): void {
    this.#listeners.push(listener);
  }

  /** 201 for a new change, 200 for the same report again. @throws Problem as `readReport` and `recordChange` */
  async record(principal: Principal, input: ReportInput, idempotent: Idempotent | null): Promise<Answer<RecordedView>> {
    const report = readReport(input);
    let told: { repoId: string; change: RecentChange } | null = null;
    const answer = await this.#db.create(principal, idempotent, async (tx) => {
      const recorded = await recordChange(tx, report, this.#readLeases);
      told = recorded.isNew ? await this.#toTell(tx, recorded) : null;
      return { status: recorded.isNew ? 201 : 200, body: recorded.answer };
    });
    if (told !== null) this.#tell(principal.orgId, told);
    return answer;
  }

  /** Newest first. @throws Problem 422 for a bad path or cursor, `repo_required` */
  async list(principal: Principal, query: ChangeQuery): Promise<Page<ChangeView>> {
    const after = decodeCursor(query.cursor, 'uuid')?.[0] ?? null;
    const path = query.path === undefined ? null : readPath(query.path);
    if (path !== null && query.repo === undefined)
      throw invalid('repo_required', 'A path is looked up in one repo: send repo too.');
    return this.#db.read(principal, async (tx) => {
      const { orgId } = tx;
      const repo =
        query.repo === undefined
          ? null
          : await tx.db.repo.findUnique({ where: { orgId_name: { orgId, name: query.repo } } });
      if (query.repo !== undefined && repo === null) return { items: [], nextCursor: null };
      const ids = path === null || repo === null ? null : await touching(tx, repo, path, after);
      const rows = await tx.db.change.findMany({
        where: {
          AND: [
            { orgId },
            repo === null ? {} : { repoId: repo.id },
            query.runId === undefined ? {} : { runId: query.runId },
            query.commit === undefined ? {} : { commit: query.commit },
            after === null ? {} : { id: { lt: String(after) } },
            ids === null ? {} : { id: { in: ids } },
          ],
        },
        orderBy: { id: 'desc' },
        take: query.limit + 1,
      });
      const names = await repoNames(tx, rows);
      return pageFrom(
        rows,
        query.limit,
        (row) => viewChange(row, names.get(row.repoId) ?? ''),
        (row) => [row.id],
      );
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<WholeChangeView> {
    return this.#db.read(principal, async (tx) => {
      const { orgId } = tx;
      const change = await tx.db.change.findUnique({ where: { orgId_id: { orgId, id } } });
      if (change === null) throw notFound('change');
      const files = await tx.db.changeFile.findMany({ where: { orgId, changeId: id }, orderBy: { ordinal: 'asc' } });
      const names = await repoNames(tx, [change]);
      return viewWholeChange(change, names.get(change.repoId) ?? '', files);
    });
  }

  /** Changes of one repo since a moment, newest first. */
  async recent(
    principal: Principal,
    query: { repoId: string; since: Date; limit: number },
  ): Promise<readonly RecentChange[]> {
    return this.#db.read(principal, (tx) => readRecent(tx, query));
  }

  async #toTell(tx: OrgTx, { answer, repoId }: Recorded): Promise<{ repoId: string; change: RecentChange } | null> {
    if (this.#listeners.length === 0) return null;
    const [change] = await readRecent(tx, { repoId, since: new Date(0), limit: 1, changeId: answer.id });
    return change === undefined ? null : { repoId, change };
  }

  #tell(orgId: string, { repoId, change }: { repoId: string; change: RecentChange }): void {
    for (const listener of this.#listeners) listener(orgId, repoId, change);
  }
}

function readPath(text: string): Path {
  const read = parsePath(text);
  if (!read.ok) throw invalid(read.problem.code, `query.path: ${read.problem.detail}`);
  return read.path;
}

/** Rows looked at for one page. Keys are folded and cut: what only shares the key is left out again. */
const TOUCHING_SCANNED = 5000;

/** Ids of changes that touched the path, newest first, beyond the cursor. */
async function touching(
  tx: ReadTx,
  repo: { id: string; caseSensitive: boolean },
  path: Path,
  after: string | number | null,
): Promise<string[]> {
  const rows = await tx.db.$queryRaw<{ id: string; path: string }[]>`
    SELECT f.change_id::text AS id, f.path FROM change_file f
    WHERE ${Prisma.join(
      [
        Prisma.sql`f.org_id = ${tx.orgId}::uuid`,
        Prisma.sql`f.repo_id = ${repo.id}::uuid`,
        Prisma.sql`f.key = ${indexKey(path).key} COLLATE "C"`,
        ...(after === null ? [] : [Prisma.sql`f.change_id < ${String(after)}::uuid`]),
      ],
      ' AND ',
    )}
    ORDER BY f.change_id DESC LIMIT ${TOUCHING_SCANNED}::int`;
  return rows.filter((row) => isSamePath(path, row.path, repo)).map(({ id }) => id);
}
