import type { z } from 'zod';
import { Prisma } from '../../generated/prisma/client.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import { invalid, notFound } from '../../platform/errors.ts';
import { decodeCursor, encodeCursor, type Page, pageFrom } from '../../platform/http/page.ts';
import type { Principal } from '../../platform/principal.ts';
import { LIMITS } from './limits.ts';
import { dateOfDay, dayOf, nanosOf, nanosOfDays } from './nanos.ts';
import {
  type SpanRow,
  type SummaryRow,
  type traceSummaryView,
  type traceView,
  viewSpan,
  viewSummary,
} from './views.ts';

export interface TraceQuery {
  readonly loopId?: string | undefined;
  readonly runId?: string | undefined;
  readonly service?: string | undefined;
  readonly name?: string | undefined;
  /** RFC 3339. */
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly minDurationMs?: number | undefined;
  /** `key=value`. */
  readonly attribute?: string | readonly string[] | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

type TraceSummary = z.output<typeof traceSummaryView>;
type Trace = z.output<typeof traceView>;

/** JSON text of the attributes and details in one answer, so that no trace is too large to be read. */
const ANSWER_BYTES = 16 * 1024 * 1024;

/** Traces, read: searched, and one by its id. */
export class TraceService {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(deps: { db: Database; clock: Clock }) {
    this.#db = deps.db;
    this.#clock = deps.clock;
  }

  /**
   * Traces with a span that matches all that is asked, by the newest such span, newest first.
   * @throws Problem 422 `cursor_invalid`
   */
  async search(principal: Principal, query: TraceQuery): Promise<Page<TraceSummary>> {
    const now = nanosOf(this.#clock.now());
    const range = {
      from: latest(now - nanosOfDays(LIMITS.pastDays + 1), nanosAt(query.from)),
      to: earliest(now + nanosOfDays(LIMITS.futureDays + 1), nanosAt(query.to)),
    };
    const after = positionIn(query.cursor);
    return this.#db.read(principal, async (tx) => {
      const rows = await tx.db.$queryRaw<SummaryRow[]>(searchStatement(tx.orgId, query, range, after));
      return pageFrom(rows, query.limit, viewSummary, (row) => [`${row.start_nanos}.${row.trace_id}`]);
    });
  }

  /** One trace's spans as they began. A large one comes in several answers. @throws Problem 404; 422 `cursor_invalid` */
  async get(
    principal: Principal,
    traceId: string,
    query: { limit: number; cursor?: string | undefined },
  ): Promise<Trace> {
    const after = positionIn(query.cursor);
    return this.#db.read(principal, async (tx) => {
      const id = Buffer.from(traceId, 'hex');
      const window = await tx.db.traceWindow.findUnique({ where: { orgId_traceId: { orgId: tx.orgId, traceId: id } } });
      if (window === null) throw notFound('trace');
      const rows = await tx.db.$queryRaw<(SpanRow & { size: bigint })[]>`
        SELECT encode(s.span_id, 'hex') AS span_id, encode(s.parent_span_id, 'hex') AS parent_span_id, s.name, s.kind, s.status,
          s.start_nanos::text, s.end_nanos::text, s.service, s.loop_id, s.run_id, s.link, s.session_id,
          s.attributes::text, s.resource::text, s.details::text,
          sum(octet_length(s.attributes::text) + octet_length(s.resource::text) + octet_length(s.details::text))
            OVER (ORDER BY s.start_nanos, s.span_id ROWS UNBOUNDED PRECEDING) AS size
        FROM span s
        WHERE s.org_id = ${tx.orgId}::uuid AND s.trace_id = ${id} AND ${daysBetween(Prisma.sql`s.day`, window.minNanos, window.maxNanos)}
          AND ${after === null ? Prisma.sql`true` : Prisma.sql`(s.start_nanos, s.span_id) > (${after.nanos}, ${after.id})`}
        ORDER BY s.start_nanos, s.span_id LIMIT ${query.limit + 1}::int`;
      return traceOf(traceId, rows, query.limit);
    });
  }
}

/** As many spans as one answer holds, but at least one, so that the next page is another one. */
function traceOf(traceId: string, rows: readonly (SpanRow & { size: bigint })[], limit: number): Trace {
  const shown = rows.slice(0, limit).filter((row, at) => at === 0 || row.size <= ANSWER_BYTES);
  const last = shown.at(-1);
  const more = last !== undefined && shown.length < rows.length;
  return {
    traceId,
    spans: shown.map(viewSpan),
    nextCursor: more ? encodeCursor([`${last.start_nanos}.${last.span_id}`]) : null,
  };
}

interface Position {
  readonly nanos: bigint;
  readonly id: Buffer;
}

const POSITION = /^(-?\d{1,19})\.((?:[0-9a-f]{2}){8,16})$/;

