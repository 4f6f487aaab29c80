import { once } from 'node:events';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { isConnectionLoss, isTransient, KEY_NOT_VALID, sqlState } from '../../platform/database/sql-state.ts';
import { Problem, unauthenticated, unavailable } from '../../platform/errors.ts';
import type { Principal } from '../../platform/principal.ts';
import { type AcceptedLog, type AcceptedSpan, LOG_COLUMNS, logLine, SPAN_COLUMNS, spanLine } from './copy-text.ts';
import { dateOfDay, dayOf } from './nanos.ts';
import { isPassing } from './retryable.ts';
import type { SpanStore } from './span-store.ts';

const ATTEMPTS = 5;
const LINES_PER_CHUNK = 256;
/** No partition for a row: somebody dropped it after we saw it. */
const NO_PARTITION = '23514';
const LOCK_TIMEOUT = '55P03';

/** One kind of row: how it is staged, and what becomes of it. */
interface Table {
  readonly stage: string;
  readonly columns: string;
  readonly fill: readonly string[];
}

/** Ordered, so that two requests with the same spans wait for each other and do not lock each other out. */
const SPANS: Table = {
  stage: 'pg_temp.span_stage',
  columns: SPAN_COLUMNS,
  fill: [
    `INSERT INTO span (${SPAN_COLUMNS}) SELECT ${SPAN_COLUMNS} FROM pg_temp.span_stage ORDER BY trace_id, span_id ON CONFLICT DO NOTHING`,
    `INSERT INTO trace_window AS w (org_id, trace_id, min_nanos, max_nanos)
       SELECT org_id, trace_id, min(start_nanos), max(greatest(start_nanos, end_nanos)) FROM pg_temp.span_stage
       GROUP BY org_id, trace_id ORDER BY trace_id
       ON CONFLICT (org_id, trace_id) DO UPDATE SET min_nanos = least(w.min_nanos, excluded.min_nanos), max_nanos = greatest(w.max_nanos, excluded.max_nanos)
       WHERE excluded.min_nanos < w.min_nanos OR excluded.max_nanos > w.max_nanos`,
  ],
};

const LOGS: Table = {
  stage: 'pg_temp.log_record_stage',
  columns: LOG_COLUMNS,
  fill: [
    `INSERT INTO log_record (${LOG_COLUMNS}) SELECT ${LOG_COLUMNS} FROM pg_temp.log_record_stage ORDER BY digest ON CONFLICT DO NOTHING`,
  ],
};

/**
 * Spans in PostgreSQL. COPY into a table under row-level security is refused, and into a partition it would go past the
 * policy; so rows are copied into a temporary table and inserted from there through the parent, which holds each against
 * the policy and leaves out those that are there already.
 */
export class PostgresSpanStore implements SpanStore {
  readonly #pool: pg.Pool;
  /** Days, since the epoch, whose partitions this server has seen. */
  readonly #days = new Set<number>();
  /** Connections that have their staging tables. */
  readonly #staged = new WeakSet<pg.PoolClient>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  async storeSpans(principal: Principal, spans: readonly AcceptedSpan[]): Promise<void> {
    const days = new Set(spans.map(({ item }) => dayOf(item.startNanos)));
    await this.#store(principal, SPANS, days, spans.length, (at) => spanLine(principal.orgId, spans[at]!));
  }

  async storeLogs(principal: Principal, records: readonly AcceptedLog[]): Promise<void> {
    const days = new Set(records.map(({ atNanos }) => dayOf(atNanos)));
    await this.#store(principal, LOGS, days, records.length, (at) => logLine(principal.orgId, records[at]!));
  }

  async #store(
    principal: Principal,
    table: Table,
    days: ReadonlySet<number>,
    count: number,
    line: (at: number) => string,
  ): Promise<void> {
    if (count === 0) return;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(principal, table, days, linesOf(count, line));
      } catch (error) {
        if (error instanceof Problem) throw error;
        const state = sqlState(error);
        if (state === KEY_NOT_VALID) throw unauthenticated('The API key is revoked or expired.');
        if (state === NO_PARTITION) this.#days.clear();
        // Who waited for a lock in vain has waited long: the client hears of it before its own patience ends.
        const again = state === NO_PARTITION || (isTransient(error) && state !== LOCK_TIMEOUT);
        if (again && attempt < ATTEMPTS) continue;
        // Also when a COMMIT was not answered: the client sends it again, and what is there already is left out.
        if (again || isPassing(error)) throw unavailable('The database does not take it now; send it again.');
        throw error;
      }
    }
  }

  async #attempt(
    principal: Principal,
    table: Table,
    days: ReadonlySet<number>,
    lines: Iterable<string>,
  ): Promise<void> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      await this.#prepare(client, days);
      await client.query('BEGIN');
      await client.query({
        name: 'enter_org',
        text: 'SELECT enter_org($1, $2)',
        values: [principal.orgId, principal.keyId],
      });
      await copy(client, table, lines);
      for (const text of table.fill) await client.query(text);
      await client.query('COMMIT');
    } catch (error) {
      broken = await rollBack(client, error);
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** What must be there before the transaction: partitions, each made in a transaction of its own, and the staging tables. */
  async #prepare(client: pg.PoolClient, days: ReadonlySet<number>): Promise<void> {
    for (const day of days) {
      if (this.#days.has(day)) continue;
      await client.query('SELECT ensure_span_partition($1)', [dateOfDay(day)]);
      this.#days.add(day);
    }
    if (this.#staged.has(client)) return;
    await client.query('SELECT stage_telemetry()');
    this.#staged.add(client);
  }
}

function* linesOf(count: number, line: (at: number) => string): Generator<string> {
  for (let from = 0; from < count; from += LINES_PER_CHUNK) {
    let chunk = '';
    for (let at = from; at < Math.min(count, from + LINES_PER_CHUNK); at += 1) chunk += line(at);
    yield chunk;
  }
}

async function copy(client: pg.PoolClient, { stage, columns }: Table, chunks: Iterable<string>): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${stage} (${columns}) FROM STDIN`));
  const done = new Promise<void>((resolve, reject) => {
    stream.once('finish', resolve);
    stream.once('error', reject);
  });
  // Waited for below; until then a failure must not count as one that nobody handles.
  done.catch(() => undefined);
  for (const chunk of chunks) {
    if (stream.errored !== null) break;
    if (!stream.write(chunk, 'utf8')) await Promise.race([once(stream, 'drain'), done]);
  }
  stream.end();
  await done;
}

/** Returns the error with which the connection must be thrown away, or undefined when it is fit for the next request. */
async function rollBack(client: pg.PoolClient, error: unknown): Promise<Error | undefined> {
  if (isConnectionLoss(error)) return error as Error;
  try {
    await client.query('ROLLBACK');
    return undefined;
  } catch (failure) {
    return failure as Error;
  }
}
