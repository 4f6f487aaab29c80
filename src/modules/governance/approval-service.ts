import { type Approval, Prisma } from '../../generated/prisma/client.ts';
import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { type Principal, principalId } from '../../platform/principal.ts';
import { type ApprovalStatus, type ApprovalView, teamsOfPrincipals, viewApprovals } from './approval-views.ts';
import type { ApprovalWatch } from './approval-watch.ts';
import { ApprovalDue, approvalSettled, type Ballot, castVote, sweepApprovals } from './vote.ts';

export interface ApprovalQuery {
  readonly status?: ApprovalStatus | undefined;
  readonly repo?: string | undefined;
  /** Those that the caller may still vote on. */
  readonly mine: boolean;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

type ReadTx = Pick<OrgTx, 'db' | 'orgId' | 'now' | 'principal'>;

/** Human checkpoints: who waits for one, and who decides on it. They are opened and spent by decisions. */
export class ApprovalService {
  readonly #db: Database;
  readonly #watch: ApprovalWatch;

  constructor(db: Database, watch: ApprovalWatch) {
    this.#db = db;
    this.#watch = watch;
  }

  /** Newest first. */
  async list(principal: Principal, query: ApprovalQuery): Promise<Page<ApprovalView>> {
    const after = decodeCursor(query.cursor, 'uuid')?.[0] ?? null;
    return this.#db.read(principal, async (tx) => {
      const conditions = [
        Prisma.sql`a.org_id = ${tx.orgId}::uuid`,
        ...(after === null ? [] : [Prisma.sql`a.id < ${after}::uuid`]),
        ...(query.repo === undefined ? [] : [Prisma.sql`a.subject ->> 'repo' = ${query.repo}`]),
        ...whereStatus(query.status, tx.now),
        ...(query.mine ? await whereMine(tx) : []),
      ];
      const ids = await tx.db.$queryRaw<{ id: string }[]>`
        SELECT a.id::text AS id FROM approval a WHERE ${Prisma.join(conditions, ' AND ')}
        ORDER BY a.id DESC LIMIT ${query.limit + 1}::int`;
      const rows = await tx.db.approval.findMany({
        where: { orgId: tx.orgId, id: { in: ids.slice(0, query.limit).map(({ id }) => id) } },
        orderBy: { id: 'desc' },
      });
      const views = new Map((await viewApprovals(tx, rows)).map((view) => [view.id, view]));
      return pageFrom(
        ids,
        query.limit,
        ({ id }) => views.get(id)!,
        ({ id }) => [id],
      );
    });
  }

  /** A key of the role loop sees what it asked for itself, and what its loop did. @throws Problem 404 */
  async get(principal: Principal, id: string): Promise<ApprovalView> {
    return this.#db.read(principal, async (tx) => {
      const approval = await tx.db.approval.findUnique({ where: { orgId_id: { orgId: tx.orgId, id } } });
      if (approval === null || !maySee(principal, approval)) throw notFound('approval');
      const [view] = await viewApprovals(tx, [approval]);
      return view!;
    });
  }

  /**
   * As `get`, but while it is pending held back up to `waitSeconds`, or until `ended` aborts; no connection is held
   * meanwhile.
   * @throws Problem 404; 429 when too many wait
   */
  async wait(principal: Principal, id: string, waitSeconds: number, ended: AbortSignal): Promise<ApprovalView> {
    const view = await this.get(principal, id);
    if (view.status !== 'pending' || waitSeconds === 0) return view;
    await this.#watch.settled(principal.orgId, id, waitSeconds * 1000, ended);
    return this.get(principal, id);
  }

  /** @throws Problem as `castVote`; an approval whose time has passed is expired and answered as settled. */
  async vote(
    principal: Principal,
    id: string,
    ballot: Ballot,
    idempotent: Idempotent | null,
  ): Promise<Answer<ApprovalView>> {
    try {
      return await this.#db.create(principal, idempotent, async (tx) => ({
        status: 200,
        body: await castVote(tx, id, ballot),
      }));
    } catch (error) {
      if (!(error instanceof ApprovalDue)) throw error;
      await sweepApprovals(this.#db, principal.orgId, id);
      throw approvalSettled('expired');
    }
  }
}

function maySee(principal: Principal, approval: Approval): boolean {
  if (principal.role !== 'loop') return true;
  const self = principalId(principal);
  if (principal.loopId !== null && principal.loopId === approval.loopId) return true;
  return approval.requesterId === self || approval.ownerId === self;
}

/** The rows that are shown with a status now, which a sweep may not have written yet. */
function whereStatus(status: ApprovalStatus | undefined, now: Date): Prisma.Sql[] {
  switch (status) {
    case undefined:
      return [];
    case 'pending':
    case 'approved':
      return [Prisma.sql`a.status = ${status} AND a.expires_at > ${now}`];
    case 'expired':
      return [Prisma.sql`(a.status = 'expired' OR a.status IN ('pending', 'approved') AND a.expires_at <= ${now})`];
    case 'rejected':
    case 'spent':
      return [Prisma.sql`a.status = ${status}`];
  }
}

/** As `whyNoVote` has it, over rows. */
async function whereMine(tx: ReadTx): Promise<Prisma.Sql[]> {
  const { role, loopId } = tx.principal;
  if (loopId !== null || (role !== 'admin' && role !== 'member')) return [Prisma.sql`false`];
  const self = principalId(tx.principal);
  const teams = (await teamsOfPrincipals(tx, [self]))(self);
  return [
    ...whereStatus('pending', tx.now),
    Prisma.sql`a.requester_id <> ${self}::uuid AND a.owner_id IS DISTINCT FROM ${self}::uuid`,
    Prisma.sql`EXISTS (SELECT FROM jsonb_array_elements(a.requirements) AS r (need)
      WHERE r.need ->> 'team' IS NULL OR r.need ->> 'team' = ANY (${[...teams]}::text[]))`,
    Prisma.sql`NOT EXISTS (SELECT FROM vote v
      WHERE v.org_id = a.org_id AND v.approval_id = a.id AND v.principal_id = ${self}::uuid)`,
  ];
}
