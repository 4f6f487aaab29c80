import type { Clock } from '../../platform/clock.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import type { ChangeService, RecentChange } from '../changes/index.ts';
import { around, directoryOf } from './directories.ts';
import { briefly, type NearbyOptions } from './nearby.ts';

/** What another run changed lately near the paths that somebody asks about. */
export interface NearbyChange {
  readonly changeId: string;
  readonly commit: string;
  readonly intent: string | null;
  /** Of its paths at most ten, those that were asked about first. */
  readonly paths: readonly string[];
  readonly fileCount: number;
  readonly loop: RecentChange['loop'];
  readonly run: RecentChange['run'];
  readonly owner: RecentChange['owner'];
  readonly at: string;
  readonly ageSeconds: number;
}

const STALE_MS = 2000;
const DAY_MS = 86_400_000;
/** A change older than that is history, which `GET /changes` has. */
const WINDOW_MS = 7 * DAY_MS;
/** What commits late on another server may carry an earlier time than what has been read. */
const OVERLAP_MS = 60_000;
/** Advice, not a decision: of a repo with more changes than this, the newest are enough. */
const CHANGES_PER_REPO = 200;
const SHOWN = 10;
const PATHS_SHOWN = 10;

/** One repo's changes, by path and by directory; newest first everywhere. */
class View {
  #changes: readonly RecentChange[] = [];
  #byPath = new Map<string, RecentChange[]>();
  #byDirectory = new Map<string, RecentChange[]>();
  readAtMs = Number.NEGATIVE_INFINITY;
  loading: Promise<void> | null = null;

  get all(): readonly RecentChange[] {
    return this.#changes;
  }

  /** Null while nothing is known. */
  get newestAt(): Date | null {
    const [newest] = this.#changes;
    return newest === undefined ? null : new Date(newest.at);
  }

  add(changes: readonly RecentChange[]): void {
    const known = new Set(this.#changes.map(({ changeId }) => changeId));
    const fresh = changes.filter(({ changeId }) => !known.has(changeId));
    if (fresh.length === 0) return;
    this.#changes = [...fresh, ...this.#changes].toSorted(newestFirst).slice(0, CHANGES_PER_REPO);
    this.#byPath = indexed(this.#changes, (path) => path);
    this.#byDirectory = indexed(this.#changes, directoryOf);
  }

  /** Those of the very paths, then those of the directories around them, the closest first. */
  *around(paths: readonly string[]): Generator<RecentChange> {
    for (const path of paths) yield* this.#byPath.get(path) ?? [];
    for (const directory of around(paths)) yield* this.#byDirectory.get(directory) ?? [];
  }
}

/**
 * The recent changes of a repo as advice for an answer's context, kept in memory: read again beside an answer and not
 * before it, only what is new since, and told at once of what this server records. It decides nothing.
 */
export class NearbyChanges {
  readonly #changes: ChangeService;
  readonly #clock: Clock;
  readonly #views = new RecentMap<View>(300);

  constructor(changes: ChangeService, clock: Clock) {
    this.#changes = changes;
    this.#clock = clock;
    changes.onRecorded((orgId, repoId, change) => this.#views.get(`${orgId} ${repoId}`)?.add([change]));
  }

  /**
   * Changes by others than the run in the directories of `paths` and in those above them, or without paths anywhere in
   * the repo. Of more than `limit`, the closest; newest first.
   */
  async near(
    principal: Principal,
    repo: { id: string },
    runId: string | null,
    paths: readonly string[],
    { fresh = false, limit = SHOWN }: NearbyOptions = {},
  ): Promise<NearbyChange[]> {
    const view = await this.#view(principal, repo, fresh);
    const now = this.#clock.now();
    const since = new Date(now.getTime() - WINDOW_MS).toISOString();
    const found = new Map<string, RecentChange>();
    for (const change of paths.length === 0 ? view.all : view.around(paths)) {
      if (found.size === limit) break;
      if (change.at > since && (runId === null || change.run?.id !== runId)) found.set(change.changeId, change);
    }
    return [...found.values()].toSorted(newestFirst).map((change) => show(change, paths, now));
  }

  async #view(principal: Principal, repo: { id: string }, fresh: boolean): Promise<View> {
    const key = `${principal.orgId} ${repo.id}`;
    const view = this.#views.get(key) ?? new View();
    this.#views.set(key, view);
    if (!fresh && this.#clock.monotonicMs() - view.readAtMs < STALE_MS) return view;
    view.loading ??= this.#load(principal, repo.id, view).finally(() => {
      view.loading = null;
    });
    if (fresh) await view.loading;
    // The first reader waits; later ones take what is there. An answer is not worth losing for the advice beside it.
    else if (view.readAtMs === Number.NEGATIVE_INFINITY) await briefly(view.loading, this.#clock);
    else view.loading.catch(() => undefined);
    return view;
  }

  async #load(principal: Principal, repoId: string, view: View): Promise<void> {
    const since = view.newestAt?.getTime();
    view.add(
      await this.#changes.recent(principal, {
        repoId,
        since: new Date(since === undefined ? this.#clock.now().getTime() - WINDOW_MS : since - OVERLAP_MS),
        limit: CHANGES_PER_REPO,
      }),
    );
    view.readAtMs = this.#clock.monotonicMs();
  }
}

function newestFirst(a: RecentChange, b: RecentChange): number {
  return a.at < b.at ? 1 : a.at > b.at ? -1 : 0;
}

function indexed(changes: readonly RecentChange[], keyOf: (path: string) => string): Map<string, RecentChange[]> {
  const index = new Map<string, RecentChange[]>();
  for (const change of changes) {
    for (const key of new Set(change.paths.map(keyOf))) {
      const there = index.get(key);
      if (there === undefined) index.set(key, [change]);
      else there.push(change);
    }
  }
  return index;
}

function show(change: RecentChange, asked: readonly string[], now: Date): NearbyChange {
  const exact = new Set(asked);
  const directories = new Set(asked.map(directoryOf));
  const closeness = (path: string) => (exact.has(path) ? 0 : directories.has(directoryOf(path)) ? 1 : 2);
  const paths = change.paths.toSorted((a, b) => closeness(a) - closeness(b)).slice(0, PATHS_SHOWN);
  const ageSeconds = Math.max(0, Math.round((now.getTime() - Date.parse(change.at)) / 1000));
  return { ...change, paths, ageSeconds };
}
