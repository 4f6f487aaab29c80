import type { ApprovalRequirement } from './policy/index.ts';

export type Verdict = 'approve' | 'reject';

export interface CastVote {
  readonly principalId: string;
  readonly verdict: Verdict;
}

/** Names of the teams that each principal is in now; a key bound to no member is in none. */
export type TeamsOf = (principalId: string) => readonly string[];

export interface MetRequirement extends ApprovalRequirement {
  /** Approving votes that count for it. */
  readonly approved: number;
  /** Votes it still needs. */
  readonly missing: number;
}

export interface Tally {
  readonly outcome: 'pending' | 'approved' | 'rejected';
  readonly requirements: readonly MetRequirement[];
}

/** Whether a vote of someone in these teams counts for a requirement. */
export function counts(requirement: { readonly team: string | null }, teams: readonly string[]): boolean {
  return requirement.team === null || teams.includes(requirement.team);
}

/**
 * What the votes come to. Every requirement must have its votes, one vote may count for several, and a single reject by
 * someone whose vote counts is enough to reject. Teams are those of now: a vote of someone who has left the team counts
 * no longer, since the people who answer for it today did not give it.
 */
export function tally(
  requirements: readonly ApprovalRequirement[],
  votes: readonly CastVote[],
  teamsOf: TeamsOf,
): Tally {
  const met = requirements.map((requirement) => {
    const voters = votes.filter(
      ({ principalId, verdict }) => verdict === 'approve' && counts(requirement, teamsOf(principalId)),
    );
    const approved = new Set(voters.map(({ principalId }) => principalId)).size;
    return { ...requirement, approved, missing: Math.max(0, requirement.count - approved) };
  });
  const rejected = votes.some(
    ({ principalId, verdict }) =>
      verdict === 'reject' && requirements.some((requirement) => counts(requirement, teamsOf(principalId))),
  );
  // Without a requirement there is nobody who may approve, so nothing is approved.
  const approved = met.length > 0 && met.every(({ missing }) => missing === 0);
  return { outcome: rejected ? 'rejected' : approved ? 'approved' : 'pending', requirements: met };
}

export interface Voter {
  readonly principalId: string;
  readonly role: string;
  readonly loopId: string | null;
  readonly teams: readonly string[];
}

export interface Votable {
  readonly requesterId: string;
  readonly ownerId: string | null;
  readonly requirements: readonly ApprovalRequirement[];
}

/**
 * Why somebody may not vote, or null. A key bound to a loop never votes, whatever its role: an agent that holds it would
 * answer its own question. Nor do the requester and the loop's owner.
 */
export function whyNoVote(approval: Votable, voter: Voter): 'own_request' | 'not_an_approver' | null {
  if (voter.principalId === approval.requesterId || voter.principalId === approval.ownerId) return 'own_request';
  if (voter.loopId !== null || (voter.role !== 'admin' && voter.role !== 'member')) return 'not_an_approver';
  return approval.requirements.some((requirement) => counts(requirement, voter.teams)) ? null : 'not_an_approver';
}
