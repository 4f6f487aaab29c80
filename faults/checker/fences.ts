import type { Evidence } from '../evidence.ts';
import { leaseIn } from '../workload/history.ts';
import type { Finding } from './finding.ts';

/** Each fence is given once and names one lease; and what was granted later, as clients saw it, has the higher one. */
export function fencesOnlyRise({ history, leases }: Pick<Evidence, 'history' | 'leases'>): Finding {
  const problems: string[] = [];
  const owner = new Map<number, string>();
  const claim = (fence: number, id: string, where: string) => {
    const first = owner.get(fence) ?? id;
    owner.set(fence, first);
    if (first !== id) problems.push(`fence ${fence} is lease ${first}'s and, ${where}, ${id}'s`);
  };
  for (const { fence, id } of leases) claim(fence, id, 'in the table');
  const asked = new Map<string, number>();
  const told: { fence: number; askedMs: number; toldMs: number }[] = [];
  for (const { sent, invokedMs } of history) {
    if (sent.purpose !== undefined && !asked.has(sent.purpose)) asked.set(sent.purpose, invokedMs);
  }
  for (const { reply, answeredMs } of history) {
    const lease = reply !== null && reply.status < 300 ? leaseIn(reply) : null;
    if (lease === null) continue;
    claim(lease.fence, lease.id, 'as told');
    const askedMs = lease.purpose === null ? undefined : asked.get(lease.purpose);
    if (askedMs !== undefined) told.push({ fence: lease.fence, askedMs, toldMs: answeredMs! });
  }
  problems.push(...wentBack(told));
  return { examined: told.length, problems };
}

/** Every fence that is not above all that were told before it was even asked for. */
function wentBack(told: readonly { fence: number; askedMs: number; toldMs: number }[]): string[] {
  const problems: string[] = [];
  const byTold = told.toSorted((a, b) => a.toldMs - b.toldMs);
  let highest = 0;
  let at = 0;
  for (const { fence, askedMs } of told.toSorted((a, b) => a.askedMs - b.askedMs)) {
    for (; at < byTold.length && byTold[at]!.toldMs < askedMs; at += 1) highest = Math.max(highest, byTold[at]!.fence);
    if (fence <= highest)
      problems.push(`fence ${fence} was asked for at ${askedMs.toFixed(0)} ms, when ${highest} had been given`);
  }
  return problems;
}
