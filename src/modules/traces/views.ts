import { z } from 'zod';
import { timeInput, uuid } from '../../platform/http/schemas.ts';
import { parseStored } from './exact-json.ts';

const nanos = () =>
  z
    .string()
    .regex(/^-?\d+$/)
    .describe('Nanoseconds since the Unix epoch, as a string: they do not fit a JSON number.');
const traceId = () => z.string().regex(/^[0-9a-f]{32}$/);
const spanId = () => z.string().regex(/^[0-9a-f]{16}$/);
const attributes = () => z.record(z.string(), z.unknown()).describe('As they were sent; int64 as strings.');
const linkFields = {
  loopId: uuid().nullable(),
  runId: uuid().nullable(),
  link: z
    .enum(['exact', 'inferred'])
    .nullable()
    .describe('exact: said by a key that may speak for the loop. inferred: by another one.'),
};
const head = {
  spanId: spanId(),
  name: z.string(),
  kind: z.int().describe("OTLP's number: 1 internal, 2 server, 3 client, 4 producer, 5 consumer."),
  service: z.string().nullable(),
  startTimeUnixNano: nanos(),
  endTimeUnixNano: nanos(),
  ...linkFields,
};
const statusCode = z.int().describe("OTLP's number: 1 ok, 2 error.");

export const spanView = z
  .object({
    ...head,
    parentSpanId: spanId().nullable(),
    status: z.object({ code: statusCode, message: z.string() }),
    sessionId: z.string().nullable(),
    attributes: attributes(),
    resource: z.object({ attributes: attributes() }),
    scope: z.unknown().describe('Its name, version, attributes and schemaUrl, those that were sent.'),
    events: z.array(z.looseObject({ timeUnixNano: nanos(), name: z.string(), attributes: attributes() })),
    links: z.array(z.looseObject({ traceId: z.string(), spanId: z.string(), attributes: attributes() })),
    traceState: z.string(),
    flags: z.int(),
    dropped: z
      .object({ attributes: z.int(), events: z.int(), links: z.int() })
      .nullable()
      .describe('How much the sender says it left out.'),
    truncated: z
      .object({ values: z.int(), attributes: z.int(), events: z.int(), links: z.int() })
      .nullable()
      .describe('How much was over our limits and is not here.'),
  })
  .meta({ id: 'Span' });

export const traceView = z
  .object({
    traceId: traceId(),
    spans: z.array(spanView).describe('In the order in which they began.'),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Trace' });

export const traceSummaryView = z
  .object({
    traceId: traceId(),
    startTimeUnixNano: nanos().describe('When its first span began.'),
    endTimeUnixNano: nanos().describe('When its last span ended.'),
    durationMs: z.number(),
    root: z
      .object({ name: z.string(), service: z.string().nullable() })
      .nullable()
      .describe('Null until the root span is there.'),
    match: z
      .object({ ...head, status: z.object({ code: statusCode }), durationMs: z.number() })
      .describe('The newest of its spans that was searched for.'),
  })
  .meta({ id: 'TraceSummary' });

const attributeFilter = z
  .string()
  .max(1000)
  .regex(/^[^=]+=/s, { error: 'expected key=value' })
  .refine((text) => text.isWellFormed() && !text.includes('\0'), { error: 'must not hold NUL or a lone surrogate' });

/** What GET /traces may be asked, beside the page. */
export const traceFilters = {
  loopId: uuid().optional(),
  runId: uuid().optional(),
  service: z.string().max(256).optional(),
  name: z.string().max(1024).optional().describe("A span's name, whole."),
  from: timeInput().optional().describe('Spans that began then or later.'),
  to: timeInput().optional().describe('Spans that began before.'),
  minDurationMs: z.coerce.number().min(0).max(1e12).optional(),
  attribute: z
    .union([attributeFilter, z.array(attributeFilter).max(8)])
    .optional()
    .describe('key=value, of the span or its resource; a number or boolean as its text. Several: all of them.'),
};

export interface SpanRow {
  readonly span_id: string;
  readonly parent_span_id: string | null;
  readonly name: string;
  readonly kind: number;
  readonly status: number;
  readonly start_nanos: string;
  readonly end_nanos: string;
  readonly service: string | null;
  readonly loop_id: string | null;
  readonly run_id: string | null;
  readonly link: 'exact' | 'inferred' | null;
  readonly session_id: string | null;
  readonly attributes: string;
  readonly resource: string;
  readonly details: string;
}

interface Details {
  readonly statusMessage?: string;
  readonly traceState?: string;
  readonly flags?: string;
  readonly scope?: unknown;
  readonly events?: z.output<typeof spanView>['events'];
  readonly links?: z.output<typeof spanView>['links'];
  readonly dropped?: Record<'attributes' | 'events' | 'links', string>;
  readonly truncated?: Record<'values' | 'attributes' | 'events' | 'links', string>;
}

export function viewSpan(row: SpanRow): z.output<typeof spanView> {
  const details = parseStored(row.details) as Details;
  const { dropped, truncated } = details;
  return {
    ...viewHead(row),
    parentSpanId: row.parent_span_id,
    status: { code: row.status, message: details.statusMessage ?? '' },
    sessionId: row.session_id,
    attributes: parseStored(row.attributes) as Record<string, unknown>,
    resource: { attributes: parseStored(row.resource) as Record<string, unknown> },
    scope: details.scope ?? {},
    events: details.events ?? [],
    links: details.links ?? [],
    traceState: details.traceState ?? '',
    flags: Number(details.flags ?? 0),
    dropped:
      dropped === undefined
        ? null
        : { attributes: Number(dropped.attributes), events: Number(dropped.events), links: Number(dropped.links) },
    truncated:
      truncated === undefined
        ? null
        : {
            values: Number(truncated.values),
            attributes: Number(truncated.attributes),
            events: Number(truncated.events),
            links: Number(truncated.links),
          },
  };
}

type HeadRow = Pick<
  SpanRow,
  'span_id' | 'name' | 'kind' | 'service' | 'start_nanos' | 'end_nanos' | 'loop_id' | 'run_id' | 'link'
>;

function viewHead(row: HeadRow) {
  return {
    spanId: row.span_id,
    name: row.name,
    kind: row.kind,
    service: row.service,
    startTimeUnixNano: row.start_nanos,
    endTimeUnixNano: row.end_nanos,
    loopId: row.loop_id,
    runId: row.run_id,
    link: row.link,
  };
}

export interface SummaryRow extends HeadRow {
  readonly trace_id: string;
  readonly status: number;
  readonly min_nanos: string;
  readonly max_nanos: string;
  readonly root_name: string | null;
  readonly root_service: string | null;
}

export function viewSummary(row: SummaryRow): z.output<typeof traceSummaryView> {
  return {
    traceId: row.trace_id,
    startTimeUnixNano: row.min_nanos,
    endTimeUnixNano: row.max_nanos,
    durationMs: millisecondsBetween(row.min_nanos, row.max_nanos),
    root: row.root_name === null ? null : { name: row.root_name, service: row.root_service },
    match: {
      ...viewHead(row),
      status: { code: row.status },
      durationMs: millisecondsBetween(row.start_nanos, row.end_nanos),
    },
  };
}

function millisecondsBetween(start: string, end: string): number {
  return Math.max(0, Number(BigInt(end) - BigInt(start)) / 1e6);
}
