import type { InTheWay } from '../decide.ts';
import type { Holder } from '../lease.ts';

/** One run that cannot go on before another: the other holds, or asked before for, what this one wants. */
export interface Wait {
  readonly from: Holder;
  readonly to: Holder;
  /** A path, or a resource, that both want. */
  readonly witness: string;
  /** Whether the other one holds it, or waits for it as well. */
  readonly over: 'lease' | 'ticket';
}

/**
 * Who waits for whom in an org, as far as it can be reached from the runs of a batch: read when a wait is about to begin,
 * kept up while the batch adds waits of its own.
 */
export class WaitGraph {
  readonly #waits = new Map<string, Wait[]>();

  add(waits: readonly Wait[]): void {
    for (const wait of waits) {
      const known = this.#waits.get(wait.from.run.id);
      if (known === undefined) this.#waits.set(wait.from.run.id, [wait]);
      else known.push(wait);
    }
  }

  /** The shortest cycle that these waits of one run would close, beginning with that run; null if they close none. */
  cycleWith(waits: readonly Wait[]): Wait[] | null {
    const [first] = waits;
    if (first === undefined) return null;
    const goal = first.from.run.id;
    const cameBy = new Map<string, { wait: Wait; before: string | null }>();
    const queue: string[] = [];
    const enter = (wait: Wait, before: string | null): boolean => {
      const to = wait.to.run.id;
      if (cameBy.has(to)) return false;
      cameBy.set(to, { wait, before });
      queue.push(to);
      return to === goal;
    };
    for (const wait of waits) if (enter(wait, null)) return pathTo(goal, cameBy);
    for (const runId of queue) {
      for (const wait of this.#waits.get(runId) ?? []) if (enter(wait, runId)) return pathTo(goal, cameBy);
    }
    return null;
  }
}

function pathTo(runId: string, cameBy: ReadonlyMap<string, { wait: Wait; before: string | null }>): Wait[] {
  const path: Wait[] = [];
  for (let at: string | null = runId; at !== null; ) {
    const step: { wait: Wait; before: string | null } = cameBy.get(at)!;
    path.unshift(step.wait);
    at = step.before;
  }
  return path;
}

/**
 * What somebody would wait for, one wait for each run in the way. Not for a lease of which only the lock delay still runs: that
 * comes free whatever its run does.
 */
export function waitsFor(from: Holder, { leases, waiters }: InTheWay, now: Date): Wait[] {
  const waits = new Map<string, Wait>();
  for (const { by, witness } of leases)
    if (by.expiresAt > now) waits.set(by.runId, { from, to: by.holder, witness, over: 'lease' });
  for (const { by, witness } of waiters)
    if (!waits.has(by.runId)) waits.set(by.runId, { from, to: by.holder, witness, over: 'ticket' });
  return [...waits.values()];
}
