import { randomBytes } from 'node:crypto';
import { encode, toProto } from '../../test/modules/traces/wire.ts';

export const SPANS_PER_REQUEST = 512;
const SPANS_PER_TRACE = 16;

/** One span as an agent sends it. Only the ids differ from request to request. */
export interface BenchSpan {
  readonly traceId: Buffer;
  readonly spanId: Buffer;
  readonly parentSpanId: Buffer | null;
  readonly name: string;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

export const RESOURCE: Readonly<Record<string, string>> = {
  'service.name': 'claude-code',
  'service.version': '2.1.329',
  'host.arch': 'amd64',
  'os.type': 'linux',
};

/** A request's worth of spans: traces of 16, a tool call or a model call each. */
export function benchSpans(): BenchSpan[] {
  const now = BigInt(Date.now()) * 1_000_000n;
  let traceId = randomBytes(16);
  let root = randomBytes(8);
  return Array.from({ length: SPANS_PER_REQUEST }, (_, at) => {
    const isRoot = at % SPANS_PER_TRACE === 0;
    if (isRoot) [traceId, root] = [randomBytes(16), randomBytes(8)];
    const startNanos = now + BigInt(at) * 1_000_003n;
    return {
      traceId,
      spanId: isRoot ? root : randomBytes(8),
      parentSpanId: isRoot ? null : root,
      name: isRoot
        ? 'claude_code.interaction'
        : at % 2 === 0
          ? 'claude_code.llm_request'
          : 'claude_code.tool.execution',
      startNanos,
      endNanos: startNanos + 250_000_007n,
      attributes: {
        'session.id': 'f2a5b0de-6c1f-4a6e-9d0c-0f6f4a2b7c11',
        'gen_ai.request.model': 'claude-opus-4',
        input_tokens: 1200 + at,
        output_tokens: 340,
        cache_read_tokens: 52_000,
        'tool.name': 'Edit',
        success: true,
        duration_ms: 250.5,
      },
    };
  });
}

/** The spans as an ExportTraceServiceRequest. */
export function encodeSpans(spans: readonly BenchSpan[]): Buffer {
  const attributesOf = (values: BenchSpan['attributes']) =>
    Object.entries(values).map(([key, value]) => ({ key, value: valueOf(value) }));
  const message = {
    resourceSpans: [
      {
        resource: { attributes: attributesOf(RESOURCE) },
        scopeSpans: [
          {
            scope: { name: 'bench' },
            spans: spans.map((span) => ({
              traceId: span.traceId.toString('hex'),
              spanId: span.spanId.toString('hex'),
              ...(span.parentSpanId === null ? {} : { parentSpanId: span.parentSpanId.toString('hex') }),
              name: span.name,
              kind: 1,
              startTimeUnixNano: String(span.startNanos),
              endTimeUnixNano: String(span.endNanos),
              attributes: attributesOf(span.attributes),
            })),
          },
        ],
      },
    ],
  };
  return encode('ExportTraceServiceRequest', toProto(message));
}

function valueOf(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** Where the ids stand in an encoded request, so that each request gets its own without being encoded anew. */
export function idOffsets(body: Buffer, spans: readonly BenchSpan[]): number[] {
  const offsets: number[] = [];
  let from = 0;
  for (const span of spans) {
    for (const id of [span.traceId, span.spanId, span.parentSpanId]) {
      if (id === null) continue;
      from = body.indexOf(id, from);
      if (from < 0) throw new Error('an id is not where it should be');
      offsets.push(from);
    }
  }
  return offsets;
}

/** Writes a number into the first bytes of every id: spans of one trace stay together, and no two requests share an id. */
export function renumber(body: Buffer, offsets: readonly number[], number: number): void {
  for (const offset of offsets) body.writeUInt32BE(number, offset);
}
