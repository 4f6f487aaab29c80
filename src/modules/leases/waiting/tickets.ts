import { Prisma } from '../../../generated/prisma/client.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Database } from '../../../platform/database/database.ts';
import { conflict, Problem } from '../../../platform/errors.ts';
import { CLIENT_GONE } from '../../../platform/http/held-open.ts';
import { decodeCursor, type Page, pageFrom } from '../../../platform/http/page.ts';
import { type Principal, systemPrincipal } from '../../../platform/principal.ts';
import { RecentMap } from '../../../platform/recent-map.ts';
import type { SettledWatch } from '../../../platform/settled-watch.ts';
import { BEAT_EVERY_SECONDS, beat, beatAll, mayActFor } from '../../loops/index.ts';
import type { Conflict } from '../decide.ts';
import type { HoldHistory } from '../hold-history.ts';
import type { AcquireOperation, LeaseQueue } from '../operation.ts';
import type { LeaseView, TicketSummary, TicketView } from '../views.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { type TicketReader, wantedOf } from './ticket-reader.ts';
import { HELD_SECONDS, placeOf, type Waiter } from './waiter.ts';

const heldWaiter = Prisma.raw(HELD_WAITER);

/** Who follows a ticket hears of it so often; a server that cannot hold another request open looks once a second instead. */
const FOLLOW_MS = 20_000;
const LOOK_AGAIN_MS = 1000;

interface Deps {
  readonly db: Database;
  readonly queue: LeaseQueue;
  readonly watch: SettledWatch;
  readonly history: HoldHistory;
  readonly reader: TicketReader;
  readonly clock: Clock;
}

interface HeldOpen {
  readonly waitMs: number;
  readonly ended: AbortSignal;
  readonly isFor: boolean;
}

/** What came of a request that may have waited: its lease, or the ticket under which it still waits. */
export type Acquired = { readonly lease: LeaseView } | { readonly ticket: TicketView };

/** Tickets: what stands behind a request that waits for its lease. Granting is the line's business. */
export class LeaseTickets {
  readonly #deps: Deps;
  /** By run: when this server last wrote its beat. */
  readonly #beats = new RecentMap<number>(10_000);
  /** What never changes of a ticket: who waits asks again and again. */
  readonly #known = new RecentMap<Pick<Waiter, 'kind' | 'loopId' | 'holder'>>(10_000);

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /**
   * Asks for a lease, and waits for it as long as the request says. `ended` aborts when the server drains, or when the
   * client has gone: a ticket that nobody could ask about then is given up. Others can by an Idempotency-Key, or by the same
   * request made again, which joined it.
   * @throws Problem as the hot path's `acquire`; 409 `lease_wait_ended` for a ticket that came to nothing
   */
  async acquire(operation: AcquireOperation, waitMs: number, ended: AbortSignal): Promise<Acquired> {
    const { principal, idempotent, repo } = operation;
    let answer: Awaited<ReturnType<LeaseQueue['submit']>>;
    try {
      answer = await this.#deps.queue.submit(operation);
    } catch (error) {
      if (error instanceof Problem) await this.#explain(principal.orgId, repo.id, error);
      throw error;
    }
    const { ticket, lease } = answer.body as { ticket?: { id: string }; lease?: LeaseView };
    if (ticket === undefined) return { lease: lease! };
    // What was decided before is no beat, but whoever asks about a ticket of theirs is heard of, and not only when they are answered.
    if (answer.replayed === true) await this.#read(principal, ticket.id);
    const seen = await this.#heldOpen(operation, ticket.id, waitMs, ended);
    if (seen.lease !== null) return { lease: seen.lease };
    if (seen.status !== 'waiting') throw waitEnded(seen);
    if (ended.reason === CLIENT_GONE && idempotent === null) await this.#giveUp(principal, ticket.id);
    return { ticket: seen };
  }

