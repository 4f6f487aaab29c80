import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Items, LogItem, SpanItem } from '../../../src/modules/traces/otlp/items.ts';
import { readJsonLogs } from '../../../src/modules/traces/otlp/json-logs.ts';
import { readJsonSpans } from '../../../src/modules/traces/otlp/json-spans.ts';
import { parseExactJson } from '../../../src/modules/traces/otlp/json-text.ts';
import { Malformed } from '../../../src/modules/traces/otlp/malformed.ts';
import { countJsonPoints, countProtoPoints } from '../../../src/modules/traces/otlp/metric-points.ts';
import { readProtoLogs } from '../../../src/modules/traces/otlp/proto-logs.ts';
import { readProtoSpans } from '../../../src/modules/traces/otlp/proto-spans.ts';
import { encode, toProto } from './wire.ts';

/** Longer by hand: READER_RUNS=100000. */
const numRuns = Number(process.env['READER_RUNS'] ?? 300);

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const key = fc.oneof(fc.constantFrom('session.id', 'loop.id', 'input_tokens', 'gen_ai.request.model'), text);
const hex = (...bytes: number[]) =>
  fc
    .constantFrom(...bytes)
    .chain((n) => fc.uint8Array({ minLength: n, maxLength: n }))
    .map((id) => Buffer.from(id).toString('hex'));

const { value } = fc.letrec<{ value: object; member: object }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: 'value' },
    fc.record({ stringValue: text }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: int64 }),
    fc.record({ doubleValue: fc.oneof(fc.double(), fc.constantFrom(Number.NaN, -Infinity, 5, 1e300, 5e-324)) }),
    fc.record({ bytesValue: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('base64')) }),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { maxLength: 3 }) }) }),
    fc.record({ kvlistValue: fc.record({ values: fc.array(tie('member'), { maxLength: 3 }) }) }),
    fc.constant({}),
  ),
  member: fc.record({ key: text, value: tie('value') }),
}));
const attributes = fc.array(fc.record({ key, value }), { maxLength: 4 });
const scope = fc.record({ name: text, version: text, attributes }, { requiredKeys: [] });
const resource = fc.record({ attributes }, { requiredKeys: [] });

const span = fc.record(
  {
    traceId: hex(16, 16, 0, 15),
    spanId: hex(8, 8, 0, 9),
    parentSpanId: hex(8, 0),
    traceState: text,
    name: text,
    kind: fc.nat({ max: 5 }),
    startTimeUnixNano: uint64,
    endTimeUnixNano: uint64,
    attributes,
    droppedAttributesCount: uint32,
    events: fc.array(
      fc.record({ timeUnixNano: uint64, name: text, attributes, droppedAttributesCount: uint32 }, { requiredKeys: [] }),
      { maxLength: 2 },
    ),
    droppedEventsCount: uint32,
    links: fc.array(
      fc.record({ traceId: hex(16), spanId: hex(8), traceState: text, attributes }, { requiredKeys: [] }),
      { maxLength: 2 },
    ),
    droppedLinksCount: uint32,
    status: fc.record({ message: text, code: fc.nat({ max: 2 }) }, { requiredKeys: [] }),
    flags: uint32,
  },
  { requiredKeys: [] },
);
const record = fc.record(
  {
    timeUnixNano: uint64,
    observedTimeUnixNano: uint64,
    severityNumber: fc.nat({ max: 24 }),
    severityText: text,
    eventName: text,
    body: value,
    attributes,
    droppedAttributesCount: uint32,
    flags: uint32,
    traceId: hex(16, 0, 3),
    spanId: hex(8, 0, 3),
  },
  { requiredKeys: [] },
);
const traces = fc.record({
  resourceSpans: fc.array(
    fc.record({
      resource,
      scopeSpans: fc.array(fc.record({ scope, schemaUrl: text, spans: fc.array(span, { maxLength: 3 }) }), {
        maxLength: 2,
      }),
    }),
    { maxLength: 2 },
  ),
});
const logs = fc.record({
  resourceLogs: fc.array(
    fc.record({
      resource,
      scopeLogs: fc.array(fc.record({ scope, schemaUrl: text, logRecords: fc.array(record, { maxLength: 3 }) }), {
        maxLength: 2,
      }),
    }),
    { maxLength: 2 },
  ),
});

/** protobufjs's JSON knows no NaN as text and no -0. */
const asJson = (message: object) =>
  Buffer.from(
    JSON.stringify(message, (_key, each: unknown) =>
      typeof each === 'number' && !Number.isFinite(each) ? String(each) : each,
    ),
  );

const HOT = ['loopId', 'sessionId', 'model', 'inputTokens'] as const;
const flat = (items: Items<SpanItem> | Items<LogItem>) =>
  [...items].map(({ hints, resource: { attributes: shared, hints: sharedHints }, ...rest }) => ({
    ...rest,
    shared,
    hot: HOT.map((field) => [hints.get(field), sharedHints.get(field)]),
  }));