function positionIn(cursor: string | undefined): Position | null {
  const after = decodeCursor(cursor, 'text');
  if (after === null) return null;
  const match = POSITION.exec(String(after[0]));
  if (match === null) throw invalid('cursor_invalid', 'The cursor is not one that this list gave out.');
  return { nanos: BigInt.asIntN(64, BigInt(match[1]!)), id: Buffer.from(match[2]!, 'hex') };
}

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Each trace stands for itself once: by the span that no other matching span of it is newer than. The index on the time
 * (or on the loop, or the run) is walked from its end, so a page costs about its own length.
 */
function searchStatement(orgId: string, query: TraceQuery, range: Range, after: Position | null): Prisma.Sql {
  const before =
    after === null ? Prisma.sql`true` : Prisma.sql`(s.start_nanos, s.trace_id) < (${after.nanos}, ${after.id})`;
  return Prisma.sql`
    SELECT encode(s.trace_id, 'hex') AS trace_id, encode(s.span_id, 'hex') AS span_id, s.name, s.kind, s.status, s.service,
      s.start_nanos::text, s.end_nanos::text, s.loop_id, s.run_id, s.link, w.min_nanos::text, w.max_nanos::text,
      root.name AS root_name, root.service AS root_service
    FROM span s
    JOIN trace_window w ON w.org_id = s.org_id AND w.trace_id = s.trace_id
    LEFT JOIN LATERAL (
      SELECT r.name, r.service FROM span r
      WHERE r.org_id = s.org_id AND r.trace_id = s.trace_id AND r.parent_span_id IS NULL
        AND r.day BETWEEN ${dayIn(Prisma.sql`w.min_nanos`)} AND ${dayIn(Prisma.sql`w.max_nanos`)}
      ORDER BY r.start_nanos LIMIT 1) root ON true
    WHERE s.org_id = ${orgId}::uuid AND ${matches('s', query, range)} AND ${before}
      AND NOT EXISTS (
        SELECT FROM span n WHERE n.org_id = s.org_id AND n.trace_id = s.trace_id
          AND (n.start_nanos, n.span_id) > (s.start_nanos, s.span_id)
          AND n.day BETWEEN s.day AND ${dayIn(Prisma.sql`w.max_nanos`)} AND ${matches('n', query, range)})
    ORDER BY s.start_nanos DESC, s.trace_id DESC LIMIT ${query.limit + 1}::int`;
}

function matches(alias: 's' | 'n', query: TraceQuery, { from, to }: Range): Prisma.Sql {
  const column = (name: string) => Prisma.raw(`${alias}.${name}`);
  const conditions = [
    Prisma.sql`${column('start_nanos')} >= ${from} AND ${column('start_nanos')} < ${to}`,
    daysBetween(column('day'), from, to),
  ];
  if (query.loopId !== undefined) conditions.push(Prisma.sql`${column('loop_id')} = ${query.loopId}::uuid`);
  if (query.runId !== undefined) conditions.push(Prisma.sql`${column('run_id')} = ${query.runId}::uuid`);
  if (query.service !== undefined) conditions.push(Prisma.sql`${column('service')} = ${query.service}`);
  if (query.name !== undefined) conditions.push(Prisma.sql`${column('name')} = ${query.name}`);
  if (query.minDurationMs !== undefined) {
    const nanos = BigInt(Math.round(query.minDurationMs * 1e6));
    conditions.push(Prisma.sql`${column('end_nanos')} - ${column('start_nanos')} >= ${nanos}`);
  }
  for (const filter of [query.attribute ?? []].flat()) {
    const equals = filter.indexOf('=');
    const [key, value] = [filter.slice(0, equals), filter.slice(equals + 1)];
    conditions.push(
      Prisma.sql`(${column('attributes')} ->> ${key} = ${value} OR ${column('resource')} ->> ${key} = ${value})`,
    );
  }
  return Prisma.join(conditions, ' AND ');
}

/** Redundant beside a condition on the time, but only by the day does PostgreSQL leave partitions out. */
function daysBetween(day: Prisma.Sql, from: bigint, to: bigint): Prisma.Sql {
  return Prisma.sql`${day} BETWEEN ${dateOfDay(dayOf(from))}::date AND ${dateOfDay(dayOf(to))}::date`;
}

function dayIn(nanos: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`(date '1970-01-01' + (${nanos} / 86400000000000)::int)`;
}

function nanosAt(time: string | undefined): bigint | null {
  return time === undefined ? null : nanosOf(new Date(time));
}

function latest(a: bigint, b: bigint | null): bigint {
  return b !== null && b > a ? b : a;
}

function earliest(a: bigint, b: bigint | null): bigint {
  return b !== null && b < a ? b : a;
}
