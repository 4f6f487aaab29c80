import type pg from 'pg';
import { budgetOf } from '../../../patterns/index.ts';
import { idempotencyMismatch } from '../../../platform/database/idempotency.ts';
import type { Settled } from '../../../platform/database/org-batcher.ts';
import { unauthenticated } from '../../../platform/errors.ts';
import { loadWaitGraph } from '../../leases/index.ts';
import { acquire } from './decide-acquire.ts';
import { answer, ask } from './decide-ask.ts';
import { release, renew, revoke } from './decide-lease.ts';
import { cancel, promote } from './decide-wait.ts';
import { loadApprovals } from './load.ts';
import type { HotAnswer, HotOperation } from './operation.ts';
import { BatchPlan } from './plan.ts';
import { keptRow } from './plan-rows.ts';
import { type KeptAnswer, keptKey, type Snapshot } from './snapshot.ts';

export interface Decided {
  readonly snapshot: Snapshot;
  readonly plan: BatchPlan;
  /** In the order of the operations. */
  readonly results: Settled<HotAnswer>[];
}

/** Steps (see `workDone`) that a batch may cost together: for which everybody else on this server waits, some tenths of a second. */
export const BATCH_STEPS_MAX = 10_000_000;

/** Each alone is bounded; a hundred such are not to be decided in one go. */
class TooMuchTogether extends Error {
  override readonly name = 'TooMuchTogether';
}

/**
 * Decides a batch in order of arrival. Two kinds of requests need a second look at the database: those that a policy sends to
 * a human, for their approvals, whose rows stay locked until the batch ends; and those that may wait, for who waits for whom.
 * @throws TooMuchTogether what may be decided one by one; Uncompiled unless `mayCut`, of those who wait
 */
export async function decideBatch(
  client: pg.PoolClient,
  snapshot: Snapshot,
  ops: readonly HotOperation[],
  { mayCut = false }: { readonly mayCut?: boolean } = {},
): Promise<Decided> {
  const digests = digestsToLookUp(snapshot, ops);
  if (digests.length > 0) await loadApprovals(client, snapshot, digests);
  const runIds = runsThatMayWait(snapshot, ops);
  if (runIds.length > 0) {
    const { orgId, now, settings } = snapshot;
    const moment = { now, lockDelaySeconds: settings.lockDelaySeconds };
    snapshot.waits = await loadWaitGraph(client, orgId, runIds, { moment, mayCut });
  }
  return decideInOrder(snapshot, ops);
}

/** Begun anew after each look at the database: what others have cost meanwhile is not the batch's. */
function unlessTooMuch(ops: readonly HotOperation[]): () => void {
  const isSpent = budgetOf(BATCH_STEPS_MAX);
  return () => {
    if (ops.length > 1 && isSpent()) throw new TooMuchTogether();
  };
}

/** Of what a policy sends to a human. */
function digestsToLookUp(snapshot: Snapshot, ops: readonly HotOperation[]): string[] {
  const digests = new Set<string>();
  const check = unlessTooMuch(ops);
  for (const op of ops) {
    check();
    if (op.kind !== 'ask' || snapshot.policyVersion === 0) continue;
    const asked = attempt(() => ask(snapshot, op));
    // Whether it rides on an approval may change within the batch; the digest costs nothing to look up.
    if (asked.ok && asked.answer.judgement.outcome === 'require_approval') digests.add(asked.answer.digest);
  }
  return [...digests];
}

/** Those who may begin to wait in this batch; nobody, where nothing is in anybody's way. */
function runsThatMayWait(snapshot: Snapshot, ops: readonly HotOperation[]): string[] {
  const waiting = ops.flatMap((op) => ('waits' in op && op.waits && op.repo !== null ? [op] : []));
  const isSomething = ({ repo }: (typeof waiting)[number]) =>
    (snapshot.tables.get(repo!.id)?.size ?? 0) + (snapshot.waiters.get(repo!.id)?.size ?? 0) > 0;
  // What the batch itself gives may be in the way of those behind it.
  if (ops.length === 1 && !waiting.some(isSomething)) return [];
  return [...new Set(waiting.flatMap(({ runId }) => runId ?? []))];
}

/** No effect but on the snapshot and the plan: every operation sees what those before it were given. */
function decideInOrder(snapshot: Snapshot, ops: readonly HotOperation[]): Decided {
  const plan = new BatchPlan(snapshot);
  const check = unlessTooMuch(ops);
  const results = ops.map((op) => {
    check();
    return attempt(() => decideOne(snapshot, plan, op));
  });
  return { snapshot, plan, results };
}

function attempt<T>(work: () => T): Settled<T> {
  try {
    return { ok: true, answer: work() };
  } catch (error) {
    return { ok: false, error };
  }
}

/** @throws Problem 401 for a key revoked since it was verified; 422 `idempotency_mismatch`; those of each operation */
function decideOne(snapshot: Snapshot, plan: BatchPlan, op: HotOperation): HotAnswer {
  const { keyId } = op.principal;
  // Of a waiter whose key is gone, the ticket ends; nobody is there to be told.
  if (op.kind === 'promote') return promote(snapshot, plan, op);
  if (keyId !== null && !snapshot.keys.has(keyId)) throw unauthenticated('The API key is revoked or expired.');
  const kept = op.idempotent === null ? undefined : snapshot.kept.get(keptKey(keyId, op.idempotent.key));
  if (kept !== undefined && op.idempotent !== null) {
    if (kept.operation !== op.idempotent.operation || !op.idempotent.fingerprint.equals(kept.fingerprint))
      throw idempotencyMismatch();
    return replay(kept);
  }
  const given = dispatch(snapshot, plan, op);
  if (op.idempotent !== null && keyId !== null && given.body['outcome'] !== 'wait')
    keep(snapshot, plan, op, keyId, given);
  return given;
}

function dispatch(snapshot: Snapshot, plan: BatchPlan, op: Exclude<HotOperation, { kind: 'promote' }>): HotAnswer {
  switch (op.kind) {
    case 'ask':
      return answer(snapshot, plan, ask(snapshot, op));
    case 'acquire':
      return acquire(snapshot, plan, op);
    case 'renew':
      return renew(snapshot, plan, op);
    case 'release':
      return release(snapshot, plan, op);
    case 'revoke':
      return revoke(snapshot, plan, op);
    case 'cancel':
      return cancel(snapshot, plan, op);
  }
}

function replay(kept: KeptAnswer): HotAnswer {
  // The first answer of this very batch: the same object, so that it too gets its fence after the commit.
  if (kept.answer !== undefined) return kept.answer;
  const body = JSON.parse(kept.response) as Record<string, unknown>;
  const lease = body['lease'] as { fence: number } | undefined;
  if (lease !== undefined && kept.fence !== null) lease.fence = kept.fence;
  return { status: kept.status, body, replayed: true };
}

function keep(snapshot: Snapshot, plan: BatchPlan, op: HotOperation, keyId: string, given: HotAnswer): void {
  const { key, operation, fingerprint } = op.idempotent!;
  const row = keptRow(op.idempotent!, keyId, given);
  plan.keep(row);
  const { status, response } = row;
  snapshot.kept.set(keptKey(keyId, key), { operation, fingerprint, status, response, fence: null, answer: given });
}
