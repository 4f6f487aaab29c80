import { z } from 'zod';
import type { Halt } from '../../generated/prisma/client.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import { newId } from '../../platform/ids.ts';
import { type Principal, principalId } from '../../platform/principal.ts';

const SCOPE_KINDS = ['org', 'team', 'repo', 'loop'] as const;
type ScopeKind = (typeof SCOPE_KINDS)[number];

export const haltView = z
  .object({
    id: uuid(),
    scope: z.object({ kind: z.enum(SCOPE_KINDS), id: uuid().nullable().describe('Null for the whole org.') }),
    reason: z.string(),
    createdAt: time(),
    createdBy: uuid(),
    liftedAt: time().nullable(),
    liftedBy: uuid().nullable(),
  })
  .meta({ id: 'Halt' });

type HaltView = z.output<typeof haltView>;

export interface NewHalt {
  readonly scope: { readonly kind: 'org' } | { readonly kind: 'team' | 'repo' | 'loop'; readonly id: string };
  readonly reason: string;
}

/** A halt in force. `scopeId` is null exactly for the kind `org`. */
export interface ActiveHalt {
  readonly id: string;
  readonly scopeKind: ScopeKind;
  readonly scopeId: string | null;
  readonly reason: string;
}

/** What may lie under a halt: a run's repo and loop, and the teams whose loop it is. */
export interface HaltTarget {
  readonly teamIds: readonly string[];
  readonly repoId: string | null;
  readonly loopId: string | null;
}

/** The halts that stand over a target, in the order given. */
export function haltsOver(halts: readonly ActiveHalt[], target: HaltTarget): ActiveHalt[] {
  return halts.filter(({ scopeKind, scopeId }) => {
    switch (scopeKind) {
      case 'org':
        return true;
      case 'team':
        return scopeId !== null && target.teamIds.includes(scopeId);
      case 'repo':
        return scopeId !== null && scopeId === target.repoId;
      case 'loop':
        return scopeId !== null && scopeId === target.loopId;
    }
  });
}

/** The org's halts in force, oldest first, as this transaction sees them. */
export async function activeHalts(tx: Pick<OrgTx, 'db' | 'orgId'>): Promise<ActiveHalt[]> {
  const rows = await tx.db.halt.findMany({ where: { orgId: tx.orgId, liftedAt: null }, orderBy: { id: 'asc' } });
  return rows.map((row) => ({
    id: row.id,
    scopeKind: row.scopeKind as ScopeKind,
    scopeId: row.scopeId,
    reason: row.reason,
  }));
}

/** The kill switch. Setting and lifting move the org's halt epoch, so that no decision commits past either. */
export class HaltService {
  readonly #db: Database;
  readonly #listeners: ((orgId: string) => void)[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  /** Called after each commit of this server that sets or lifts a halt. */
  onChanged(listener: (orgId: string) => void): void {
    this.#listeners.push(listener);
  }

  #changed(tx: OrgTx): void {
    tx.bump('haltEpoch');
    tx.afterCommit(() => {
      for (const listener of this.#listeners) listener(tx.orgId);
    });
  }

  /** @throws Problem 404 for a team, repo or loop that the org does not have. */
  async set(principal: Principal, input: NewHalt, idempotent: Idempotent | null): Promise<Answer<HaltView>> {
    return this.#db.create(principal, idempotent, async (tx) => {
      const scopeId = input.scope.kind === 'org' ? null : input.scope.id;
      if (input.scope.kind !== 'org') await checkExists(tx, input.scope.kind, input.scope.id);
      const halt = await tx.db.halt.create({
        data: {
          orgId: tx.orgId,
          id: newId(),
          scopeKind: input.scope.kind,
          scopeId,
          reason: input.reason,
          createdAt: tx.now,
          createdBy: principalId(principal),
        },
      });
      const data = { scope: { kind: input.scope.kind, id: scopeId }, reason: input.reason };
      this.#changed(tx);
      tx.emit({ kind: 'halt.set', subject: { kind: 'halt', id: halt.id }, data });
      return { status: 201, body: viewHalt(halt) };
    });
  }

  /** Lifting twice is the same as once. @throws Problem 404 */
  async lift(principal: Principal, id: string): Promise<HaltView> {
    return this.#db.write(principal, async (tx) => {
      const { count } = await tx.db.halt.updateMany({
        where: { orgId: tx.orgId, id, liftedAt: null },
        data: { liftedAt: tx.now, liftedBy: principalId(principal) },
      });
      const halt = await tx.db.halt.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
      if (halt === null) throw notFound('halt');
      if (count > 0) {
        const data = { scope: viewHalt(halt).scope, reason: halt.reason };
        this.#changed(tx);
        tx.emit({ kind: 'halt.lifted', subject: { kind: 'halt', id }, data });
      }
      return viewHalt(halt);
    });
  }

  /** Newest first; with `all`, lifted ones too. */
  async list(
    principal: Principal,
    query: { all: boolean; limit: number; cursor?: string | undefined },
  ): Promise<Page<HaltView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.halt.findMany({
        where: {
          orgId: tx.orgId,
          ...(query.all ? {} : { liftedAt: null }),
          ...(after === null ? {} : { id: { lt: String(after[0]) } }),
        },
        orderBy: { id: 'desc' },
        take: query.limit + 1,
      });
      return pageFrom(rows, query.limit, viewHalt, (row) => [row.id]);
    });
  }
}

async function checkExists(tx: OrgTx, kind: 'team' | 'repo' | 'loop', id: string): Promise<void> {
  const where = { orgId: tx.orgId, id };
  const counts = {
    team: () => tx.db.team.count({ where }),
    repo: () => tx.db.repo.count({ where }),
    loop: () => tx.db.loop.count({ where }),
  };
  if ((await counts[kind]()) === 0) throw notFound(kind);
}

function viewHalt(halt: Halt): HaltView {
  return {
    id: halt.id,
    scope: { kind: halt.scopeKind as ScopeKind, id: halt.scopeId },
    reason: halt.reason,
    createdAt: halt.createdAt.toISOString(),
    createdBy: halt.createdBy,
    liftedAt: halt.liftedAt?.toISOString() ?? null,
    liftedBy: halt.liftedBy,
  };
}
