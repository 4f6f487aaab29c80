import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { systemPrincipal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import type { Conflict } from './decide.ts';

/** Leases that ended lately, of a repo: how long each was held, in seconds. */
const SAMPLES = 200;
/** Rows looked at for them: most of the newest may not have ended yet. */
const LOOKED_AT = 2000;
const STALE_MS = 30_000;

/** How long leases of a repo are held, to tell who is refused how long it may take. Advice; it decides nothing. */
export class HoldHistory {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #repos = new RecentMap<{ readonly readAtMs: number; readonly seconds: Promise<readonly number[]> }>(1000);

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Fills in how long each conflict may last; a history that cannot be read leaves them unknown. */
  async judge(orgId: string, repoId: string, conflicts: readonly Conflict[], now: Date): Promise<void> {
    if (conflicts.length === 0) return;
    const seconds = await this.#of(orgId, repoId).catch(() => []);
    for (const conflict of conflicts) conflict.expectedWaitSeconds = expectedWait(seconds, conflict, now);
  }

  #of(orgId: string, repoId: string): Promise<readonly number[]> {
    const key = `${orgId} ${repoId}`;
    const known = this.#repos.get(key);
    if (known !== undefined && this.#clock.monotonicMs() - known.readAtMs < STALE_MS) return known.seconds;
    const seconds = this.#read(orgId, repoId);
    const reading = { readAtMs: this.#clock.monotonicMs(), seconds };
    this.#repos.set(key, reading);
    // The next one reads again; by then another may have.
    seconds.catch(() => {
      if (this.#repos.get(key) === reading) this.#repos.delete(key);
    });
    return seconds;
  }

  async #read(orgId: string, repoId: string): Promise<readonly number[]> {
    const rows = await this.#db.read(
      systemPrincipal(orgId),
      (tx) => tx.db.$queryRaw<{ seconds: number }[]>`
        SELECT greatest(0, extract(epoch FROM least(h.ended_at, h.expires_at) - h.granted_at))::float8 AS seconds FROM (
          SELECT l.granted_at, l.ended_at, l.expires_at FROM lease l
          WHERE l.org_id = ${orgId}::uuid AND l.repo_id = ${repoId}::uuid ORDER BY l.fence DESC LIMIT ${LOOKED_AT}) h
        WHERE h.ended_at IS NOT NULL LIMIT ${SAMPLES}`,
    );
    return rows.map(({ seconds }) => seconds).toSorted((a, b) => a - b);
  }
}

/**
 * Seconds until what is in the way may be out of it: for a lease the median of what was left of holds that had lasted as
 * long as this one, for each who waits before a median hold. Never later than the lease is free if nobody renews it. Null
 * if there is nothing to judge by.
 * @param seconds past holds, ascending
 */
export function expectedWait(
  seconds: readonly number[],
  conflict: Pick<Conflict, 'since' | 'freeAt' | 'queueLength' | 'ticketId'>,
  now: Date,
): number | null {
  const typical = median(seconds);
  const queue = conflict.queueLength * (typical ?? 0);
  if (conflict.ticketId !== null || conflict.freeAt === null) return typical === null ? null : round(queue);
  const age = (now.getTime() - Date.parse(conflict.since)) / 1000;
  const left = median(seconds.filter((held) => held > age).map((held) => held - age));
  const atMost = Math.max(0, (Date.parse(conflict.freeAt) - now.getTime()) / 1000);
  return round(Math.min(left ?? atMost, atMost) + queue);
}

function median(ascending: readonly number[]): number | null {
  return ascending[Math.floor(ascending.length / 2)] ?? null;
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
