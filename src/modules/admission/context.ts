import type { Database } from '../../platform/database/database.ts';
import type { Principal } from '../../platform/principal.ts';
import { type LeaseChanges, parseClaims } from '../leases/index.ts';
import { repoIdOf } from '../loops/index.ts';
import type { NearbyLease, NearbyLeases } from './nearby.ts';
import type { NearbyChange, NearbyChanges } from './nearby-changes.ts';

/** What other loops do near the paths that somebody asks about. */
export interface Context {
  /** Leases that others hold. */
  readonly active: NearbyLease[];
  /** Changes that others landed, newest first. */
  readonly recent: NearbyChange[];
  readonly upcoming: never[];
  readonly protected: never[];
}

const NOTHING: Context = { active: [], recent: [], upcoming: [], protected: [] };
/** Somebody who asks for the context itself is shown more of it. */
const SHOWN = 50;

/** Shared context: what others are changing now and have just changed, and why. Advice; it decides nothing. */
export class ContextService {
  readonly #db: Database;
  readonly #leases: NearbyLeases;
  readonly #changes: NearbyChanges;

  constructor(db: Database, leases: NearbyLeases, changes: NearbyChanges) {
    this.#db = db;
    this.#leases = leases;
    this.#changes = changes;
  }

  /** From memory, at most seconds old: what comes with every admission. Nothing for an action without paths. */
  async near(
    principal: Principal,
    repo: { id: string; name: string },
    runId: string,
    paths: readonly string[],
  ): Promise<Context> {
    if (paths.length === 0) return NOTHING;
    const [active, recent] = await Promise.all([
      this.#leases.near(principal, repo, runId, paths),
      this.#changes.near(principal, repo, runId, paths),
    ]);
    return { ...NOTHING, active, recent };
  }

  /**
   * As it stands in the database, near the paths or in the whole repo; of a repo that nobody named yet, nothing.
   * @param query.runId whose own leases and changes are left out
   * @throws Problem 422 for a path
   */
  async read(
    principal: Principal,
    query: { repo: string; paths: readonly string[]; runId: string | null },
  ): Promise<Context> {
    const paths = query.paths.length === 0 ? [] : parseClaims(query.paths, []).map(({ text }) => text);
    const id = await this.#db.read(principal, (tx) => repoIdOf(tx, query.repo));
    if (id === null) return NOTHING;
    const repo = { id, name: query.repo };
    const options = { fresh: true, limit: SHOWN };
    const [active, recent] = await Promise.all([
      this.#leases.near(principal, repo, query.runId, paths, options),
      this.#changes.near(principal, repo, query.runId, paths, options),
    ]);
    return { ...NOTHING, active, recent };
  }

  /** Keeps up with the leases that a batch of this server granted and ended. */
  apply(changes: LeaseChanges): void {
    this.#leases.apply(changes);
  }
}
