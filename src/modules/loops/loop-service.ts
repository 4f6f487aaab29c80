import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { invalid, notFound, type ProblemDetail } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import {
  type DefinitionInput,
  type DefinitionWarning,
  type LoopDefinition,
  parseLoopDefinition,
} from './definition/index.ts';
import { type NamedDefinition, registerLoop } from './registry.ts';
import { repoNames } from './repos.ts';
import { type LoopView, type RegisteredLoopView, viewLoop } from './views.ts';

export interface LoopQuery {
  readonly repo?: string | undefined;
  /** A principal's id: a member's, or that of a key bound to no member. */
  readonly owner?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** The registry of loops. */
export class LoopService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * 201 for a new loop or version, 200 for a digest that the loop has already.
   * @param repo for a definition that names none
   * @throws Problem 422 `loop_invalid` with one entry per mistake; 403 `not_your_loop`, `not_in_team`
   */
  async register(
    principal: Principal,
    input: DefinitionInput,
    repo: string | undefined,
    idempotent: Idempotent | null,
  ): Promise<Answer<RegisteredLoopView>> {
    const { definition, warnings } = readDefinition(input, repo);
    return this.#db.create(principal, idempotent, async (tx) => {
      const registered = await registerLoop(tx, definition);
      const body = { ...viewLoop(registered.loop, registered.repo.name), warnings: [...warnings] };
      return { status: registered.isNew ? 201 : 200, body };
    });
  }

  /** @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<LoopView> {
    return this.#db.read(principal, async (tx) => {
      const loop = await tx.db.loop.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
      if (loop === null) throw notFound('loop');
      const names = await repoNames(tx, [loop]);
      return viewLoop(loop, names.get(loop.repoId) ?? '');
    });
  }

  async list(principal: Principal, query: LoopQuery): Promise<Page<LoopView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const repoId = query.repo === undefined ? undefined : await repoIdOf(tx, query.repo);
      if (repoId === null) return { items: [], nextCursor: null };
      const rows = await tx.db.loop.findMany({
        where: {
          orgId: tx.orgId,
          ...(repoId === undefined ? {} : { repoId }),
          ...(query.owner === undefined ? {} : { ownerId: query.owner }),
          ...(after === null ? {} : { id: { gt: String(after[0]) } }),
        },
        orderBy: { id: 'asc' },
        take: query.limit + 1,
      });
      const names = await repoNames(tx, rows);
      return pageFrom(
        rows,
        query.limit,
        (loop) => viewLoop(loop, names.get(loop.repoId) ?? ''),
        (row) => [row.id],
      );
    });
  }
}

/** @throws Problem 422 `loop_invalid` */
export function readDefinition(
  input: DefinitionInput,
  repo: string | undefined,
): { definition: NamedDefinition; warnings: readonly DefinitionWarning[] } {
  const result = parseLoopDefinition(input, repo === undefined ? {} : { repo });
  if (!result.ok) throw loopInvalid(result.errors);
  if (!namesRepo(result.definition)) {
    throw loopInvalid([{ path: 'repo', line: null, reason: 'is missing: name it here, or as ?repo=' }]);
  }
  return { definition: result.definition, warnings: result.warnings };
}

function namesRepo(definition: LoopDefinition): definition is NamedDefinition {
  return definition.repo !== undefined;
}

function loopInvalid(errors: readonly ProblemDetail[]) {
  const first = errors[0];
  const detail = first === undefined ? 'The definition is invalid.' : `${first.path}: ${first.reason}`;
  return invalid('loop_invalid', detail, errors);
}

type ReadTx = Pick<OrgTx, 'db' | 'orgId'>;

/** Null for a repo that nobody has used yet. Reading must not register it. */
export async function repoIdOf(tx: ReadTx, name: string): Promise<string | null> {
  const repo = await tx.db.repo.findUnique({ where: { orgId_name: { orgId: tx.orgId, name } } });
  return repo?.id ?? null;
}
