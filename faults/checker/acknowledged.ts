import type { Evidence } from '../evidence.ts';
import { leaseIn, type Operation, ticketIn } from '../workload/history.ts';
import type { Finding } from './finding.ts';
import type { Log, LoggedLease } from './log.ts';

/** Whatever a client was told that it has, or has given back, is in the log, with the same numbers and times. */
export function nothingToldIsMissing(history: readonly Operation[], log: Log): Finding {
  const problems: string[] = [];
  let examined = 0;
  for (const operation of history) {
    const { kind, reply, runId, sent } = operation;
    if (reply === null || reply.status >= 300) continue;
    examined += 1;
    const missing = (what: string) =>
      problems.push(`${kind} at ${operation.answeredMs!.toFixed(0)} ms was answered ${reply.status}, and ${what}`);
    const lease = leaseIn(reply);
    if (lease !== null) {
      const logged = log.leases.get(lease.id);
      if (logged === undefined) missing(`lease ${lease.id} is not in the log`);
      else if (logged.seq !== lease.fence) missing(`its fence ${lease.fence} is ${logged.seq} in the log`);
      else if (logged.runId !== lease.runId) missing(`lease ${lease.id} is run ${logged.runId}'s in the log`);
      else if (!logged.terms.some(({ expiresAtMs }) => expiresAtMs === Date.parse(lease.expiresAt)))
        missing(`lease ${lease.id} never lasted until ${lease.expiresAt}`);
      else if (kind === 'revoke' && logged.end?.reason !== 'revoked') missing(`lease ${lease.id} was not revoked`);
      else if (kind === 'release' && logged.end?.reason !== 'released') missing(`lease ${lease.id} was not released`);
    }
    const ticket = ticketIn(operation);
    if (ticket !== null && !log.tickets.has(ticket.id)) missing(`ticket ${ticket.id} is not in the log`);
    if (kind === 'cancel' && log.tickets.get(sent.ticketId!)?.end?.reason !== 'cancelled')
      missing(`ticket ${sent.ticketId} was not cancelled`);
    if (kind === 'finish' && !log.finished.has(runId!)) missing(`run ${runId} has not ended`);
    if (kind === 'start' && !log.started.has(String(reply.body['id'])))
      missing(`run ${String(reply.body['id'])} is not in the log`);
  }
  return { examined, problems };
}

/** Who was told that a lease is given back is never again refused because of it, nor is anybody else. */
export function nothingGivenBackStands(history: readonly Operation[]): Finding {
  const releasedMs = new Map<string, number>();
  for (const { kind, reply, answeredMs, sent } of history) {
    if (kind !== 'release' || reply?.status !== 200) continue;
    releasedMs.set(sent.leaseId!, Math.min(releasedMs.get(sent.leaseId!) ?? Infinity, answeredMs!));
  }
  const problems: string[] = [];
  let examined = 0;
  for (const { reply, invokedMs, runId } of history) {
    for (const { leaseId } of (reply?.body['conflicts'] as { leaseId: string | null }[] | undefined) ?? []) {
      examined += 1;
      const atMs = leaseId === null ? undefined : releasedMs.get(leaseId);
      if (atMs !== undefined && atMs < invokedMs)
        problems.push(
          `run ${runId} was refused at ${invokedMs.toFixed(0)} ms for lease ${leaseId}, given back by ${atMs.toFixed(0)} ms`,
        );
    }
  }
  return { examined, problems };
}

/** The tables and the log tell the same story. */
export function tablesAgree({ leases }: Pick<Evidence, 'leases'>, log: Log): Finding {
  const problems: string[] = [];
  const wrong = (id: string, what: string) => problems.push(`lease ${id}: ${what}`);
  const rows = new Map(leases.map((row) => [row.id, row]));
  for (const { id } of log.leases.values()) if (!rows.has(id)) wrong(id, 'in the log, not in the table');
  for (const row of leases) {
    const logged = log.leases.get(row.id);
    if (logged === undefined) wrong(row.id, 'in the table, not in the log');
    else if (logged.seq !== row.fence) wrong(row.id, `fence ${row.fence}, granted at ${logged.seq}`);
    else if (logged.runId !== row.runId || logged.repo !== row.repo)
      wrong(row.id, "another run's or repo's in the log");
    else if (!expiriesOf(logged).includes(row.expiresAtMs)) wrong(row.id, 'another expiry in the log');
    else if ((logged.end !== null) !== row.ended)
      wrong(row.id, row.ended ? 'ended without a word in the log' : 'ended in the log only');
    else if (logged.end !== null && logged.end.reason !== row.endReason)
      wrong(row.id, `ended as ${row.endReason}, in the log as ${logged.end.reason}`);
    else if (row.ended && row.keys > 0 && row.endReason !== 'revoked') wrong(row.id, 'ended, and still found as held');
    else if (!row.ended && row.keys === 0) wrong(row.id, 'held, and found by nobody');
  }
  return { examined: leases.length, problems };
}

/** What a row may show: the last one. Of a lease that is renewed and ended in one batch, only the end is written. */
function expiriesOf({ terms, end }: LoggedLease): number[] {
  const written = terms.findLastIndex(({ atMs }) => atMs !== end?.atMs);
  return terms.slice(Math.max(0, written)).map(({ expiresAtMs }) => expiresAtMs);
}
