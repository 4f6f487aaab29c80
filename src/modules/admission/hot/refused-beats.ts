import type { Clock } from '../../../platform/clock.ts';
import type { Database } from '../../../platform/database/database.ts';
import { OrgBatcher } from '../../../platform/database/org-batcher.ts';
import { systemPrincipal } from '../../../platform/principal.ts';
import { RecentMap } from '../../../platform/recent-map.ts';
import { BEAT_EVERY_SECONDS, beatAll } from '../../loops/index.ts';
import type { OneCall } from './one-call/one-call.ts';

const MOST_RUNS = 20_000;
/** Runs of one transaction. */
const BATCH = 500;

interface Deps {
  readonly db: Database;
  readonly clock: Clock;
  readonly known: OneCall;
}

/**
 * Beats of runs that were refused something: a refusal writes nothing, but any call that names a run is a beat. Else one that
 * asks every second for what another holds would be taken for silent, and lose its place in other lines.
 */
export class RefusedBeats {
  readonly #deps: Deps;
  readonly #batcher: OrgBatcher<string, undefined>;
  /** When each run was last written down as heard of here, on this process's monotonic clock. */
  readonly #at = new RecentMap<number>(MOST_RUNS);

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#batcher = new OrgBatcher(
      async (orgId, runIds) => {
        await deps.db.write(systemPrincipal(orgId), (tx) => beatAll(tx, runIds));
        return runIds.map(() => ({ ok: true, answer: undefined }));
      },
      { ops: BATCH },
    );
  }

  /** Of a run that whoever was refused may act for. The refusal does not wait for it. */
  note(orgId: string, runId: string): void {
    const key = `${orgId} ${runId}`;
    if (!this.#isDue(orgId, runId, this.#at.get(key))) return;
    this.#at.set(key, this.#deps.clock.monotonicMs());
    // What cannot be written down now is with the next refusal.
    this.#batcher.submit(orgId, runId).catch(() => this.#at.delete(key));
  }

  #isDue(orgId: string, runId: string, notedMs = -Infinity): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    const facts = this.#deps.known.factsOf(orgId);
    const beatAt = facts?.runs.get(runId)?.lastBeatAt;
    const silentMs = beatAt === undefined ? Infinity : facts!.now(nowMs).getTime() - beatAt.getTime();
    return Math.min(nowMs - notedMs, silentMs) >= BEAT_EVERY_SECONDS * 1000;
  }
}
