import type { Clock } from '../../platform/clock.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { type HeldLease, type LeaseChanges, type LeaseService, textsOf } from '../leases/index.ts';
import { around, directoryOf } from './directories.ts';

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

export interface NearbyOptions {
  /** As it stands in the database now, rather than what was read a moment ago. */
  readonly fresh?: boolean;
  readonly limit?: number;
}

const STALE_MS = 1000;
/** What is older is not told any more: leases that have ended long ago would be. */
const OLD_MS = 5000;
const ADVICE_MS = 500;
/** Advice, not a decision: of a repo with more leases than this, the newest are enough. */
const LEASES_PER_REPO = 500;
const SHOWN = 10;

/** One repo's leases by the directory that they lie in, the newest last. */
class View {
  readonly #byDirectory = new Map<string, Map<string, NearbyLease>>();
  readonly #leases = new Map<string, NearbyLease>();
  readAtMs = Number.NEGATIVE_INFINITY;
  loading: Promise<void> | null = null;

  add(lease: NearbyLease): void {
    this.remove(lease.leaseId);
    this.#leases.set(lease.leaseId, lease);
    for (const directory of directoriesOf(lease)) {
      const there = this.#byDirectory.get(directory) ?? new Map<string, NearbyLease>();
      this.#byDirectory.set(directory, there.set(lease.leaseId, lease));
    }
    if (this.#leases.size > LEASES_PER_REPO) this.remove(this.#leases.keys().next().value!);
  }

  remove(leaseId: string): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    this.#leases.delete(leaseId);
    for (const directory of directoriesOf(lease)) {
      const there = this.#byDirectory.get(directory);
      there?.delete(leaseId);
      if (there?.size === 0) this.#byDirectory.delete(directory);
    }
  }

  replace(leases: readonly NearbyLease[]): void {
    this.#byDirectory.clear();
    this.#leases.clear();
    // Newest first as listed; the oldest go in first, so that they are the first to go.
    for (const lease of leases.toReversed()) this.add(lease);
  }

  get all(): Iterable<NearbyLease> {
    return this.#leases.values();
  }

  in(directory: string): Iterable<NearbyLease> {
    return this.#byDirectory.get(directory)?.values() ?? [];
  }
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

  /**
   * Leases of other runs in the directories of `paths` and in the directories above them, the closest first; without
   * paths, anywhere in the repo. At most `limit`.
   */
  async near(
    principal: Principal,
    repo: { id: string; name: string },
    runId: string | null,
    paths: readonly string[],
    { fresh = false, limit = SHOWN }: NearbyOptions = {},
  ): Promise<NearbyLease[]> {
    const view = await this.#view(principal, repo, fresh);
    const now = this.#clock.now().toISOString();
    const found = new Map<string, NearbyLease>();
    const places = paths.length === 0 ? [view.all] : [...around(paths)].map((directory) => view.in(directory));
    for (const place of places) {
      for (const lease of place) {
        if (found.size === limit) return [...found.values()];
        if (lease.holder.run.id !== runId && lease.expiresAt > now) found.set(lease.leaseId, lease);
      }
    }
    return [...found.values()];
  }

  /** Keeps the views that are there in step with a committed batch. */
  apply({ orgId, granted, ended }: LeaseChanges): void {
    for (const lease of granted) this.#views.get(`${orgId} ${lease.repoId}`)?.add(toNearby(lease));
    for (const lease of ended) this.#views.get(`${orgId} ${lease.repoId}`)?.remove(lease.id);
  }

  async #view(principal: Principal, repo: { id: string; name: string }, fresh: boolean): Promise<View> {
    const key = `${principal.orgId} ${repo.id}`;
    const view = this.#views.get(key) ?? new View();
    this.#views.set(key, view);
    const ageMs = this.#clock.monotonicMs() - view.readAtMs;
    if (!fresh && ageMs < STALE_MS) return view;
    view.loading ??= this.#load(principal, repo, view).finally(() => {
      view.loading = null;
    });
    // The first reader waits; later ones take what is there rather than slow every admission down once a second.
    if (fresh) await view.loading;
    else if (ageMs > OLD_MS) await briefly(view.loading, this.#clock);
    else view.loading.catch(() => undefined);
    return view;
  }

  async #load(principal: Principal, repo: { name: string }, view: View): Promise<void> {
    const page = await this.#leases.list(principal, { repo: repo.name, limit: LEASES_PER_REPO });
    view.replace(
      page.items.map(({ id, paths, patterns, mode, purpose, holder, expiresAt }) => ({
        leaseId: id,
        paths,
        patterns,
        mode,
        purpose,
        holder,
        expiresAt,
      })),
    );
    view.readAtMs = this.#clock.monotonicMs();
  }
}

/** Waits for advice, for a moment: what was decided must not be lost, or late, for what is told beside it. */
export async function briefly(advice: Promise<unknown>, clock: Clock): Promise<void> {
  const had = new AbortController();
  const moment = clock.sleep(ADVICE_MS, had.signal).catch(() => undefined);
  await Promise.race([advice.catch(() => undefined), moment]);
  had.abort();
}

function toNearby(lease: HeldLease): NearbyLease {
  return {
    leaseId: lease.id,
    paths: textsOf(lease.matchers, 'path'),
    patterns: textsOf(lease.matchers, 'pattern'),
    mode: lease.mode,
    purpose: lease.purpose,
    holder: lease.holder,
    expiresAt: lease.expiresAt.toISOString(),
  };
}

/** A pattern lies where its literal beginning does. */
function directoriesOf(lease: NearbyLease): Set<string> {
  return new Set([
    ...lease.paths.map(directoryOf),
    ...lease.patterns.map((pattern) => directoryOf(pattern.replace(/[*?[{\\].*$/s, ''))),
  ]);
}
