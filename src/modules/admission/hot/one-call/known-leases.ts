import { RecentMap } from '../../../../platform/recent-map.ts';
import { claimKey, type HeldLease, type LeaseChanges, type Wanted } from '../../../leases/index.ts';

/** Leases that are remembered whole: what is given now is renewed or released soon. */
const MOST_LEASES = 20_000;
/** Keys of what is held, in all repos together. */
const MOST_KEYS = 200_000;

/**
 * What this server gave or saw: leases, by which renewals and releases are decided, and the keys of what is held, as who
 * wants those is not tried in one call. Only a guess: `hot_once` compares, and whatever stands here, the answer is the same.
 */
export class KnownLeases {
  readonly #leases = new RecentMap<{ readonly orgId: string; readonly lease: HeldLease }>(MOST_LEASES);
  /** By repo: the lease that was given the key last. */
  readonly #keys = new Map<string, Map<string, string>>();
  #count = 0;

  get(orgId: string, id: string): HeldLease | undefined {
    const known = this.#leases.get(id);
    return known?.orgId === orgId ? known.lease : undefined;
  }

  see(orgId: string, lease: HeldLease): void {
    this.#leases.set(lease.id, { orgId, lease });
  }

  /** Whether anybody holds something of it. */
  holds(repoId: string, wanted: Wanted): boolean {
    const keys = this.#keys.get(repoId);
    return keys !== undefined && wanted.matchers.some((claim) => keys.has(claimKey(claim).key));
  }

  /** Leases of other runs, or of which that is not known any more, that hold something of it, by their keys. */
  heldByOthers(repoId: string, wanted: Wanted, runId: string): Map<string, string> {
    const held = new Map<string, string>();
    const keys = this.#keys.get(repoId);
    if (keys === undefined) return held;
    for (const claim of wanted.matchers) {
      const { key } = claimKey(claim);
      const id = keys.get(key);
      if (id !== undefined && this.#leases.get(id)?.lease.runId !== runId) held.set(key, id);
    }
    return held;
  }

  /** Whether all of these leases are known whole: those of which only the keys are left may be anybody's. */
  remembers(held: ReadonlyMap<string, string>): boolean {
    return [...held.values()].every((id) => this.#leases.get(id) !== undefined);
  }

  /** Exclusive leases of other runs that hold all of what is wanted, by its paths; null where it is not known that they do. */
  holders(repoId: string, wanted: Wanted, runId: string): HeldLease[] | null {
    const keys = this.#keys.get(repoId);
    const holders = new Set<HeldLease>();
    for (const claim of wanted.matchers) {
      const lease = claim.kind === 'path' ? this.#leases.get(keys?.get(claimKey(claim).key) ?? '')?.lease : undefined;
      if (lease === undefined || lease.mode !== 'exclusive' || lease.runId === runId || lease.fence === null)
        return null;
      holders.add(lease);
    }
    return [...holders];
  }

  apply({ orgId, granted, ended }: Pick<LeaseChanges, 'orgId' | 'granted' | 'ended'>): void {
    // Whatever is forgotten is found again by a call that fails.
    if (this.#count > MOST_KEYS) {
      this.#keys.clear();
      this.#count = 0;
    }
    for (const lease of granted) {
      this.see(orgId, lease);
      this.#add(lease);
    }
    for (const lease of ended) {
      this.#leases.delete(lease.id);
      this.forget(lease.repoId, new Map(lease.matchers.map((claim) => [claimKey(claim).key, lease.id])));
    }
  }

  /** These seem to be held no more; what was given to others meanwhile is. */
  forget(repoId: string, held: ReadonlyMap<string, string>): void {
    const keys = this.#keys.get(repoId);
    for (const [key, id] of held) if (keys?.get(key) === id && keys.delete(key)) this.#count -= 1;
    if (keys?.size === 0) this.#keys.delete(repoId);
  }

  #add({ id, repoId, matchers }: HeldLease): void {
    let keys = this.#keys.get(repoId);
    if (keys === undefined) this.#keys.set(repoId, (keys = new Map<string, string>()));
    const before = keys.size;
    for (const claim of matchers) keys.set(claimKey(claim).key, id);
    this.#count += keys.size - before;
  }
}
