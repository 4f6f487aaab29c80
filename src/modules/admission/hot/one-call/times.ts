import type { Settled } from '../../../../platform/database/org-batcher.ts';
import { closedUntil, type HeldLease, type LeaseView, leaseTimes } from '../../../leases/index.ts';
import type { Written } from '../lost-batch.ts';
import type { HotAnswer } from '../operation.ts';
import type { BatchPlan } from '../plan.ts';
import type { Snapshot } from '../snapshot.ts';

/** An answer as it is kept: with marks for the times that only the database knows. */
export function withMarks(snapshot: Snapshot, plan: BatchPlan, given: HotAnswer): HotAnswer {
  const view = given.body['lease'] as LeaseView | undefined;
  const granted = plan.granted.findLast(({ lease }) => lease.id === view?.id)?.lease;
  const lease = granted ?? plan.renewed.findLast(({ id }) => id === view?.id);
  if (view === undefined || lease === undefined) return given;
  const { ttlSeconds, expiresAt } = lease;
  const closed = closedUntil(lease, snapshot.settings.lockDelaySeconds);
  const times = {
    grantedAt: granted === undefined ? view.grantedAt : plan.after(0, granted.grantedAt),
    expiresAt: plan.after(ttlSeconds, expiresAt),
    closedUntil: plan.after(ttlSeconds + snapshot.settings.lockDelaySeconds, closed),
  };
  return { ...given, body: { ...given.body, lease: { ...view, ...times } } };
}

/** Puts in what only the database knew: the fences, and the times as they came out. */
export function putIn(
  snapshot: Snapshot,
  plan: BatchPlan,
  results: readonly Settled<HotAnswer>[],
  written: Written,
): void {
  const { lockDelaySeconds } = snapshot.settings;
  const ends = endsAfter(written.at);
  const changed = new Map<string, HeldLease>();
  for (const { lease, event } of plan.granted) {
    lease.fence = written.firstSeq + event;
    lease.grantedAt = written.at;
    lease.expiresAt = ends(lease.ttlSeconds);
    changed.set(lease.id, lease);
  }
  for (const lease of plan.renewed) {
    lease.expiresAt = ends(lease.ttlSeconds);
    changed.set(lease.id, lease);
  }
  for (const result of results) {
    const shown = result.ok ? (result.answer.body['lease'] as LeaseView | undefined) : undefined;
    const lease = shown === undefined ? undefined : changed.get(shown.id);
    if (shown === undefined || lease === undefined) continue;
    shown.fence = lease.fence!;
    Object.assign(shown, leaseTimes(lease, lockDelaySeconds));
  }
}

/** One Date for all leases that end together: they are remembered by the thousand. */
function endsAfter(at: Date): (seconds: number) => Date {
  const ends = new Map<number, Date>();
  return (seconds) => {
    let end = ends.get(seconds);
    if (end === undefined) ends.set(seconds, (end = new Date(at.getTime() + seconds * 1000)));
    return end;
  };
}
