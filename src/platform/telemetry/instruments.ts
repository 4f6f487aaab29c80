import type { Meter } from '@opentelemetry/api';

/** Sizes of a connection pool at one moment, all in connections except `pending`, in requests waiting for one. */
export interface PoolState {
  readonly idle: number;
  readonly used: number;
  readonly pending: number;
  readonly max: number;
}

/**
 * What the server counts about its own work. Attributes are few and bounded: never an org, a loop, a path or a key,
 * as each value would be a series of its own and metrics are read by people who may not read every org.
 */
export interface Instruments {
  /** A hot-path batch that committed. `signalbox.batch.size` {request} and `signalbox.batch.duration` s, from BEGIN to COMMIT's answer. */
  batchCommitted(size: number, durationSeconds: number): void;
  /** A batch or transaction that is tried again. `signalbox.transaction.retries` {retry} by `signalbox.retry.reason`. */
  transactionRetried(reason: RetryReason): void;
  /** Decisions that are in the log. `signalbox.decisions` {decision} by `signalbox.decision.outcome`. */
  decided(outcome: DecisionOutcome, count?: number): void;
  /** Leases granted. `signalbox.lease.grants` {lease} by `signalbox.lease.mode`. */
  leaseGranted(mode: 'exclusive' | 'shared', count?: number): void;
  /** A lease refused because of another. `signalbox.lease.conflicts` {conflict} by `signalbox.lease.mode`. */
  leaseConflicted(mode: 'exclusive' | 'shared'): void;
  /** Requests that got in line for a lease. `signalbox.lease.waits` {wait}: with the count of ended ones, how many wait. */
  waitsBegun(count: number): void;
  /** One came out of the line. `signalbox.lease.wait.duration` s, by `signalbox.lease.wait.outcome`. */
  waitEnded(outcome: WaitOutcome, durationSeconds: number): void;
  /**
   * Watches a pool, read when metrics are collected: `db.client.connection.count` {connection} by
   * `db.client.connection.state` idle or used, `db.client.connection.max` {connection} and
   * `db.client.connection.pending_requests` {request}, all by `db.client.connection.pool.name`.
   * @returns stops reading the pool; its last values stay.
   */
  observePool(name: string, state: () => PoolState): () => void;
}

/** Why a transaction was rolled back and tried again. */
export type RetryReason =
  | 'head_moved'
  | 'lock_timeout'
  | 'deadlock'
  | 'serialization'
  | 'connection'
  | 'uncompiled'
  | 'split_batch';
/** With a lease; by who asked, or who may; or because it could come to nothing any more. */
export type WaitOutcome = 'granted' | 'cancelled' | 'ended';
export type DecisionOutcome = 'allow' | 'deny' | 'require_approval';

const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const BATCH_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const WAIT_SECONDS = [0.1, 1, 5, 15, 60, 300, 900, 3600, 14_400];

/** Creates the instruments on a server's meter. Call once per server. */
export function createInstruments(meter: Meter): Instruments {
  const batchSize = meter.createHistogram('signalbox.batch.size', {
    unit: '{request}',
    description: 'Requests decided in one transaction of the hot path',
    advice: { explicitBucketBoundaries: BATCH_SIZES },
  });
  const batchDuration = meter.createHistogram('signalbox.batch.duration', {
    unit: 's',
    description: 'Time from BEGIN to the answer to COMMIT',
    advice: { explicitBucketBoundaries: BATCH_SECONDS },
  });
  const retries = meter.createCounter('signalbox.transaction.retries', {
    unit: '{retry}',
    description: 'Transactions rolled back and tried again',
  });
  const decisions = meter.createCounter('signalbox.decisions', {
    unit: '{decision}',
    description: 'Decisions recorded',
  });
  const grants = meter.createCounter('signalbox.lease.grants', { unit: '{lease}', description: 'Leases granted' });
  const conflicts = meter.createCounter('signalbox.lease.conflicts', {
    unit: '{conflict}',
    description: 'Leases refused because of another lease',
  });
  const waits = meter.createCounter('signalbox.lease.waits', {
    unit: '{wait}',
    description: 'Requests that got in line for a lease',
  });
  const waitDuration = meter.createHistogram('signalbox.lease.wait.duration', {
    unit: 's',
    description: 'Time in line for a lease, however it ended',
    advice: { explicitBucketBoundaries: WAIT_SECONDS },
  });
  return {
    batchCommitted(size, durationSeconds) {
      batchSize.record(size);
      batchDuration.record(durationSeconds);
    },
    transactionRetried: (reason) => retries.add(1, { 'signalbox.retry.reason': reason }),
    decided: (outcome, count = 1) => decisions.add(count, { 'signalbox.decision.outcome': outcome }),
    leaseGranted: (mode, count = 1) => grants.add(count, { 'signalbox.lease.mode': mode }),
    leaseConflicted: (mode) => conflicts.add(1, { 'signalbox.lease.mode': mode }),
    waitsBegun: (count) => waits.add(count),
    waitEnded: (outcome, seconds) => waitDuration.record(seconds, { 'signalbox.lease.wait.outcome': outcome }),
    observePool: poolObserver(meter),
  };
}

function poolObserver(meter: Meter): Instruments['observePool'] {
  const count = meter.createObservableUpDownCounter('db.client.connection.count', {
    unit: '{connection}',
    description: 'Connections of a pool by state',
  });
  const max = meter.createObservableUpDownCounter('db.client.connection.max', {
    unit: '{connection}',
    description: 'Most connections that a pool may open',
  });
  const pending = meter.createObservableUpDownCounter('db.client.connection.pending_requests', {
    unit: '{request}',
    description: 'Requests waiting for a connection',
  });
  const observed = [count, max, pending];
  return (name, state) => {
    const pool = { 'db.client.connection.pool.name': name };
    const observe: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
      const now = state();
      result.observe(count, now.idle, { ...pool, 'db.client.connection.state': 'idle' });
      result.observe(count, now.used, { ...pool, 'db.client.connection.state': 'used' });
      result.observe(max, now.max, pool);
      result.observe(pending, now.pending, pool);
    };
    meter.addBatchObservableCallback(observe, observed);
    return () => meter.removeBatchObservableCallback(observe, observed);
  };
}