  async #heldOpen(
    { principal, idempotent }: AcquireOperation,
    id: string,
    waitMs: number,
    ended: AbortSignal,
  ): Promise<TicketView> {
    try {
      await this.#untilSettled(principal.orgId, id, { waitMs, ended, isFor: true });
      return await this.#read(principal, id);
    } catch (error) {
      // Nobody has been told of this ticket: what it was given later would be nobody's.
      if (idempotent === null) await this.#giveUp(systemPrincipal(principal.orgId), id);
      throw error;
    }
  }

  /** One ticket, at once or as soon as it is settled. For its run that is a beat. @throws Problem 404 */
  async wait(principal: Principal, id: string, waitMs: number, ended: AbortSignal): Promise<TicketView> {
    if (waitMs > 0) {
      const isFor = await this.#isFor(principal, id);
      await this.#untilSettled(principal.orgId, id, { waitMs, ended, isFor });
    }
    return this.#read(principal, id);
  }

  /**
   * The ticket as it stands, every now and then, and once it is settled, which ends it; or until `ended` aborts.
   * @throws Problem 404; 401 once the key is valid no more
   */
  async *follow(principal: Principal, id: string, ended: AbortSignal): AsyncGenerator<TicketView> {
    const { clock } = this.#deps;
    for (let waitMs = 0; !ended.aborted; waitMs = FOLLOW_MS) {
      const sinceMs = clock.monotonicMs();
      const view = await this.wait(principal, id, waitMs, ended);
      yield view;
      if (view.status !== 'waiting') return;
      // With too many held open here nothing is waited for.
      if (waitMs > 0) await clock.sleep(LOOK_AGAIN_MS - (clock.monotonicMs() - sinceMs), ended).catch(() => undefined);
    }
  }

  /** Whether it is the principal who gets what the ticket is for. An admission's place is kept by its own request alone. */
  async #isFor(principal: Principal, id: string): Promise<boolean> {
    const key = `${principal.orgId} ${id}`;
    const ticket = this.#known.get(key) ?? (await this.#deps.reader.read(principal, id)).ticket;
    const { kind, loopId, holder } = ticket;
    this.#known.set(key, { kind, loopId, holder });
    return kind === 'lease' && mayActFor(principal, { loopId, ownerId: holder.owner.id });
  }

  /**
   * Whatever is settled already, or is no ticket at all, is noticed at once. With too many held open on this server the answer
   * is the ticket as it stands: it can be asked about.
   */
  async #untilSettled(orgId: string, id: string, { waitMs, ended, isFor }: HeldOpen): Promise<void> {
    await this.#deps.watch.settled(orgId, id, waitMs, ended, isFor).catch(() => undefined);
  }

  /** Who waits now, in the order in which they came. */
  async list(
    principal: Principal,
    query: { repo?: string | undefined; runId?: string | undefined; limit: number; cursor?: string | undefined },
  ): Promise<Page<TicketSummary>> {
    const after = Number(decodeCursor(query.cursor, 'number')?.[0] ?? 0);
    const { repo = null, runId = null } = query;
    return this.#deps.db.read(principal, async (tx) => {
      const rows = await tx.db.$queryRaw<WaiterRow[]>`${heldWaiter}
        WHERE w.org_id = ${tx.orgId}::uuid AND w.status = 'waiting' AND w.seq > ${after}
          AND (${repo}::text IS NULL OR p.name = ${repo}::text) AND (${runId}::uuid IS NULL OR w.run_id = ${runId}::uuid)
        ORDER BY w.seq LIMIT ${query.limit + 1}`;
      const waiters = rows.map((row) => toWaiter(tx.orgId, row));
      return pageFrom(waiters, query.limit, summarise, (waiter) => [placeOf(waiter)]);
    });
  }

  /** @throws Problem 404; 403 `not_your_run`; 409 `ticket_settled` */
  async cancel(principal: Principal, id: string): Promise<TicketView> {
    await this.#deps.queue.submit({ kind: 'cancel', principal, idempotent: null, ticketId: id, spares: null });
    return this.#read(principal, id);
  }

  /** Tells, of the requests that are held open here, that somebody still waits for them: their runs are not dead. */
  async keepHeld(orgId: string): Promise<void> {
    const ids = this.#deps.watch.kept(orgId);
    if (ids.length === 0) return;
    const system = systemPrincipal(orgId);
    const rows = await this.#deps.db.read(
      system,
      (tx) => tx.db.$queryRaw<{ run_id: string }[]>`
        SELECT DISTINCT w.run_id FROM lease_waiter w
        WHERE w.org_id = ${orgId}::uuid AND w.id = ANY (${ids}::uuid[]) AND w.status = 'waiting'`,
    );
    // Apart, and what a batch has locked is left to the next pass: nobody in the line waits for this.
    await this.#deps.db.write(system, (tx) =>
      beatAll(
        tx,
        rows.map(({ run_id: runId }) => runId),
      ),
    );
    await this.#deps.db.write(
      system,
      (tx) => tx.db.$executeRaw`
        UPDATE lease_waiter w SET held_until = clock_timestamp() + make_interval(secs => ${HELD_SECONDS}::int)
        WHERE w.org_id = ${orgId}::uuid AND w.id IN (
          SELECT x.id FROM lease_waiter x
          WHERE x.org_id = ${orgId}::uuid AND x.id = ANY (${ids}::uuid[]) AND x.status = 'waiting' AND x.kind = 'admission'
          ORDER BY x.id FOR UPDATE SKIP LOCKED)`,
    );
  }

  async #explain(orgId: string, repoId: string, { extras }: Problem): Promise<void> {
    const { conflicts, at } = extras as { conflicts?: readonly Conflict[]; at?: string };
    if (conflicts !== undefined && at !== undefined)
      await this.#deps.history.judge(orgId, repoId, conflicts, new Date(at));
  }

  async #giveUp(principal: Principal, id: string): Promise<void> {
    await this.#deps.queue
      .submit({ kind: 'cancel', principal, idempotent: null, ticketId: id, spares: 'joined' })
      // Settled in the same moment. A lease that was granted then stays its run's: taken back, it might be from whoever asked again
      // and was told of it, which is worse than one that lasts as long as its run is heard of.
      .catch(() => undefined);
  }

  async #read(principal: Principal, id: string): Promise<TicketView> {
    const { ticket, view, at } = await this.#deps.reader.read(principal, id);
    if (view.status !== 'waiting') return view;
    await this.#deps.history.judge(principal.orgId, ticket.repoId, view.conflicts, at);
    const waits = view.conflicts.map(({ expectedWaitSeconds }) => expectedWaitSeconds ?? 0);
    view.expectedWaitSeconds = waits.length === 0 ? null : Math.max(...waits);
    if (mayActFor(principal, { loopId: ticket.loopId, ownerId: ticket.holder.owner.id }))
      await this.#beat(principal, ticket);
    return view;
  }

  async #beat(principal: Principal, { runId, runStatus }: Waiter): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    if (runStatus === 'running' && nowMs - (this.#beats.get(runId) ?? -Infinity) < BEAT_EVERY_SECONDS * 1000) return;
    this.#beats.set(runId, nowMs);
    // Whoever only asks is answered, whether or not that can be written down.
    await this.#deps.db.write(principal, (tx) => beat(tx, runId)).catch(() => undefined);
  }
}

/** A process that was replaced while it waited is told so as it would be at once. */
function waitEnded(ticket: TicketView): Problem {
  const { reason } = ticket;
  const code = reason === 'epoch_stale' ? reason : 'lease_wait_ended';
  return conflict(code, `The wait ended without a lease: ${reason}.`, { ticket });
}

function summarise(waiter: Waiter): TicketSummary {
  return { ...wantedOf(waiter), holder: waiter.holder, behind: waiter.blockedBy };
}
