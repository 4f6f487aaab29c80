import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CastVote, counts, tally, whyNoVote } from '../../../src/modules/governance/tally.ts';

const need = (team: string | null, count = 1) => ({ policy: 'p', ruleId: `${team ?? 'any'}-${count}`, team, count });
const yes = (principalId: string): CastVote => ({ principalId, verdict: 'approve' });
const no = (principalId: string): CastVote => ({ principalId, verdict: 'reject' });
const teams: Readonly<Record<string, readonly string[]>> = {
  pat: ['payments'],
  pia: ['payments', 'platform'],
  kim: [],
};
const teamsOf = (id: string) => teams[id] ?? [];
const missing = (requirements: Parameters<typeof tally>[0], votes: readonly CastVote[]) =>
  tally(requirements, votes, teamsOf).requirements.map((requirement) => requirement.missing);

describe('tally', () => {
  it('lets one vote count for every requirement that takes it', () => {
    const requirements = [need('payments'), need('platform'), need(null)];
    expect(tally(requirements, [yes('pia')], teamsOf).outcome).toBe('approved');
    expect(missing(requirements, [yes('pat')])).toEqual([0, 1, 0]);
    expect(tally(requirements, [yes('pat'), yes('kim')], teamsOf).outcome).toBe('pending');
  });

  it('counts people, not votes', () => {
    expect(missing([need(null, 2)], [yes('kim'), yes('kim')])).toEqual([1]);
  });

  it('is rejected by one whose vote counts, however many approve, and by nobody else', () => {
    expect(tally([need('payments')], [yes('pat'), no('pia')], teamsOf).outcome).toBe('rejected');
    expect(tally([need('payments', 2)], [yes('pat'), no('kim')], teamsOf).outcome).toBe('pending');
  });

  it('approves nothing that requires nothing', () => {
    expect(tally([], [yes('kim')], teamsOf).outcome).toBe('pending');
  });

  it('approves exactly when each requirement has as many distinct approvers as it asks for', () => {
    const people = ['pat', 'pia', 'kim', 'ada', 'bob'];
    const requirement = fc.record({
      team: fc.constantFrom(null, 'payments', 'platform'),
      count: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(requirement, { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(fc.constantFrom(...people)),
        (asked, voters) => {
          const requirements = asked.map(({ team, count }) => need(team, count));
          const enough = requirements.every(({ team, count }) => {
            return voters.filter((voter) => team === null || teamsOf(voter).includes(team)).length >= count;
          });
          expect(tally(requirements, voters.map(yes), teamsOf).outcome).toBe(enough ? 'approved' : 'pending');
        },
      ),
    );
  });
});

describe('whyNoVote', () => {
  const approval = { requesterId: 'asker', ownerId: 'owner', requirements: [need('payments')] };
  const voter = (change: object) => ({
    principalId: 'pat',
    role: 'member',
    loopId: null,
    teams: ['payments'],
    ...change,
  });

  it('lets through a member or an admin whose vote counts', () => {
    expect(whyNoVote(approval, voter({}))).toBeNull();
    expect(whyNoVote(approval, voter({ role: 'admin' }))).toBeNull();
    expect(whyNoVote({ ...approval, requirements: [need(null)] }, voter({ teams: [] }))).toBeNull();
  });

  it('stops the requester, the owner, keys of loops, other roles and other teams', () => {
    expect(whyNoVote(approval, voter({ principalId: 'asker' }))).toBe('own_request');
    expect(whyNoVote(approval, voter({ principalId: 'owner', role: 'admin' }))).toBe('own_request');
    expect(whyNoVote(approval, voter({ loopId: 'loop' }))).toBe('not_an_approver');
    for (const role of ['loop', 'sre', 'viewer']) expect(whyNoVote(approval, voter({ role }))).toBe('not_an_approver');
    expect(whyNoVote(approval, voter({ teams: ['platform'] }))).toBe('not_an_approver');
    expect(counts(need('payments'), ['platform'])).toBe(false);
  });
});
