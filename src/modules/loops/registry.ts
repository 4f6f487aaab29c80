import type { Loop, Prisma } from '../../generated/prisma/client.ts';
import type { OrgTx } from '../../platform/database/database.ts';
import { forbidden, invalid } from '../../platform/errors.ts';
import { isUuid, newId } from '../../platform/ids.ts';
import { principalId } from '../../platform/principal.ts';
import { definitionDigest, type LoopDefinition } from './definition/index.ts';
import { ensureRepo } from './repos.ts';

export interface Registration {
  readonly loop: Loop;
  readonly repo: { readonly id: string; readonly name: string };
  /** Whether this made the loop or a version of it. */
  readonly isNew: boolean;
}

export type NamedDefinition = LoopDefinition & { repo: string };

/**
 * Makes the loop that (owner, repo, name) stands for, or a new version of it when the digest differs. Of two at once,
 * the second waits for the first's row and compares with that.
 * @param ifKnown `keep` leaves a loop that exists as it is, whatever the definition says
 * @throws Problem 403 `not_your_loop`, `not_in_team`; 422 `loop_invalid` for an unknown team
 */
export async function registerLoop(
  tx: OrgTx,
  definition: NamedDefinition,
  ifKnown: 'compare' | 'keep' = 'compare',
): Promise<Registration> {
  const { principal } = tx;
  const bound = principal.loopId === null ? null : await ownLoop(tx, principal.loopId, definition);
  const repo = await ensureRepo(tx, definition.repo);
  const identity = { ownerId: bound?.ownerId ?? principalId(principal), repoId: repo.id, name: definition.name };
  const digest = definitionDigest(definition);
  const known = await lockLoop(tx, identity);
  const teamId = await teamOf(tx, definition, known);
  if (known === null) {
    const ownerKind = principal.memberId === null ? 'key' : 'member';
    const made = await insertLoop(tx, { ...identity, ownerKind, teamId, digest, definition });
    if (made !== null) return { loop: made, repo, isNew: true };
  }
  const loop = known ?? (await lockLoop(tx, identity));
  if (loop === null) throw new Error(`loop ${definition.name} neither inserted nor found`);
  if (loop.digest === digest || ifKnown === 'keep') return { loop, repo, isNew: false };
  return { loop: await addVersion(tx, loop, { teamId, digest, definition }), repo, isNew: true };
}

/** The loop of a key that is bound to one. It may register that loop again, and nothing else. */
async function ownLoop(tx: OrgTx, loopId: string, definition: NamedDefinition): Promise<Loop> {
  const loop = await tx.db.loop.findUniqueOrThrow({ where: { orgId_id: { orgId: tx.orgId, id: loopId } } });
  const repo = await tx.db.repo.findUniqueOrThrow({ where: { orgId_id: { orgId: tx.orgId, id: loop.repoId } } });
  if (loop.name === definition.name && repo.name === definition.repo) return loop;
  throw forbidden(`This key is bound to the loop ${loop.name} in ${repo.name}.`, 'not_your_loop');
}

interface LoopIdentity {
  readonly ownerId: string;
  readonly repoId: string;
  readonly name: string;
}

async function lockLoop(tx: OrgTx, { ownerId, repoId, name }: LoopIdentity): Promise<Loop | null> {
  await tx.db.$queryRaw`SELECT 1 FROM loop WHERE org_id = ${tx.orgId}::uuid AND owner_id = ${ownerId}::uuid
    AND repo_id = ${repoId}::uuid AND name = ${name} FOR UPDATE`;
  return tx.db.loop.findUnique({
    where: { orgId_ownerId_repoId_name: { orgId: tx.orgId, ownerId, repoId, name } },
  });
}

/** A team by its id or its name. The one that the loop has already needs no asking again. */
async function teamOf(tx: OrgTx, { team }: LoopDefinition, known: Loop | null): Promise<string | null> {
  if (team === undefined) return null;
  const byId = isUuid(team) ? [{ id: team.toLowerCase() }] : [];
  const found = await tx.db.team.findMany({ where: { orgId: tx.orgId, OR: [...byId, { name: team }] } });
  const teamId = (found.find((row) => row.name !== team) ?? found[0])?.id;
  if (teamId === undefined) {
    const errors = [{ path: 'team', line: null, reason: 'is no team of this org' }];
    throw invalid('loop_invalid', 'team: is no team of this org', errors);
  }
  if (teamId !== known?.teamId) await demandMembership(tx, teamId);
  return teamId;
}

async function demandMembership(tx: OrgTx, teamId: string): Promise<void> {
  const { memberId, role } = tx.principal;
  if (role === 'admin') return;
  const count = memberId === null ? 0 : await tx.db.teamMember.count({ where: { orgId: tx.orgId, teamId, memberId } });
  if (count === 0) throw forbidden('Only a member of a team, or an admin, gives it a loop.', 'not_in_team');
}

interface NewVersion {
  readonly teamId: string | null;
  readonly digest: string;
  readonly definition: NamedDefinition;
}

/** Null when another transaction has made it meanwhile. */
async function insertLoop(
  tx: OrgTx,
  input: LoopIdentity & NewVersion & { readonly ownerKind: 'member' | 'key' },
): Promise<Loop | null> {
  const definition = input.definition as Prisma.InputJsonObject;
  const id = newId();
  const { count } = await tx.db.loop.createMany({
    data: [{ ...input, orgId: tx.orgId, id, definition, version: 1, createdAt: tx.now, updatedAt: tx.now }],
    skipDuplicates: true,
  });
  if (count === 0) return null;
  await insertVersion(tx, id, 1, input);
  tx.emit({ kind: 'loop.registered', subject: { kind: 'loop', id }, data: eventData(input, 1) });
  return tx.db.loop.findUniqueOrThrow({ where: { orgId_id: { orgId: tx.orgId, id } } });
}

async function addVersion(tx: OrgTx, loop: Loop, input: NewVersion): Promise<Loop> {
  const version = loop.version + 1;
  await insertVersion(tx, loop.id, version, input);
  tx.emit({ kind: 'loop.changed', subject: { kind: 'loop', id: loop.id }, data: eventData(input, version) });
  return tx.db.loop.update({
    where: { orgId_id: { orgId: tx.orgId, id: loop.id } },
    data: { ...input, definition: input.definition as Prisma.InputJsonObject, version, updatedAt: tx.now },
  });
}

async function insertVersion(tx: OrgTx, loopId: string, version: number, input: NewVersion): Promise<void> {
  const definition = input.definition as Prisma.InputJsonObject;
  await tx.db.loopVersion.create({
    data: { orgId: tx.orgId, loopId, version, digest: input.digest, definition, createdAt: tx.now },
  });
}

function eventData({ definition, digest, teamId }: NewVersion, version: number): Record<string, unknown> {
  return { name: definition.name, repo: definition.repo, version, digest, teamId };
}
