import { touched } from '../workload/ground.ts';
import type { Operation, ToldLease } from '../workload/history.ts';
import { leaseIn } from '../workload/history.ts';
import { type Finding, groupBy } from './finding.ts';
import type { Log, LoggedLease } from './log.ts';

/**
 * In the order of the log, which no clock can disturb: whoever is granted something finds all overlapping leases of
 * others ended before, shared ones beside shared ones excepted. A lease that ran out counts until the log says that it ended.
 */
export function neverTwoInTheLog(log: Log): Finding {
  const problems: string[] = [];
  const live = new Map<string, Set<LoggedLease>>();
  const byEvent = new Map<number, LoggedLease>();
  for (const lease of log.leases.values()) {
    byEvent.set(lease.seq, lease);
    if (lease.end !== null) byEvent.set(lease.end.seq, lease);
  }
  for (const { seq } of log.events) {
    const lease = byEvent.get(seq);
    if (lease === undefined) continue;
    for (const place of lease.touches) {
      const there = live.get(place) ?? new Set();
      live.set(place, there);
      if (lease.seq !== seq) {
        there.delete(lease);
        continue;
      }
      for (const other of there) {
        if (!excludes(lease, other) || (log.finished.get(other.runId) ?? Infinity) < seq) continue;
        problems.push(
          `${place}: granted at ${seq} to run ${lease.runId}, while run ${other.runId} held it since ${other.seq}`,
        );
      }
      there.add(lease);
    }
  }
  return { examined: log.leases.size, problems };
}

function excludes(a: Pick<LoggedLease, 'runId' | 'mode'>, b: Pick<LoggedLease, 'runId' | 'mode'>): boolean {
  return a.runId !== b.runId && (a.mode === 'exclusive' || b.mode === 'exclusive');
}

/** From when to when, by the campaign's clock, a client was certain to hold a lease. */
interface Belief {
  readonly lease: ToldLease;
  readonly fromMs: number;
  untilMs: number;
}

/** An acquire that finds its wish held already extends it only if less than this of the time is left. */
const LEFT_AT_LEAST = 2 / 3;

/**
 * What clients could rightly believe, without looking into any table or at any clock but their own: a lease is theirs from
 * the answer that tells of it until they give it back, or until the time that they were promised has passed since they
 * asked. PostgreSQL's clock is only ever set back, which makes leases longer.
 */
function beliefs(history: readonly Operation[]): Belief[] {
  const askedMs = earliestGrants(history);
  const held = new Map<string, Belief>();
  const inOrder = history
    .filter(({ answeredMs }) => answeredMs !== null)
    .toSorted((a, b) => a.answeredMs! - b.answeredMs!);
  for (const operation of inOrder) {
    const lease =
      operation.reply!.status < 300 && operation.kind !== 'release' && operation.kind !== 'revoke'
        ? leaseIn(operation.reply)
        : null;
    if (lease === null) continue;
    const sinceMs = askedMs.get(askedBy(operation)) ?? operation.invokedMs;
    const isNew = operation.kind === 'renew' || lease.purpose === operation.sent.purpose;
    const seconds = isNew
      ? (operation.sent.ttlSeconds ?? lease.ttlSeconds)
      : Math.min(lease.ttlSeconds, operation.sent.ttlSeconds! * LEFT_AT_LEAST);
    const untilMs = sinceMs + seconds * 1000;
    const known = held.get(lease.id);
    if (known === undefined) held.set(lease.id, { lease, fromMs: operation.answeredMs!, untilMs });
    else known.untilMs = Math.max(known.untilMs, untilMs);
  }
  endBeliefs(history, held);
  return [...held.values()].filter(({ fromMs, untilMs }) => fromMs < untilMs);
}

/** All attempts of one wish have its name; without one, an operation stands for itself by its key. */
function askedBy({ sent, key, kind }: Operation): string {
  return sent.purpose ?? `${kind} ${sent.leaseId} ${key}`;
}

/** By wish: the last moment before which it certainly was not granted yet. */
function earliestGrants(history: readonly Operation[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const operation of history) {
    const { key, sent, invokedMs, kind, reply } = operation;
    if (kind === 'renew' && key === null) continue;
    const name = askedBy(operation);
    const isWaiting =
      reply !== null &&
      reply.status < 300 &&
      (reply.body['status'] === 'waiting' || reply.body['ticket'] !== undefined);
    const known = found.get(name);
    if (isWaiting && sent.purpose !== undefined) found.set(name, Math.max(known ?? 0, invokedMs));
    else if (known === undefined) found.set(name, invokedMs);
  }
  return found;
}

/** Whoever begins to give something back believes no more. */
function endBeliefs(history: readonly Operation[], held: ReadonlyMap<string, Belief>): void {
  const byRun = groupBy(held.values(), ({ lease }) => lease.runId);
  for (const { kind, mustFail, sent, runId, invokedMs } of history) {
    if (mustFail !== null) continue;
    const ended =
      kind === 'finish'
        ? (byRun.get(runId!) ?? [])
        : kind === 'release' || kind === 'revoke'
          ? [held.get(sent.leaseId!) ?? []].flat()
          : [];
    for (const belief of ended) belief.untilMs = Math.min(belief.untilMs, invokedMs);
  }
  for (const operation of history)
    for (const belief of byRun.get(operation.runId ?? '') ?? [])
      if (mayReplace(operation, belief)) belief.untilMs = Math.min(belief.untilMs, operation.invokedMs);
}

/**
 * Whether a request of the same run may end a shared lease with an exclusive one over all of it, which is then given back
 * by itself: unless it was refused, or was over before.
 */
function mayReplace({ kind, mustFail, sent, reply, answeredMs }: Operation, { lease, fromMs }: Belief): boolean {
  if ((kind !== 'acquire' && kind !== 'admit') || mustFail !== null) return false;
  if (lease.mode !== 'shared' || sent.mode !== 'exclusive' || sent.repo !== lease.repo) return false;
  if (reply !== null && reply.status >= 400 && reply.status < 500) return false;
  // A ticket, or an admission that waits, is answered without a lease, and may get it later.
  if (leaseIn(reply) !== null && answeredMs! < fromMs) return false;
  const { repo, paths = [], patterns = [], resources = [] } = sent;
  const asked = touched({ repo, paths, patterns, resources });
  return touched(lease).every((place) => asked.includes(place));
}

/** No two clients were certain of the same place at once. */
export function neverTwoBelieved(history: readonly Operation[]): Finding {
  const all = beliefs(history);
  const problems: string[] = [];
  const byPlace = new Map<string, Belief[]>();
  for (const belief of all.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const { lease } = belief;
    for (const place of touched(lease)) {
      const there = (byPlace.get(place) ?? []).filter(({ untilMs }) => untilMs > belief.fromMs);
      for (const other of there) {
        if (!excludes(lease, other.lease)) continue;
        problems.push(
          `${place}: from ${belief.fromMs.toFixed(0)} ms on held by run ${lease.runId} (fence ${lease.fence}), until ${other.untilMs.toFixed(0)} ms by run ${other.lease.runId} (fence ${other.lease.fence})`,
        );
      }
      byPlace.set(place, [...there, belief]);
    }
  }
  return { examined: all.length, problems };
}
