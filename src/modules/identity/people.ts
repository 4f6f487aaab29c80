import type { Answer, Database, OrgTx } from '../../platform/database/database.ts';
import type { Idempotent } from '../../platform/database/idempotency.ts';
import { sqlState, UNIQUE_VIOLATION } from '../../platform/database/sql-state.ts';
import { conflict, notFound } from '../../platform/errors.ts';
import { decodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import { newId } from '../../platform/ids.ts';
import type { Principal } from '../../platform/principal.ts';
import type { CodeOf } from '../../platform/problem-codes.ts';
import { viewMember, viewTeam } from './views.ts';

type MemberView = ReturnType<typeof viewMember>;
type TeamView = ReturnType<typeof viewTeam>;
type PageQuery = { limit: number; cursor?: string | undefined };

/** Members and teams. */
export class PeopleService {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws Problem 409 `email_taken`; 404 for a team that the org does not have. */
  async createMember(
    principal: Principal,
    input: { name: string; email: string; teams: string[] },
    idempotent: Idempotent | null,
  ): Promise<Answer<MemberView>> {
    const work = this.#db.create(principal, idempotent, async (tx) => {
      const teamIds = [...new Set(input.teams)];
      const found = await tx.db.team.count({ where: { orgId: tx.orgId, id: { in: teamIds } } });
      if (found !== teamIds.length) throw notFound('team');
      const member = await tx.db.member.create({
        data: { orgId: tx.orgId, id: newId(), name: input.name, email: input.email, createdAt: tx.now },
      });
      tx.emit({
        kind: 'member.created',
        subject: { kind: 'member', id: member.id },
        data: { name: input.name, email: input.email },
      });
      for (const teamId of teamIds) await join(tx, teamId, member.id);
      return { status: 201, body: viewMember(member) };
    });
    return orTaken(work, 'email_taken', 'A member of this org has that email address.');
  }

  async listMembers(principal: Principal, query: PageQuery): Promise<Page<MemberView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const where = { orgId: tx.orgId, ...(after === null ? {} : { id: { gt: String(after[0]) } }) };
      const rows = await tx.db.member.findMany({ where, orderBy: { id: 'asc' }, take: query.limit + 1 });
      return pageFrom(rows, query.limit, viewMember, (row) => [row.id]);
    });
  }

  /** @throws Problem 409 `name_taken` */
  async createTeam(
    principal: Principal,
    input: { name: string },
    idempotent: Idempotent | null,
  ): Promise<Answer<TeamView>> {
    const work = this.#db.create(principal, idempotent, async (tx) => {
      const team = await tx.db.team.create({
        data: { orgId: tx.orgId, id: newId(), name: input.name, createdAt: tx.now },
      });
      tx.emit({ kind: 'team.created', subject: { kind: 'team', id: team.id }, data: { name: input.name } });
      return { status: 201, body: viewTeam(team, []) };
    });
    return orTaken(work, 'name_taken', 'A team of this org has that name.');
  }

  async listTeams(principal: Principal, query: PageQuery): Promise<Page<TeamView>> {
    const after = decodeCursor(query.cursor, 'uuid');
    return this.#db.read(principal, async (tx) => {
      const where = { orgId: tx.orgId, ...(after === null ? {} : { id: { gt: String(after[0]) } }) };
      const teams = await tx.db.team.findMany({ where, orderBy: { id: 'asc' }, take: query.limit + 1 });
      const rows = await tx.db.teamMember.findMany({
        where: { orgId: tx.orgId, teamId: { in: teams.map((team) => team.id) } },
      });
      const membersOf = (teamId: string) => rows.filter((row) => row.teamId === teamId).map((row) => row.memberId);
      return pageFrom(
        teams,
        query.limit,
        (team) => viewTeam(team, membersOf(team.id)),
        (row) => [row.id],
      );
    });
  }

  /** Joining twice is the same as once. @throws Problem 404 */
  async addToTeam(principal: Principal, teamId: string, memberId: string): Promise<TeamView> {
    return this.#db.write(principal, async (tx) => {
      await this.#findBoth(tx, teamId, memberId);
      await join(tx, teamId, memberId);
      return teamOf(tx, teamId);
    });
  }

  /** @throws Problem 404 */
  async removeFromTeam(principal: Principal, teamId: string, memberId: string): Promise<TeamView> {
    return this.#db.write(principal, async (tx) => {
      await this.#findBoth(tx, teamId, memberId);
      const { count } = await tx.db.teamMember.deleteMany({ where: { orgId: tx.orgId, teamId, memberId } });
      if (count > 0)
        tx.emit({ kind: 'team.member_removed', subject: { kind: 'team', id: teamId }, data: { memberId } });
      return teamOf(tx, teamId);
    });
  }

  async #findBoth(tx: OrgTx, teamId: string, memberId: string): Promise<void> {
    const member = await tx.db.member.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: memberId } } });
    if (member === null) throw notFound('member');
    const team = await tx.db.team.findUnique({ where: { orgId_id: { orgId: tx.orgId, id: teamId } } });
    if (team === null) throw notFound('team');
  }
}

async function join(tx: OrgTx, teamId: string, memberId: string): Promise<void> {
  const { count } = await tx.db.teamMember.createMany({
    data: [{ orgId: tx.orgId, teamId, memberId }],
    skipDuplicates: true,
  });
  if (count > 0) tx.emit({ kind: 'team.member_added', subject: { kind: 'team', id: teamId }, data: { memberId } });
}

async function teamOf(tx: OrgTx, teamId: string): Promise<TeamView> {
  const team = await tx.db.team.findUniqueOrThrow({ where: { orgId_id: { orgId: tx.orgId, id: teamId } } });
  const rows = await tx.db.teamMember.findMany({ where: { orgId: tx.orgId, teamId } });
  return viewTeam(
    team,
    rows.map((row) => row.memberId),
  );
}

async function orTaken<T>(work: Promise<T>, code: CodeOf<409>, detail: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) throw conflict(code, detail);
    throw error;
  }
}
