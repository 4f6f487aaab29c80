import type { OrgTx } from '../../platform/database/database.ts';
import { forbidden } from '../../platform/errors.ts';
import { type Principal, principalId } from '../../platform/principal.ts';

export interface LoopOwnership {
  readonly loopId: string;
  /** The principal that registered the loop. */
  readonly ownerId: string;
}

/**
 * Whether a key may start and speak for runs of a loop. One bound to a loop speaks for that loop and no other; any
 * other for the loops of its principal. An admin is no exception: whoever could act for others' loops could also beat
 * and finish their runs by mistake, and stopping them is what a halt is for.
 */
export function mayActFor(principal: Principal, { loopId, ownerId }: LoopOwnership): boolean {
  return principal.loopId === null ? principalId(principal) === ownerId : principal.loopId === loopId;
}

/** @throws Problem 403 `not_your_run`: what a key may see (every run of its org) is more than what it may act for. */
export function demandMayActFor(principal: Principal, ownership: LoopOwnership): void {
  if (mayActFor(principal, ownership)) return;
  throw forbidden('Only a key of the loop or of its owner may act for its runs.', 'not_your_run');
}

/**
 * The teams whose loop it is: the one that its definition names, and its owner's. A halt over a team thus also stops
 * its members' loops that name no team, such as those that agent sessions registered by themselves.
 */
export async function teamIdsOf(
  tx: Pick<OrgTx, 'db' | 'orgId'>,
  loop: { readonly teamId: string | null; readonly ownerId: string },
): Promise<string[]> {
  const rows = await tx.db.teamMember.findMany({ where: { orgId: tx.orgId, memberId: loop.ownerId } });
  const own = loop.teamId === null ? [] : [loop.teamId];
  return [...new Set([...own, ...rows.map((row) => row.teamId)])];
}
