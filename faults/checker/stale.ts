import type { Evidence } from '../evidence.ts';
import { type Operation, succeeded } from '../workload/history.ts';
import type { Finding } from './finding.ts';
import { expiryBefore, type Log } from './log.ts';

/** Who had lost the right to what it asked, or never had it, did not get it. */
export function noStaleRequestGranted(history: readonly Operation[]): Finding {
  const stale = history.filter(({ mustFail, reply }) => mustFail !== null && reply !== null);
  const problems = stale
    .filter(succeeded)
    .map(
      ({ kind, mustFail, runId, sent, answeredMs }) =>
        `${kind} of ${sent.leaseId ?? `run ${runId}`} with ${mustFail} was granted at ${answeredMs!.toFixed(0)} ms`,
    );
  return { examined: stale.length, problems };
}

/**
 * Nothing in the log was done by or to what was over: no renewal after the expiry, no grant, renewal or wait of a run that
 * had ended, no lease ended as expired before its time (by the lock delay for others), none ended twice.
 */
export function nothingOverMoves({ lockDelaySeconds }: Pick<Evidence, 'lockDelaySeconds'>, log: Log): Finding {
  const problems = [...log.impossible];
  for (const lease of log.leases.values()) {
    const endOfRun = log.finished.get(lease.runId) ?? Infinity;
    for (const { seq, atMs } of lease.terms) {
      if (seq > endOfRun)
        problems.push(`${seq}: lease ${lease.id} granted or renewed after its run ended at ${endOfRun}`);
      if (seq !== lease.seq && atMs >= expiryBefore(lease, seq))
        problems.push(`${seq}: lease ${lease.id} renewed ${atMs - expiryBefore(lease, seq)} ms after it expired`);
    }
    if (lease.end?.reason === 'expired') {
      const afterMs = lease.end.atMs - lease.terms.at(-1)!.expiresAtMs;
      const neededMs = isOwnGrantNext(log, lease.end.seq, lease.runId) ? 0 : lockDelaySeconds * 1000;
      if (afterMs < neededMs)
        problems.push(`${lease.end.seq}: lease ${lease.id} ended as expired ${afterMs} ms after its expiry`);
    }
    if (lease.end?.reason === 'run_ended' && endOfRun === Infinity)
      problems.push(`${lease.end.seq}: lease ${lease.id} ended with a run that goes on`);
  }
  problems.push(...takenBack(log));
  for (const { seq, id, runId } of log.tickets.values()) {
    if (seq > (log.finished.get(runId) ?? Infinity))
      problems.push(`${seq}: ticket ${id} queued for a run that had ended`);
  }
  return { examined: log.leases.size, problems };
}

/** What an admin took from a run, the run does not get again before it would have expired. */
function takenBack({ leases }: Log): string[] {
  const revoked = [...leases.values()].filter(({ end }) => end?.reason === 'revoked');
  return revoked.flatMap((lost) =>
    [...leases.values()]
      .filter(
        ({ runId, seq, touches }) =>
          runId === lost.runId && seq > lost.end!.seq && touches.some((touch) => lost.touches.includes(touch)),
      )
      .filter(({ terms }) => terms[0]!.atMs < lost.terms.at(-1)!.expiresAtMs)
      .map(({ seq }) => `${seq}: run ${lost.runId} got back what was revoked at ${lost.end!.seq}`),
  );
}

/** A run need not wait out the delay after its own lease: then its new grant is in the same batch. */
function isOwnGrantNext({ events }: Log, seq: number, runId: string): boolean {
  const atMs = events[seq - 1]!.atMs;
  for (const event of events.slice(seq)) {
    if (event.atMs !== atMs) return false;
    if (event.kind === 'lease.granted' && event.data['runId'] === runId) return true;
  }
  return false;
}
