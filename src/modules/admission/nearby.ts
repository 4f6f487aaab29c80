import type { Clock } from '../../platform/clock.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import type { HeldLease, LeaseService } from '../leases/index.ts';
import type { LeaseChanges } from './hot/hot-path.ts';

/** What another run holds near the paths that somebody asks about. */
export interface NearbyLease {
  readonly leaseId: string;
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly mode: 'exclusive' | 'shared';
  readonly purpose: string | null;
  readonly holder: HeldLease['holder'];
  readonly expiresAt: string;
}

const STALE_MS = 1000;
/** Advice, not a decision: of a repo with more leases than this, the newest are enough. */
const LEASES_PER_REPO = 500;
const SHOWN = 10;

interface View {
  readAtMs: number;
  leases: Map<string, NearbyLease>;
  loading: Promise<void> | null;
}

/**
 * The leases of a repo as advice for an answer's context, kept in memory: read at most once a second, and kept up at
 * once by the grants and ends of this server's own batches. It decides nothing.
 */
export class NearbyLeases {
  readonly #leases: LeaseService;
  readonly #clock: Clock;
  readonly #views = new RecentMap<View>(1000);

  constructor(leases: LeaseService, clock: Clock) {
    this.#leases = leases;
    this.#clock = clock;
  }

  /** Leases of other runs in the directories of `paths`, or with a pattern in or above them; the closest first. */
  async near(
    principal: Principal,
    repo: { id: string; name: string },
    runId: string | null,
    paths: readonly string[],
  ): Promise<NearbyLease[]> {
    const view = await this.#view(principal, repo);
    const directories = paths.map(directoryOf);
    const ranked: { lease: NearbyLease; rank: number }[] = [];
    for (const lease of view.leases.values()) {
      if (lease.holder.run.id === runId || Date.parse(lease.expiresAt) <= this.#clock.now().getTime()) continue;
      const rank = Math.max(...[...lease.paths, ...lease.patterns].map((held) => closeness(held, directories)));
      if (rank > 0) ranked.push({ lease, rank });
    }
    return ranked
      .sort((a, b) => b.rank - a.rank)
      .slice(0, SHOWN)
      .map(({ lease }) => lease);
  }

  /** Keeps the views that are there in step with a committed batch. */
  apply({ orgId, granted, ended }: LeaseChanges): void {
    for (const lease of granted) this.#views.get(`${orgId} ${lease.repoId}`)?.leases.set(lease.id, toNearby(lease));
    for (const lease of ended) this.#views.get(`${orgId} ${lease.repoId}`)?.leases.delete(lease.id);
  }

  async #view(principal: Principal, repo: { id: string; name: string }): Promise<View> {
    const key = `${principal.orgId} ${repo.id}`;
    const view = this.#views.get(key) ?? { readAtMs: Number.NEGATIVE_INFINITY, leases: new Map(), loading: null };
    this.#views.set(key, view);
    if (this.#clock.monotonicMs() - view.readAtMs < STALE_MS) return view;
    view.loading ??= this.#load(principal, repo, view).finally(() => {
      view.loading = null;
    });
    // The first reader waits; later ones take what is there rather than slow every admission down once a second.
    if (view.readAtMs === Number.NEGATIVE_INFINITY) await view.loading;
    return view;
  }

  async #load(principal: Principal, repo: { name: string }, view: View): Promise<void> {
    const page = await this.#leases.list(principal, { repo: repo.name, limit: LEASES_PER_REPO });
    view.leases = new Map(
      page.items.map(({ id, paths, patterns, mode, purpose, holder, expiresAt }) => [
        id,
        { leaseId: id, paths, patterns, mode, purpose, holder, expiresAt },
      ]),
    );
    view.readAtMs = this.#clock.monotonicMs();
  }
}

function toNearby(lease: HeldLease): NearbyLease {
  return {
    leaseId: lease.id,
    paths: lease.matchers.filter(({ kind }) => kind === 'path').map(({ text }) => text),
    patterns: lease.matchers.filter(({ kind }) => kind === 'pattern').map(({ text }) => text),
    mode: lease.mode,
    purpose: lease.purpose,
    holder: lease.holder,
    expiresAt: lease.expiresAt.toISOString(),
  };
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}

/** 0: not near. Else how many leading segments a held text shares with one of the directories, plus one for the same one. */
function closeness(held: string, directories: readonly string[]): number {
  const literal = directoryOf(held.replace(/[*?[{\\].*$/s, ''));
  let best = 0;
  for (const directory of directories) {
    if (literal === directory) best = Math.max(best, directory.length + 2);
    else if (directory.startsWith(literal) && literal !== '') best = Math.max(best, literal.length + 1);
    else if (literal.startsWith(directory) && directory !== '') best = Math.max(best, directory.length + 1);
  }
  return best;
}
