import type { Logger } from 'pino';
import { Prisma } from '../../../generated/prisma/client.ts';
import type { Clock } from '../../../platform/clock.ts';
import type { Database } from '../../../platform/database/database.ts';
import { Problem } from '../../../platform/errors.ts';
import { systemPrincipal } from '../../../platform/principal.ts';
import { RecentMap } from '../../../platform/recent-map.ts';
import type { SettledWatch } from '../../../platform/settled-watch.ts';
import type { CancelOperation, LeaseChanges, LeaseQueue } from '../operation.ts';
import { Alarm } from './alarm.ts';
import { abandonedTickets, dueWaiters, LOOK_SIZE, oldTickets } from './due.ts';
import { HELD_WAITER, toWaiter, type WaiterRow } from './rows.ts';
import { watches, youngestInCycles } from './standstill.ts';
import type { Waiter } from './waiter.ts';

const heldWaiter = Prisma.raw(HELD_WAITER);

/** Looks of a sweep: who has more waiters that nobody can let in, as under a halt, is gone through in several. */
const LOOKS = 10;
/** Most looks take a batch's time. One that has to search takes seconds: it goes on, and those after it begin. */
const PATIENCE_MS = 500;
const ORGS = 10_000;
/** An alarm rings once the lock delay is surely over, by the database's clock. */
const MARGIN_MS = 5;

/** A look at one ticket. */
interface Look {
  /** Whether something was freed that it may not have seen. */
  isStale: boolean;
  done: Promise<void>;
}

interface Deps {
  readonly db: Database;
  readonly queue: LeaseQueue;
  readonly watch: SettledWatch;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Sees to it that waiters get their turn. Each watches one lease or waiter in its way; when that is gone, whoever made it
 * go has those who watched it looked at again, in order. A server that dies in between leaves that to the sweep of any
 * other. Where a lease simply expires, an alarm rings on the server on which somebody last began to watch it.
 */
export class WaitingLine {
  readonly #deps: Deps;
  readonly #alarm: Alarm;
  /** By org, while a look is under way: what was freed since it began. */
  readonly #gathered = new Map<string, Set<string>>();
  /** By ticket: the look that is under way. */
  readonly #underLook = new Map<string, Look>();
  /** By org: the seq up to which a sweep has looked. */
  readonly #reached = new RecentMap<number>(ORGS);
  /** By org: tickets that the last sweep found in a cycle. */
  readonly #stuck = new RecentMap<ReadonlySet<string>>(ORGS);

  constructor(deps: Deps) {
    this.#deps = deps;
    this.#alarm = new Alarm(deps.clock, (orgId, leaseId) => this.freed(orgId, [leaseId]));
  }

  close(): void {
    this.#alarm.close();
  }

  /** After a commit of this server's batches. */
  changed({ orgId, ended, someWait, settled, watched }: Omit<LeaseChanges, 'granted'>): void {
    for (const { ticketId } of settled) this.#deps.watch.wake(orgId, ticketId);
    for (const { leaseId, freeInMs } of watched) this.#alarm.ring(orgId, leaseId, freeInMs + MARGIN_MS);
    // Behind a granted ticket stands its lease already; behind one that was given up, whoever watched it.
    const gone = settled.filter(({ granted }) => !granted).map(({ ticketId }) => ticketId);
    // What was taken back from a run it cannot get by a ticket either: kept, that would only be in everybody's way.
    const barred = ended.filter(({ revoked }) => revoked !== null).map(({ runId }) => runId);
    if (someWait) this.freed(orgId, [...ended.map(({ id }) => id), ...gone, ...barred]);
  }

  /**
   * Has those looked at who watch these leases or tickets, or are of these runs. One look at a time in an org: the next takes
   * what gathered.
   */
  freed(orgId: string, ids: readonly string[]): void {
    if (ids.length === 0) return;
    const gathered = this.#gathered.get(orgId);
    if (gathered !== undefined) {
      for (const id of ids) gathered.add(id);
      return;
    }
    this.#gathered.set(orgId, new Set(ids));
    void this.#lookWhileAnyAreFreed(orgId);
  }