describe('our readers', () => {
  it('read the same spans out of what protobufjs encodes as out of JSON', () => {
    fc.assert(
      fc.property(traces, (message) => {
        const proto = readProtoSpans(encode('ExportTraceServiceRequest', toProto(message)));
        const json = readJsonSpans(parseExactJson(asJson(message)));
        expect(proto.count).toBe(json.count);
        expect(flat(proto)).toEqual(flat(json));
      }),
      { numRuns },
    );
  });

  it('read the same log records', () => {
    fc.assert(
      fc.property(logs, (message) => {
        const proto = readProtoLogs(encode('ExportLogsServiceRequest', toProto(message)));
        const json = readJsonLogs(parseExactJson(asJson(message)));
        expect(flat(proto)).toEqual(flat(json));
      }),
      { numRuns },
    );
  });

  it('keep every column to the last digit, and every attribute as it can be told back', () => {
    fc.assert(
      fc.property(span, (sent) => {
        const message = { resourceSpans: [{ scopeSpans: [{ spans: [sent] }] }] };
        const [read] = [...readProtoSpans(encode('ExportTraceServiceRequest', toProto(message)))];
        expect(read).toMatchObject({
          traceId: sent.traceId ?? '',
          spanId: sent.spanId ?? '',
          parentSpanId: sent.parentSpanId ?? '',
          name: storable(sent.name ?? ''),
          kind: sent.kind ?? 0,
          status: sent.status?.code ?? 0,
          startNanos: BigInt(sent.startTimeUnixNano ?? 0),
          endNanos: BigInt(sent.endTimeUnixNano ?? 0),
          attributes: expectedObject(sent.attributes ?? []),
        });
      }),
      { numRuns },
    );
  });
});

const storable = (each: string) => each.toWellFormed().replaceAll('\0', '\ufffd');

/** What an attribute list should become, said once more in another way. */
function expectedObject(list: readonly { key: string; value: object }[]): string {
  return `{${list.map((each) => `${JSON.stringify(storable(each.key))}:${expectedValue(each.value)}`).join(',')}}`;
}

function expectedValue(any: object): string {
  // oxlint-disable-next-line typescript/no-explicit-any -- one of seven types, by its name
  const [[name, inner] = ['none', null]] = Object.entries<any>(any);
  switch (name) {
    case 'none':
      return 'null';
    case 'stringValue':
      return JSON.stringify(storable(inner));
    case 'boolValue':
    case 'intValue':
      return String(inner);
    case 'bytesValue':
      return JSON.stringify({ bytesValue: inner });
    case 'arrayValue':
      return `[${(inner as { values: object[] }).values.map(expectedValue).join(',')}]`;
    case 'kvlistValue':
      return expectedObject((inner as { values: { key: string; value: object }[] }).values);
    default: {
      if (!Number.isFinite(inner)) return JSON.stringify({ doubleValue: String(inner) });
      const digits = String(inner);
      return Number.isInteger(inner) && !digits.includes('e') ? `${digits}.0` : digits;
    }
  }
}

describe('what is no protobuf', () => {
  const drain = (body: Buffer) => [
    () => [...readProtoSpans(body)],
    () => [...readProtoLogs(body)],
    () => countProtoPoints(body),
  ];

  it('is refused as malformed, or is something else that can be read; nothing else happens', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(traces, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }))
        .map(([message, changes]) => {
          const body = encode('ExportTraceServiceRequest', toProto(message));
          for (const [at, byte] of changes) if (body.length > 0) body[at % body.length] = byte;
          return body;
        }),
    );
    let refused = 0;
    fc.assert(
      fc.property(bytes, (body) => {
        for (const read of drain(Buffer.from(body))) {
          try {
            read();
          } catch (error) {
            expect(error).toBeInstanceOf(Malformed);
            refused += 1;
          }
        }
      }),
      { numRuns: numRuns * 3 },
    );
    expect(refused).toBeGreaterThan(numRuns / 10);
  });

  it('cut anywhere but between two resources, a request is refused', () => {
    const one = {
      resourceSpans: [
        {
          resource: { attributes: [{ key: 'a', value: { stringValue: 'b' } }] },
          scopeSpans: [{ spans: [{ traceId: 'ab'.repeat(16), name: 'x', startTimeUnixNano: '5' }] }],
        },
      ],
    };
    const body = encode('ExportTraceServiceRequest', toProto(one));
    for (let length = 1; length < body.length; length += 1) {
      expect(() => [...readProtoSpans(body.subarray(0, length))], `${length} bytes`).toThrow(Malformed);
    }
    expect([...readProtoSpans(Buffer.alloc(0))]).toEqual([]);
    expect([...readProtoSpans(Buffer.concat([body, body]))]).toHaveLength(2);
  });

  it.each([
    ['a number of eleven bytes', Buffer.from([0x08, ...Array<number>(11).fill(0xff)])],
    ['field number 0', Buffer.from([0x00, 0x01])],
    ['wire type 7', Buffer.from([0x0f])],
    ['a group that is not closed', Buffer.from([0x0b, 0x08, 0x01])],
    ['a group that is closed as another', Buffer.from([0x0b, 0x14])],
    ['groups in groups without end', Buffer.alloc(1000, 0x0b)],
    ['a length past the end', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07])],
    ['a length of 2^35', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f])],
  ])('%s is malformed', (_what, body) => {
    expect(() => readProtoSpans(body)).toThrow(Malformed);
  });

  it('passes over groups and fields that nobody knows', () => {
    const unknown = Buffer.from([0x9b, 0x06, 0x08, 0x01, 0x9c, 0x06, 0xf8, 0x07, 0x96, 0x01]);
    expect([...readProtoSpans(unknown)]).toEqual([]);
  });
});

describe('metrics', () => {
  it('are counted alike in both encodings', () => {
    const points = (n: number) => ({ dataPoints: Array.from({ length: n }, () => ({ asDouble: 1 })) });
    const message = {
      resourceMetrics: [
        {
          scopeMetrics: [{ metrics: [{ name: 'a', gauge: points(2) }, { name: 'b', sum: points(3) }, { name: 'c' }] }],
        },
        { scopeMetrics: [] },
      ],
    };
    expect(countProtoPoints(encode('ExportMetricsServiceRequest', message))).toBe(5);
    expect(countJsonPoints(message)).toBe(5);
  });
});
