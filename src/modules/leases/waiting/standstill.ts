import type { ReadTx } from '../service.ts';

/** A run that waits for another, by the ticket with which it does. */
export interface Watch {
  readonly ticketId: string;
  readonly seq: number;
  readonly fromRun: string;
  readonly toRun: string;
}

/** Waits looked at for cycles. */
const MOST = 10_000;

/**
 * What each waiting run watches. In a standstill each of them watches one of the others at last: whatever else was in its
 * way has been given back, or never will be. A lease of which only the lock delay still runs is in nobody's way for long.
 */
export async function watches({ db, orgId }: ReadTx): Promise<Watch[]> {
  const rows = await db.$queryRaw<{ id: string; seq: bigint; from_run: string; to_run: string }[]>`
    SELECT w.id, w.seq, w.run_id AS from_run, coalesce(held.run_id, ahead.run_id) AS to_run FROM lease_waiter w
    CROSS JOIN LATERAL (SELECT r.status FROM run r WHERE r.org_id = ${orgId}::uuid AND r.id = w.run_id OFFSET 0) r
    LEFT JOIN LATERAL (SELECT l.run_id FROM lease l
      WHERE l.org_id = ${orgId}::uuid AND l.id = w.blocked_by AND l.ended_at IS NULL AND l.expires_at > clock_timestamp() OFFSET 0) held ON true
    LEFT JOIN LATERAL (SELECT a.run_id FROM lease_waiter a
      WHERE a.org_id = ${orgId}::uuid AND a.id = w.blocked_by AND a.status = 'waiting' OFFSET 0) ahead ON true
    WHERE w.org_id = ${orgId}::uuid AND w.status = 'waiting' AND w.blocked_by IS NOT NULL AND r.status = 'running'
      AND coalesce(held.run_id, ahead.run_id) IS NOT NULL
    ORDER BY w.seq LIMIT ${MOST}`;
  return rows.map(({ id, seq, from_run: fromRun, to_run: toRun }) => ({
    ticketId: id,
    seq: Number(seq),
    fromRun,
    toRun,
  }));
}

/** Of each cycle of runs that wait for each other, the ticket that came last. */
export function youngestInCycles(all: readonly Watch[]): string[] {
  const of = new Map<string, Watch[]>();
  for (const watch of all) of.set(watch.fromRun, [...(of.get(watch.fromRun) ?? []), watch]);
  const youngest: string[] = [];
  const done = new Set<string>();
  for (const start of of.keys()) {
    const cycle = cycleFrom(start, of, done);
    if (cycle !== null) youngest.push(cycle.reduce((a, b) => (b.seq > a.seq ? b : a)).ticketId);
  }
  return youngest;
}

/** The first cycle that a walk from `start` comes upon, in depth; runs from which there is no way to one are `done`. */
function cycleFrom(start: string, of: ReadonlyMap<string, readonly Watch[]>, done: Set<string>): Watch[] | null {
  const path: { run: string; next: number; by: Watch | null }[] = [{ run: start, next: 0, by: null }];
  const onPath = new Map([[start, 0]]);
  while (path.length > 0) {
    const step = path.at(-1)!;
    const watch = of.get(step.run)?.[step.next];
    step.next += 1;
    if (watch === undefined || done.has(step.run)) {
      done.add(step.run);
      onPath.delete(step.run);
      path.pop();
      continue;
    }
    const at = onPath.get(watch.toRun);
    if (at !== undefined) {
      for (const { run } of path) done.add(run);
      return [...path.slice(at + 1).map(({ by }) => by!), watch];
    }
    onPath.set(watch.toRun, path.length);
    path.push({ run: watch.toRun, next: 0, by: watch });
  }
  return null;
}
