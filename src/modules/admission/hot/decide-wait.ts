import { conflict, notFound, type Problem } from '../../../platform/errors.ts';
import { newId } from '../../../platform/ids.ts';
import type { Principal } from '../../../platform/principal.ts';
import {
  type CancelOperation,
  LAST,
  mayCount,
  type PromoteOperation,
  placeOf,
  type Searched,
  TooBroad,
  tooIntricate,
  toWatch,
  type Verdict,
  type Wait,
  type Waiter,
  type Wanted,
  waitsFor,
} from '../../leases/index.ts';
import type { RunFacts } from '../../loops/index.ts';
import { holderOf, judge, requireActor, settle } from './decide-lease.ts';
import { haltsOf } from './halts.ts';
import type { HotAnswer } from './operation.ts';
import type { BatchPlan } from './plan.ts';
import type { Snapshot } from './snapshot.ts';
import { TooSoon } from './too-soon.ts';

interface Wish {
  readonly principal: Principal;
  readonly run: RunFacts;
  readonly repo: { readonly id: string; readonly name: string };
  readonly wanted: Wanted;
  readonly verdict: Extract<Verdict, { kind: 'conflict' }>;
  readonly kind: Waiter['kind'];
  readonly heldUntil: Date | null;
  readonly epoch: number | undefined;
  readonly searched: Searched | undefined;
}

/**
 * Puts a refused request in the line, behind all that have come. The same run asking for the same again joins its own
 * ticket: a client that retries must not stand behind itself.
 * @throws Problem 409 `lease_wait_on_self`, `lease_deadlock`; TooBroad, TooIntricate; TooSoon
 */
export function enqueue(snapshot: Snapshot, plan: BatchPlan, wish: Wish): Waiter {
  const { run, repo, wanted, verdict, principal } = wish;
  const { own, left } = ownTickets(snapshot, wish);
  if (own !== null) return join(plan, own, wish);
  // By a part a cycle may go unseen, until the sweep finds it: only where a search has not told more either.
  if (!verdict.inTheWay.isWhole && wish.searched === undefined)
    throw new TooBroad('not all is known that this would wait for');
  // Its turn would never be seen to come, and it would be in the way of all who stand behind it.
  if (wish.searched?.isSpent === true) throw tooIntricate();
  const waits = waitsFor(holderOf(run), verdict.inTheWay, snapshot.now);
  const cycle = snapshot.waits?.cycleWith(waits) ?? null;
  // Who waits for whom was read before that: perhaps nobody waits in a circle any more.
  if (cycle !== null) throw plan.hasEndedAnyOf(cycle.map(({ from }) => from.run.id)) ? new TooSoon() : deadlock(cycle);
  for (const [ticket, why] of left) leave(plan, ticket, why);
  const waiter: Waiter = {
    id: newId(),
    seq: null,
    kind: wish.kind,
    repoId: repo.id,
    repo: repo.name,
    runId: run.id,
    loopId: run.loop.id,
    mode: wanted.mode,
    matchers: wanted.matchers,
    purpose: wanted.purpose,
    ttlSeconds: wanted.ttlSeconds,
    epoch: wish.epoch ?? null,
    principal,
    queuedAt: snapshot.now,
    blockedBy: null,
    heldUntil: wish.heldUntil,
    joined: false,
    runStatus: 'running',
    isHalted: false,
    status: 'waiting',
    reason: null,
    settledAt: null,
    leaseId: null,
    holder: holderOf(run),
  };
  plan.beat(run, principal);
  plan.line.queue(principal, waiter, toWatch(verdict.inTheWay));
  snapshot.waiters.get(repo.id)?.add(waiter);
  snapshot.waits?.add(waits);
  return waiter;
}

interface OwnTickets {
  /** The one under which the run waits for exactly this. */
  readonly own: Waiter | null;
  /** Those that stand for nobody any more, and why. */
  readonly left: ReadonlyMap<Waiter, string>;
}

