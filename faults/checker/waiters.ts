import type { Evidence, LoggedEvent, WaiterRow } from '../evidence.ts';
import { type Finding, groupBy } from './finding.ts';
import type { Log, LoggedLease, LoggedTicket } from './log.ts';

/** When all was quiet again and everybody had given back what they held, nobody was left waiting. */
export function nobodyForgotten({ waiters, forgotten }: Pick<Evidence, 'waiters' | 'forgotten'>, log: Log): Finding {
  const problems = forgotten.map((runId) => `run ${runId} waited on when nobody held anything any more`);
  for (const row of waiters) {
    const { id, status, leaseId } = row;
    const logged = log.tickets.get(id);
    if (logged === undefined) problems.push(`ticket ${id} is not in the log`);
    else if (status === 'granted' && logged.end === null && hadItAlready(row, logged, log)) continue;
    else if ((logged.end === null) !== (status === 'waiting'))
      problems.push(`ticket ${id} is ${status}, and in the log ${logged.end?.reason ?? 'waiting'}`);
    else if (status === 'granted' && logged.end?.leaseId !== leaseId)
      problems.push(`ticket ${id} was granted ${leaseId}, in the log ${logged.end?.leaseId}`);
  }
  return { examined: waiters.length, problems };
}

/** A run that got what it waits for by another request: its ticket ends with that lease, of which the log has no second word. */
function hadItAlready({ leaseId }: WaiterRow, ticket: LoggedTicket, log: Log): boolean {
  const lease = log.leases.get(leaseId!);
  return lease?.runId === ticket.runId && ticket.touches.every((touch) => lease.touches.includes(touch));
}

/** A batch may have read a run's state this long before it committed. */
const RACE_MS = 4000;
/** So long after its last sign of life the place of an admission may be passed over. */
const PLACE_MS = 45_000;
/** The same where one of two requests that waited under it has left: the other has to be heard of soon. */
const JOINED_PLACE_MS = 15_000;

/**
 * First come, first served among overlapping requests: nobody is granted what somebody else has asked for before and
 * still waits for, except to the run that it waits for. Runs that had stalled may be passed over, and get nothing.
 */
export function nobodyOvertaken({ waiters }: Pick<Evidence, 'waiters'>, log: Log): Finding {
  const problems: string[] = [];
  const places = new Map(
    waiters
      .filter(({ kind }) => kind === 'admission')
      .map(({ id, joined }) => [id, joined ? JOINED_PLACE_MS : PLACE_MS]),
  );
  const line = new Map<string, LoggedTicket>();
  const held = new Map<string, Set<LoggedLease>>();
  const stalled = new Map<string, { from: number; until: number }>();
  const leaves = leavings(waiters, log);
  const mayBePassed = (ticket: LoggedTicket, { atMs }: LoggedEvent) => {
    const silence = stalled.get(ticket.runId);
    if (silence !== undefined && silence.until + RACE_MS > atMs) return true;
    return atMs - ticket.atMs > (places.get(ticket.id) ?? Number.POSITIVE_INFINITY);
  };
  let examined = 0;
  for (const event of log.events) {
    const { seq, kind, subjectId: id, atMs } = event;
    noteSilence(stalled, event);
    const ticket = log.tickets.get(id);
    if (ticket?.seq === seq) line.set(id, ticket);
    for (const gone of leaves.get(seq) ?? []) line.delete(gone);
    const lease = log.leases.get(id);
    if (lease?.end?.seq === seq) held.get(lease.runId)?.delete(lease);
    if (kind !== 'lease.granted' || lease === undefined) continue;
    examined += 1;
    const silence = stalled.get(lease.runId);
    if (lease.ticketId !== null && silence?.until === Infinity && silence.from + RACE_MS < atMs)
      problems.push(`${seq}: granted from the queue to run ${lease.runId}, stalled for ${atMs - silence.from} ms`);
    const own = held.get(lease.runId) ?? new Set();
    held.set(lease.runId, own);
    const place = lease.ticketId === null ? seq : (log.tickets.get(lease.ticketId)?.seq ?? seq);
    for (const other of line.values()) {
      if (other.runId === lease.runId || other.seq > place || (other.mode === 'shared' && lease.mode === 'shared'))
        continue;
      const common = other.touches.find((touch) => lease.touches.includes(touch) && !waitsFor(own, other, touch));
      if (common === undefined || mayBePassed(other, event)) continue;
      problems.push(
        `${seq}: ${common} was granted to run ${lease.runId} past run ${other.runId}, which waits since ${other.seq}`,
      );
    }
    own.add(lease);
  }
  return { examined, problems };
}

/** Whether it is this very run that it waits for, there: who would share it with the run does not. */
function waitsFor(own: ReadonlySet<LoggedLease>, { mode }: LoggedTicket, touch: string): boolean {
  return [...own].some((held) => held.touches.includes(touch) && (held.mode === 'exclusive' || mode === 'exclusive'));
}

/** By the event with which they leave the line: the ids of tickets. */
function leavings(waiters: Evidence['waiters'], log: Log): Map<number, string[]> {
  const silent = new Map(waiters.map(({ id, leaseId }) => [id, leaseId]));
  const left = [...log.tickets.values()].flatMap(({ id, seq, end }) => {
    const leaseSeq = log.leases.get(silent.get(id) ?? '')?.seq;
    const at = end?.seq ?? (leaseSeq === undefined ? undefined : Math.max(seq, leaseSeq));
    return at === undefined ? [] : [{ id, at }];
  });
  return new Map([...groupBy(left, ({ at }) => at)].map(([at, gone]) => [at, gone.map(({ id }) => id)]));
}

function noteSilence(
  stalled: Map<string, { from: number; until: number }>,
  { kind, subjectId, atMs }: LoggedEvent,
): void {
  if (kind === 'run.stalled') stalled.set(subjectId, { from: atMs, until: Infinity });
  const silence = stalled.get(subjectId);
  if (silence !== undefined && silence.until === Infinity && /^run\.(revived|resumed|finished)$/.test(kind))
    silence.until = atMs;
}