  async #lookWhileAnyAreFreed(orgId: string): Promise<void> {
    for (let ids = this.#take(orgId); ids.length > 0; ids = this.#take(orgId)) {
      await this.#lookAtWatchers(orgId, ids).catch((error: unknown) =>
        this.#deps.logger.warn({ err: error, orgId }, 'waiters not looked at; the next sweep does'),
      );
    }
    this.#gathered.delete(orgId);
  }

  #take(orgId: string): string[] {
    const ids = [...(this.#gathered.get(orgId) ?? [])];
    this.#gathered.set(orgId, new Set());
    return ids;
  }

  async #lookAtWatchers(orgId: string, ids: readonly string[]): Promise<void> {
    for (let after = 0; ; ) {
      const rows = await this.#deps.db.read(
        systemPrincipal(orgId),
        (tx) => tx.db.$queryRaw<WaiterRow[]>`${heldWaiter}
          WHERE w.org_id = ${orgId}::uuid AND (w.blocked_by = ANY (${ids}::uuid[]) OR w.run_id = ANY (${ids}::uuid[]))
            AND w.status = 'waiting' AND w.seq > ${after}
          ORDER BY w.seq LIMIT ${LOOK_SIZE}`,
      );
      await this.#lookAt(rows.map((row) => toWaiter(orgId, row)));
      if (rows.length < LOOK_SIZE) return;
      after = Number(rows.at(-1)!.seq);
    }
  }

  /** In the order of their places; they meet in one batch. Where one's turn takes long to be seen, nobody else's waits for that. */
  async #lookAt(waiters: readonly Waiter[]): Promise<void> {
    const looks = Promise.all(waiters.map((ticket) => this.#lookOnce(ticket)));
    const over = new AbortController();
    await Promise.race([looks, this.#goOnLater(looks, over.signal)]).finally(() => over.abort());
  }

  /** Resolves when they have taken long enough; how they end then, the log alone is told. */
  async #goOnLater(looks: Promise<unknown>, over: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    try {
      await clock.sleep(PATIENCE_MS, over);
    } catch {
      return;
    }
    looks.catch((error: unknown) => logger.warn({ err: error }, 'waiters not looked at; the next sweep does'));
  }

  /** One look at a time at each. What is freed meanwhile may be just what that one does not see any more: then it is made again. */
  #lookOnce(ticket: Waiter): Promise<void> {
    const known = this.#underLook.get(ticket.id);
    if (known !== undefined) {
      known.isStale = true;
      return known.done;
    }
    const look: Look = { isStale: true, done: Promise.resolve() };
    this.#underLook.set(ticket.id, look);
    look.done = this.#lookWhileStale(ticket, look);
    return look.done;
  }

  async #lookWhileStale(ticket: Waiter, look: Look): Promise<void> {
    try {
      while (look.isStale) {
        look.isStale = false;
        await this.#promote(ticket);
      }
    } finally {
      this.#underLook.delete(ticket.id);
    }
  }

  async #promote(ticket: Waiter): Promise<void> {
    const { queue, watch } = this.#deps;
    const { id: ticketId, principal, runId, repoId, repo } = ticket;
    await queue
      .submit({
        kind: 'promote',
        principal,
        idempotent: null,
        ticketId,
        repo: { id: repoId, name: repo },
        runId,
        wanted: ticket,
      })
      .catch((error: unknown) => {
        // Each look would be as long, and find as little; and it is in the way of all who stand behind it.
        if (!isTooIntricate(error)) throw error;
        return this.#end(principal.orgId, ticketId, 'too_intricate');
      });
    // An admission whose way is free settles itself, once it is told.
    if (ticket.kind === 'admission') watch.wake(ticket.principal.orgId, ticket.id);
  }

  /** Something else has changed who may have its turn: a halt was set, or lifted. */
  lookAgain(orgId: string): void {
    void this.#lookAtDue(orgId).catch((error: unknown) =>
      this.#deps.logger.warn({ err: error, orgId }, 'waiters not looked at; the next sweep does'),
    );
  }

  /**
   * The net under all that: looks at every waiter whose way seems free, ends places and tickets that nobody will ask for,
   * and forgets old ones. Breaks up what has come to a standstill. Of an org in which nobody waits it costs one look.
   */
  async sweep(orgId: string): Promise<void> {
    const { abandoned, old } = await this.#deps.db.read(systemPrincipal(orgId), async (tx) => ({
      abandoned: await abandonedTickets(tx),
      old: await oldTickets(tx),
    }));
    await Promise.all(abandoned.map((ticketId) => this.#end(orgId, ticketId)));
    await this.#breakCycles(orgId);
    if (old.length > 0) {
      await this.#deps.db.write(systemPrincipal(orgId), (tx) =>
        tx.db.leaseWaiter.deleteMany({ where: { orgId, id: { in: old }, status: { not: 'waiting' } } }),
      );
    }
    await this.#lookAtDue(orgId);
  }

  /**
   * No wait begins that would close a cycle; but whoever passed others for what it holds already, or while they were silent,
   * may come to wait for them. Seen in two sweeps, the youngest ticket of a cycle ends.
   */
  async #breakCycles(orgId: string): Promise<void> {
    const found = await this.#youngestInCycles(orgId);
    const before = this.#stuck.get(orgId);
    this.#stuck.set(orgId, new Set(found));
    const stuck = found.filter((ticketId) => before?.has(ticketId) === true);
    if (stuck.length === 0) return;
    // What is in their way may have been given back just now.
    await this.#lookAtThose(orgId, stuck);
    const still = new Set(await this.#youngestInCycles(orgId));
    for (const ticketId of stuck) if (still.has(ticketId)) await this.#end(orgId, ticketId, 'deadlock');
  }

  async #youngestInCycles(orgId: string): Promise<string[]> {
    return youngestInCycles(await this.#deps.db.read(systemPrincipal(orgId), watches));
  }

  async #lookAtThose(orgId: string, ticketIds: readonly string[]): Promise<void> {
    const rows = await this.#deps.db.read(
      systemPrincipal(orgId),
      (tx) => tx.db.$queryRaw<WaiterRow[]>`${heldWaiter}
        WHERE w.org_id = ${orgId}::uuid AND w.id = ANY (${ticketIds}::uuid[]) AND w.status = 'waiting' ORDER BY w.seq`,
    );
    await this.#lookAt(rows.map((row) => toWaiter(orgId, row)));
  }

  async #lookAtDue(orgId: string): Promise<void> {
    for (let look = 0; look < LOOKS; look += 1) {
      const after = this.#reached.get(orgId) ?? 0;
      const due = await this.#deps.db.read(systemPrincipal(orgId), (tx) => dueWaiters(tx, after));
      // Before they are looked at: what one of them fails by is not to keep the others waiting for ever.
      if (due.length < LOOK_SIZE) this.#reached.delete(orgId);
      else this.#reached.set(orgId, due.at(-1)!.seq!);
      await this.#lookAt(due);
      if (due.length < LOOK_SIZE) return;
    }
  }

  async #end(orgId: string, ticketId: string, reason: CancelOperation['reason'] = 'abandoned'): Promise<void> {
    const principal = systemPrincipal(orgId);
    await this.#deps.queue
      .submit({ kind: 'cancel', principal, idempotent: null, ticketId, spares: null, reason })
      // Settled meanwhile, by its run or by another server's sweep.
      .catch(() => undefined);
  }
}

function isTooIntricate(error: unknown): boolean {
  return error instanceof Problem && error.code === 'leases_too_intricate';
}