/** @throws Problem 409 `lease_wait_on_self` for one that overlaps */
function ownTickets(snapshot: Snapshot, { run, repo, wanted, kind }: Wish): OwnTickets {
  const table = snapshot.waiters.get(repo.id);
  const texts = claimTexts(wanted);
  const left = new Map<Waiter, string>();
  // What it took to see that it cannot be had is not held against that it waits already.
  table?.begin();
  for (const claim of wanted.matchers) {
    for (const { by, witness } of table?.overlaps(claim, ({ runId }) => runId === run.id) ?? []) {
      if (isReplaced(by, run)) left.set(by, 'epoch_stale');
      // The place of an admission whose server has gone.
      else if (!mayCount(by, snapshot.now)) left.set(by, 'abandoned');
      // An admission may join a request for the lease itself, but not the other way round: its place is nobody's lease.
      else if (by.mode === wanted.mode && claimTexts(by) === texts && (by.kind === kind || by.kind === 'lease'))
        return { own: by, left };
      else
        throw conflict('lease_wait_on_self', `This run waits for ${witness} already, as part of another request.`, {
          ticketId: by.id,
          witness,
        });
    }
  }
  return { own: null, left };
}

/** Whether a process has asked for it that a resume has replaced. */
function isReplaced({ epoch }: Waiter, run: RunFacts): boolean {
  return epoch !== null && epoch !== run.epoch;
}

/** As asking again for what is held does, it extends; and says for what it is wanted by now. */
function join(plan: BatchPlan, own: Waiter, { wanted, heldUntil, epoch }: Wish): Waiter {
  own.joined = true;
  own.ttlSeconds = Math.max(own.ttlSeconds, wanted.ttlSeconds);
  own.purpose = wanted.purpose ?? own.purpose;
  if (own.epoch !== epoch) own.epoch = null;
  if (own.heldUntil !== null && heldUntil !== null) own.heldUntil = heldUntil;
  plan.line.change(own);
  return own;
}

function claimTexts({ matchers }: Pick<Wanted, 'matchers'>): string {
  return JSON.stringify(matchers.map(({ kind, text }) => `${kind} ${text}`).toSorted());
}

function deadlock(cycle: readonly Wait[]): Problem {
  const name = (wait: Wait) => `${wait.from.loop.name} (run ${wait.from.run.id})`;
  const steps = cycle.map((wait) => `${name(wait)} would wait for ${wait.witness}`).join(', ');
  return conflict('lease_deadlock', `Nobody could ever go on: ${steps}. Release what you hold, then ask again.`, {
    cycle: cycle.map(({ from, to, witness, over }) => ({
      runId: from.run.id,
      loop: from.loop,
      owner: from.owner,
      waitsFor: { runId: to.run.id, loop: to.loop, owner: to.owner },
      witness,
      over,
    })),
  });
}

/** In so long a place is kept for whoever has joined it: longer than between two beats of a request that is held open. */
const TAKEN_UP_SECONDS = 15;

const NOTHING: HotAnswer = { status: 200, body: {} };

/**
 * Looks whether a waiter's turn has come. A run that has died gets nothing: finished, it leaves the line; silent, it is
 * passed over, and its place is kept for the day that it is heard of again.
 */
export function promote(snapshot: Snapshot, plan: BatchPlan, op: PromoteOperation): HotAnswer {
  const ticket = snapshot.tickets.get(op.ticketId);
  if (ticket === undefined || ticket.status !== 'waiting' || plan.line.endOf(ticket.id) !== undefined) return NOTHING;
  const run = snapshot.runs.get(ticket.runId);
  if (run === undefined || run.status === 'finished') return leave(plan, ticket, 'run_ended');
  if (isReplaced(ticket, run)) return leave(plan, ticket, 'epoch_stale');
  if (op.principal.keyId !== null && !snapshot.keys.has(op.principal.keyId)) return leave(plan, ticket, 'key_revoked');
  if (!isAlive(snapshot, run) || haltsOf(snapshot, run, ticket.repoId).length > 0) {
    plan.line.block(ticket, null);
    return NOTHING;
  }
  const verdict = judge(snapshot, ticket.repoId, { runId: run.id, place: placeOf(ticket) }, ticket, op.searched);
  if (verdict.kind === 'revoked') return leave(plan, ticket, 'lease_revoked');
  if (verdict.kind === 'conflict') plan.line.block(ticket, toWatch(verdict.inTheWay));
  // Whoever holds the request open sees that the way is free, and asks again.
  else if (ticket.kind === 'admission') plan.line.block(ticket, null);
  else {
    const { principal, repoId, id: ticketId } = ticket;
    const grant = { principal, run, repoId, wanted: ticket, verdict, approval: null, decisionId: null, ticketId };
    plan.line.settle(principal, ticket, { leaseId: settle(snapshot, plan, grant).id });
  }
  return NOTHING;
}

