import { RecentMap } from '../../../../platform/recent-map.ts';
import { claimKey, type HeldLease, type Wanted } from '../../../leases/index.ts';

/** Leases that are remembered whole: what is given now is renewed or released soon. */
const MOST_LEASES = 20_000;
/** Keys of what is held, in all repos together. */
const MOST_KEYS = 200_000;

/**
 * What this server gave or saw: leases, by which renewals and releases are decided, and the keys of what is held, as who
 * wants those is not tried in one call. Only a guess: `hot_once` compares, and whatever stands here, the answer is the same.
 */
export class KnownLeases {
  readonly #leases = new RecentMap<HeldLease>(MOST_LEASES);
  /** By repo: the run that was given the key last. */
  readonly #keys = new Map<string, Map<string, string>>();
  #count = 0;

  get(orgId: string, id: string): HeldLease | undefined {
    return this.#leases.get(`${orgId} ${id}`);
  }

  see(orgId: string, lease: HeldLease): void {
    this.#leases.set(`${orgId} ${lease.id}`, lease);
  }

  /** Whether anybody holds something of it. */
  holds(repoId: string, wanted: Wanted): boolean {
    const keys = this.#keys.get(repoId);
    return keys !== undefined && wanted.matchers.some((claim) => keys.has(claimKey(claim).key));
  }

  /** Whether a run other than this holds something of it. */
  holdsAnother(repoId: string, wanted: Wanted, runId: string): boolean {
    const keys = this.#keys.get(repoId);
    if (keys === undefined) return false;
    return wanted.matchers.some((claim) => (keys.get(claimKey(claim).key) ?? runId) !== runId);
  }

  apply(changes: { orgId: string; granted: readonly HeldLease[]; ended: readonly HeldLease[] }): void {
    const { orgId, granted, ended } = changes;
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
      this.#leases.delete(`${orgId} ${lease.id}`);
      this.forget(lease.repoId, lease);
    }
  }

  /** Nobody seems to hold any of it any more. */
  forget(repoId: string, { matchers }: Pick<Wanted, 'matchers'>): void {
    const keys = this.#keys.get(repoId);
    for (const claim of matchers) if (keys?.delete(claimKey(claim).key) === true) this.#count -= 1;
  }

  #add({ repoId, runId, matchers }: HeldLease): void {
    let keys = this.#keys.get(repoId);
    if (keys === undefined) this.#keys.set(repoId, (keys = new Map<string, string>()));
    for (const claim of matchers) keys.set(claimKey(claim).key, runId);
    this.#count += matchers.length;
  }
}
