import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { type Prisma, PrismaClient } from '../../generated/prisma/client.ts';
import { Problem, unauthenticated, unavailable } from '../errors.ts';
import { KeyedLimiter } from '../limiter.ts';
import type { Principal } from '../principal.ts';
import { type CommitSignal } from './commit-signal.ts';
import { claim, type Idempotent, type Replay, settle } from './idempotency.ts';
import { eventsJson, type NewEvent, type SealedEvent, sealEvent } from './journal.ts';
import type { Answer, OrgTx } from './org-tx.ts';
import { isTransient, KEY_NOT_VALID, sqlState } from './sql-state.ts';

export type { Answer, OrgTx } from './org-tx.ts';

const ATTEMPTS = 5;

/** Transactions inside one org, for everything but the hot path. */
export class Database {
  readonly #prisma: PrismaClient;
  readonly #signal: CommitSignal;
  readonly #limiter = new KeyedLimiter({ concurrency: 4, queue: 512 });

  constructor(pool: pg.Pool, signal: CommitSignal) {
    this.#prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    this.#signal = signal;
  }

  /**
   * Runs `work` in one transaction of the principal's org; events it emits are its last statement. Tried again from the
   * start when the database asks for that (deadlock, lock timeout), so `work` has no effect outside the transaction.
   * @throws Problem 401 when the key was revoked meanwhile; 503 when the database stays busy.
   */
  async write<T>(principal: Principal, work: (tx: OrgTx) => Promise<T>): Promise<T> {
    return this.#transaction(principal, async (tx) => {
      const result = await work(tx);
      await appendEvents(tx);
      return result;
    });
  }

  /**
   * As `write`, for a POST that creates: with an Idempotency-Key the first answer is kept in the same transaction and
   * given again to the same request; a second one under way at once waits for the first's answer.
   * @throws Problem 422 `idempotency_mismatch` for the same key with another request.
   */
  async create<T>(
    principal: Principal,
    idempotent: Idempotent | null,
    work: (tx: OrgTx) => Promise<Answer<T>>,
  ): Promise<Answer<T>> {
    return this.#transaction(principal, async (tx) => {
      if (idempotent === null) {
        const answer = await work(tx);
        await appendEvents(tx);
        return answer;
      }
      const replay: Replay | null = await claim(tx, idempotent);
      if (replay !== null) return replay as Answer<T>;
      const answer = await work(tx);
      await settle(tx, idempotent, answer);
      await appendEvents(tx);
      return answer;
    });
  }

  /** Reads inside one org; what `work` would emit is an error. */
  async read<T>(
    principal: Principal,
    work: (tx: Omit<OrgTx, 'emit' | 'bump' | 'afterCommit'>) => Promise<T>,
  ): Promise<T> {
    return this.#transaction(principal, work);
  }

  /** Statements before any org is known: the narrow lookup functions of the migrations. */
  async lookup<T>(work: (db: PrismaClient) => Promise<T>): Promise<T> {
    return work(this.#prisma);
  }

  async close(): Promise<void> {
    await this.#prisma.$disconnect();
  }

  async #transaction<T>(principal: Principal, work: (tx: PendingTx) => Promise<T>): Promise<T> {
    return this.#limiter.run(principal.orgId, async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await this.#attempt(principal, work);
        } catch (error) {
          if (error instanceof Problem) throw error;
          if (sqlState(error) === KEY_NOT_VALID) throw unauthenticated('The API key is revoked or expired.');
          if (!isTransient(error)) throw error;
          if (attempt === ATTEMPTS) throw unavailable('The database is busy with this org; try again.');
        }
      }
    });
  }

  async #attempt<T>(principal: Principal, work: (tx: PendingTx) => Promise<T>): Promise<T> {
    let wrote = false;
    let after: readonly (() => void)[] = [];
    const result = await this.#prisma.$transaction(
      async (db) => {
        const [entered] = await db.$queryRaw<
          { now: Date }[]
        >`SELECT enter_org(${principal.orgId}::uuid, ${principal.keyId}::uuid) AS now`;
        const tx = new PendingTx(principal, db, entered!.now);
        const value = await work(tx);
        wrote = tx.appended;
        after = tx.after;
        return value;
      },
      { maxWait: 10_000, timeout: 15_000 },
    );
    if (wrote) this.#signal.touch(principal.orgId);
    for (const next of after) next();
    return result;
  }
}

class PendingTx implements OrgTx {
  readonly principal: Principal;
  readonly orgId: string;
  readonly db: Prisma.TransactionClient;
  readonly now: Date;
  readonly events: SealedEvent[] = [];
  readonly bumps = { policyVersion: false, haltEpoch: false };
  readonly after: (() => void)[] = [];
  appended = false;
  #endsItsKey = false;

  constructor(principal: Principal, db: Prisma.TransactionClient, now: Date) {
    this.principal = principal;
    this.orgId = principal.orgId;
    this.db = db;
    this.now = now;
  }

  async clock(): Promise<Date> {
    const [row] = await this.db.$queryRaw<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
    return row!.now;
  }

  /** The key that must be valid still when the transaction commits: all but one that revokes itself. */
  get keyId(): string | null {
    return this.#endsItsKey ? null : this.principal.keyId;
  }

  emit(event: NewEvent, at: Date = this.now): void {
    if (event.kind === 'api_key.revoked' && event.subject.id === this.principal.keyId) this.#endsItsKey = true;
    this.events.push(sealEvent(event, this.principal, at));
  }

  afterCommit(work: () => void): void {
    this.after.push(work);
  }

  bump(what: 'policyVersion' | 'haltEpoch'): void {
    this.bumps[what] = true;
  }
}

async function appendEvents(tx: PendingTx): Promise<void> {
  if (tx.events.length === 0) return;
  const events = eventsJson(tx.events);
  await tx.db.$queryRaw`SELECT append_events(${tx.orgId}::uuid, ${events}::jsonb, NULL, NULL,
    ${tx.bumps.policyVersion}::boolean, ${tx.bumps.haltEpoch}::boolean)::text`;
  // Whoever revokes a key needs the head, which is ours from here on: a key that was revoked before does nothing more.
  await tx.db.$queryRaw`SELECT enter_org(${tx.orgId}::uuid, ${tx.keyId}::uuid)::text`;
  tx.appended = true;
}