/** By the clock, not only by what a sweep has written down: a lease for a dead run keeps everybody out for its whole time. */
function isAlive(snapshot: Snapshot, run: RunFacts): boolean {
  const silentMs = snapshot.now.getTime() - run.lastBeatAt.getTime();
  return run.status === 'running' && silentMs < snapshot.settings.stallSeconds * 1000;
}

function leave(plan: BatchPlan, ticket: Waiter, reason: string): HotAnswer {
  plan.line.settle(ticket.principal, ticket, { status: 'ended', reason });
  return NOTHING;
}

/** @throws Problem 404; 403 `not_your_run`; 409 `ticket_settled` */
export function cancel(snapshot: Snapshot, plan: BatchPlan, op: CancelOperation): HotAnswer {
  const ticket = snapshot.tickets.get(op.ticketId);
  if (ticket === undefined) throw notFound('ticket');
  const { keyId, role } = op.principal;
  // An admin may end what stands in others' way and nobody else can: its run may belong to somebody who is away.
  if (keyId !== null && role !== 'admin') requireActor(op.principal, ticket.loopId, ticket.holder.owner.id);
  const end = plan.line.endOf(ticket.id);
  if (ticket.status !== 'waiting' || end !== undefined) {
    const ticketStatus = end === undefined ? ticket.status : end.leaseId === undefined ? end.status : 'granted';
    const leaseId = end?.leaseId ?? ticket.leaseId;
    throw conflict('ticket_settled', 'There is nothing left to cancel.', { ticketStatus, leaseId });
  }
  if (isBack(ticket, op) || isSpared(snapshot, plan, ticket, op)) return NOTHING;
  const isAskedFor = keyId !== null && op.reason === undefined;
  const why = ticket.runStatus === 'finished' ? 'run_ended' : (op.reason ?? 'abandoned');
  const how = isAskedFor
    ? ({ status: 'cancelled', reason: 'cancelled' } as const)
    : ({ status: 'ended', reason: why } as const);
  plan.line.settle(op.principal, ticket, how);
  return { status: 200, body: { ticket: { id: ticket.id } } };
}

/** Whether its run has been heard of since a sweep took it for abandoned. */
function isBack({ kind, runStatus }: Waiter, { reason }: CancelOperation): boolean {
  return reason === 'abandoned' && kind === 'lease' && runStatus === 'running';
}

/** Whether somebody else may still wait under it. */
function isSpared(snapshot: Snapshot, plan: BatchPlan, ticket: Waiter, { spares }: CancelOperation): boolean {
  if (spares === null) return false;
  if (ticket.kind === 'lease' && spares === 'leases') return true;
  return isLeftToOthers(snapshot, plan, ticket);
}

/** Whether others have joined it, to whom it is left. The place of an admission is theirs only if they are heard of soon. */
export function isLeftToOthers(snapshot: Snapshot, plan: BatchPlan, ticket: Waiter): boolean {
  if (!ticket.joined || ticket.kind === 'lease') return ticket.joined;
  ticket.heldUntil = new Date(snapshot.now.getTime() + TAKEN_UP_SECONDS * 1000);
  plan.line.change(ticket);
  return true;
}

/** The ticket with which an admission asks again; null if it has none, or not any more. */
export function keptPlace(
  snapshot: Snapshot,
  plan: BatchPlan,
  ticketId: string | null,
  runId: string | null,
): Waiter | null {
  const ticket = ticketId === null ? undefined : snapshot.tickets.get(ticketId);
  if (ticket === undefined || ticket.runId !== runId || ticket.status !== 'waiting') return null;
  return plan.line.endOf(ticket.id) !== undefined ? null : ticket;
}

export function placeIn(ticket: Waiter | null): number {
  return ticket === null ? LAST : placeOf(ticket);
}
