import { RecentMap } from '../../../../platform/recent-map.ts';
import { claimKey, type HeldLease, type Wanted } from '../../../leases/index.ts';

const MOST = 100_000;

/**
 * Leases that this server gave or saw: what a renewal is decided by, and what is not tried in one call, since it is known
 * to overlap. Only a guess: `hot_once` compares, and whatever stands here, the answer is the same.
 */
export class KnownLeases {
  readonly #leases = new RecentMap<HeldLease>(MOST);
  readonly #paths = new Set<string>();

  get(orgId: string, id: string): HeldLease | undefined {
    return this.#leases.get(`${orgId} ${id}`);
  }

  see(orgId: string, lease: HeldLease): void {
    this.#leases.set(`${orgId} ${lease.id}`, lease);
  }

  holds(orgId: string, repoId: string, wanted: Wanted): boolean {
    return wanted.matchers.some((claim) => this.#paths.has(`${orgId} ${repoId} ${claimKey(claim).key}`));
  }

  apply(changes: { orgId: string; granted: readonly HeldLease[]; ended: readonly HeldLease[] }): void {
    const { orgId, granted, ended } = changes;
    if (this.#paths.size > MOST) this.#paths.clear();
    for (const lease of granted) {
      this.see(orgId, lease);
      for (const key of pathsOf(orgId, lease)) this.#paths.add(key);
    }
    for (const lease of ended) {
      this.#leases.delete(`${orgId} ${lease.id}`);
      for (const key of pathsOf(orgId, lease)) this.#paths.delete(key);
    }
  }
}

function pathsOf(orgId: string, { repoId, matchers }: HeldLease): string[] {
  return matchers.map((claim) => `${orgId} ${repoId} ${claimKey(claim).key}`);
}
