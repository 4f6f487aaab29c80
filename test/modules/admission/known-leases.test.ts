import { describe, expect, it } from 'vitest';
import { KnownLeases } from '../../../src/modules/admission/hot/one-call/known-leases.ts';
import { type HeldLease, parseClaims, type Wanted } from '../../../src/modules/leases/index.ts';

/** More than are remembered whole, fewer than keys are. */
const MANY = 25_000;
/** Of which more are forgotten together. */
const MOST_KEYS = 200_000;
const REPO = 'repo';

const wanted = (...paths: string[]): Wanted => ({
  matchers: parseClaims(paths, []),
  mode: 'exclusive',
  ttlSeconds: 60,
  purpose: null,
});

function leaseOf(runId: string, id: string, path: string): HeldLease {
  const at = new Date(0);
  const holder = { loop: { id: 'l', name: 'l' }, run: { id: runId }, owner: { kind: 'member', id: 'm', name: 'm' } };
  const where = { repoId: REPO, repo: 'acme/shop', runId, loopId: 'l', fence: 1, runFinished: false };
  return { id, ...where, ...wanted(path), grantedAt: at, expiresAt: at, revoked: null, approval: null, holder };
}

function known(...granted: HeldLease[]): KnownLeases {
  const leases = new KnownLeases();
  leases.apply({ orgId: 'org', granted, ended: [] });
  return leases;
}

describe('what a server remembers of leases', () => {
  it('is whose they are: a run is in nobody else’s way by its own', () => {
    const leases = known(leaseOf('ann', '1', 'a'), leaseOf('ben', '2', 'b'));
    expect([...leases.heldByOthers(REPO, wanted('a', 'b', 'c'), 'ann').values()]).toEqual(['2']);
    expect(leases.heldByOthers('other repo', wanted('a'), 'cid').size).toBe(0);
    expect(leases.get('org', '1')?.runId).toBe('ann');
    expect(leases.get('other org', '1')).toBeUndefined();
  });

  it('may be the key alone, of leases long ago: they may be anybody’s', () => {
    const leases = known(leaseOf('ann', 'old', 'old'));
    const old = () => leases.heldByOthers(REPO, wanted('old'), 'ann');
    expect(old().size).toBe(0);
    for (let n = 0; n < MANY; n += 1)
      leases.apply({ orgId: 'org', granted: [leaseOf('ben', `${n}`, `src/${n}`)], ended: [] });
    expect([...old().values()]).toEqual(['old']);
    expect(leases.remembers(old())).toBe(false);
    expect(leases.remembers(leases.heldByOthers(REPO, wanted(`src/${MANY - 1}`), 'ann'))).toBe(true);
    expect(leases.holders(REPO, wanted('old'), 'cid')).toBeNull();
  });

  it('is forgotten only where nobody was given it meanwhile', () => {
    const first = leaseOf('ann', '1', 'a');
    const leases = known(first);
    const held = leases.heldByOthers(REPO, wanted('a'), 'cid');
    leases.apply({ orgId: 'org', granted: [], ended: [first] });
    leases.apply({ orgId: 'org', granted: [leaseOf('ben', '2', 'a')], ended: [] });
    leases.forget(REPO, held);
    expect(leases.holds(REPO, wanted('a'))).toBe(true);
    leases.forget(REPO, leases.heldByOthers(REPO, wanted('a'), 'cid'));
    expect(leases.holds(REPO, wanted('a'))).toBe(false);
  });

  it('is not forgotten because one thing goes from hand to hand', () => {
    const leases = known(leaseOf('ann', 'kept', 'kept'));
    for (let n = 0; n <= MOST_KEYS; n += 1)
      leases.apply({ orgId: 'org', granted: [leaseOf('ben', `${n}`, 'a')], ended: [] });
    expect(leases.holds(REPO, wanted('kept'))).toBe(true);
    expect(leases.holds(REPO, wanted('a'))).toBe(true);
  });
});
