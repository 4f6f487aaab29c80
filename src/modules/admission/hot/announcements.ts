import type { CommitSignal } from '../../../platform/database/commit-signal.ts';
import type { DecisionOutcome, Instruments } from '../../../platform/telemetry/index.ts';
import type { LeaseChanges } from '../../leases/index.ts';
import type { Decided } from './decide-batch.ts';

/** Tells of each batch that has committed on this server: the metrics, whoever follows the log, whoever lives off leases. */
export class Announcements {
  readonly #signal: CommitSignal;
  readonly #instruments: Instruments;
  readonly #listeners: ((changes: LeaseChanges) => void)[] = [];

  constructor({ signal, instruments }: { readonly signal: CommitSignal; readonly instruments: Instruments }) {
    this.#signal = signal;
    this.#instruments = instruments;
  }

  onLeases(listener: (changes: LeaseChanges) => void): void {
    this.#listeners.push(listener);
  }

  tell(orgId: string, decided: Decided, size: number, seconds: number): void {
    if (!decided.plan.isEmpty) this.#signal.touch(orgId);
    this.#count(decided, size, seconds);
    const { granted, ended, line } = decided.plan;
    const { settled, watched } = line;
    if (granted.length + ended.length + settled.length + watched.length === 0) return;
    const someWait = decided.snapshot.someWait || line.queued > 0;
    const changes = { orgId, granted: granted.map(({ lease }) => lease), ended, someWait, settled, watched };
    for (const listener of this.#listeners) listener(changes);
  }

  #count({ plan, results }: Decided, size: number, seconds: number): void {
    this.#instruments.batchCommitted(size, seconds);
    for (const [mode, count] of counted(plan.granted.map(({ lease }) => lease.mode)))
      this.#instruments.leaseGranted(mode, count);
    const { queued, settled } = plan.line;
    if (queued > 0) this.#instruments.waitsBegun(queued);
    for (const wait of settled) this.#instruments.waitEnded(wait.outcome, wait.seconds);
    const outcomes: DecisionOutcome[] = [];
    for (const result of results) {
      const outcome = result.ok ? result.answer.body['outcome'] : undefined;
      if (outcome === 'allow' || outcome === 'deny' || outcome === 'require_approval') outcomes.push(outcome);
    }
    for (const [outcome, count] of counted(outcomes)) this.#instruments.decided(outcome, count);
  }
}

/** Each value with how often it is there: one record a batch instead of one a request. */
function counted<T>(values: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
