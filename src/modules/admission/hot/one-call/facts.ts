import { RecentMap } from '../../../../platform/recent-map.ts';
import type { RunFacts } from '../../../loops/index.ts';
import type { LiveKey, Snapshot } from '../snapshot.ts';
import type { Subject } from './subject.ts';

const PER_ORG = 2000;

type Shared = Pick<Snapshot, 'policyVersion' | 'haltEpoch' | 'settings' | 'policies' | 'halts' | 'someWait'>;
type Repo = Snapshot['repos'] extends ReadonlyMap<string, infer R> ? R : never;

/**
 * What a server remembers of one org from the snapshots it has read. Nothing is decided by it alone: `hot_once` compares
 * the versions, and each run, under the locks.
 */
export class OrgFacts {
  readonly keys = new RecentMap<LiveKey>(PER_ORG);
  readonly runs = new RecentMap<RunFacts>(PER_ORG);
  readonly repos = new RecentMap<Repo>(PER_ORG);
  readonly shared: Shared;
  readonly factsVersion: number;
  readonly #clockOffsetMs: number;

  /** Goes on from what was known before, if that is of the same versions: a resumed run moves the halt epoch on. */
  constructor(snapshot: Snapshot, factsVersion: number, monotonicMs: number, before: OrgFacts | undefined) {
    const { policyVersion, haltEpoch, settings, policies, halts, someWait } = snapshot;
    // Not the snapshot itself: all that a batch has read of leases and tickets would be kept with it.
    this.shared = { policyVersion, haltEpoch, settings, policies, halts, someWait };
    this.factsVersion = factsVersion;
    this.#clockOffsetMs = snapshot.now.getTime() - monotonicMs;
    if (before?.factsVersion === factsVersion && before.shared.haltEpoch === snapshot.haltEpoch) {
      this.keys = before.keys;
      this.runs = before.runs;
      this.repos = before.repos;
    }
    for (const [id, key] of snapshot.keys) this.keys.set(id, key);
    for (const [id, run] of snapshot.runs) this.runs.set(id, run);
    for (const [id, repo] of snapshot.repos) this.repos.set(id, repo);
  }

  /** About what the database's clock shows. */
  now(monotonicMs: number): Date {
    return new Date(Math.round(monotonicMs + this.#clockOffsetMs));
  }

  /** Whether an operation can be decided by these alone, as long as nothing overlaps what it wants. */
  suffice({ op, keyId, runId, repoId, wanted }: Subject): boolean {
    const run = this.runs.get(runId);
    if (run?.status !== 'running' || this.keys.get(keyId) === undefined || this.repos.get(repoId) === undefined)
      return false;
    if (op.kind === 'renew') return true;
    // Whoever waits for it has to hear of it.
    if (op.kind === 'release') return !this.shared.someWait;
    if (this.shared.halts.length > 0 || wanted?.matchers.some(({ kind }) => kind !== 'path') === true) return false;
    // The time of the commit is not known before it.
    return op.kind === 'acquire' || !(this.shared.policies.readsClock || isTimed(run));
  }

  /** A call of that run has been written as its beat. */
  beat(runId: string, at: Date): void {
    const run = this.runs.get(runId);
    if (run !== undefined) this.runs.set(runId, { ...run, lastBeatAt: at });
  }
}

function isTimed(run: RunFacts): boolean {
  return run.loop.guardrails?.maxDurationSeconds !== undefined;
}
