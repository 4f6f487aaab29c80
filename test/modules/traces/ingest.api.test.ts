import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/modules/traces/limits.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type Encoding, MEDIA_TYPES, postBytes, postOtlp, type Signal, spanRows, told } from './support.ts';
import { encode, jsonLogs, jsonSpan, jsonTraces, randomHex, toProto } from './wire.ts';

let server: TestServer;
let org: TestOrg;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  org = await server.newOrg();
});
afterAll(() => server?.close());

const ENCODINGS = ['protobuf', 'json'] as const;
const SIGNALS = ['traces', 'logs', 'metrics'] as const;
const DAY_MS = 86_400_000;
const nanosIn = (days: number) => String(BigInt(Date.now() + days * DAY_MS) * 1_000_000n);
const metrics = (n: number) => ({
  resourceMetrics: [
    {
      scopeMetrics: [
        { metrics: [{ name: 'm', sum: { dataPoints: Array.from({ length: n }, () => ({ asDouble: 1 })) } }] },
      ],
    },
  ],
});

describe.each(ENCODINGS)('spans in %s', (encoding: Encoding) => {
  it('are kept with all they say, to the nanosecond', async () => {
    const own = await server.newOrg();
    const now = BigInt(Date.now()) * 1_000_000n;
    const span = jsonSpan({
      parentSpanId: 'ab'.repeat(8),
      name: 'chat \u{1F682}\t\\ "x"\n',
      kind: 3,
      startTimeUnixNano: String(now + 1n),
      endTimeUnixNano: String(now + 9_999_999_999n),
      attributes: [
        { key: 'gen_ai.request.model', value: { stringValue: 'opus' } },
        { key: 'gen_ai.usage.input_tokens', value: { intValue: '12' } },
        { key: 'output_tokens', value: { intValue: '9007199254740993' } },
        { key: 'big', value: { intValue: '-9223372036854775808' } },
        { key: 'share', value: { doubleValue: 2 } },
        { key: 'nul\0', value: { stringValue: 'a\0b' } },
        { key: 'session.id', value: { stringValue: 's\0' } },
        { key: 'list', value: { arrayValue: { values: [{ boolValue: true }, {}] } } },
      ],
      events: [{ timeUnixNano: String(now + 3n), name: 'e', attributes: [] }],
      status: { code: 2, message: 'no' },
    });
    const reply = await postOtlp(server, own.admin, 'traces', jsonTraces([span], { 'service.name': 'agent' }), {
      encoding,
    });
    expect([reply.status, reply.type, told(reply, 'traces')]).toEqual([200, MEDIA_TYPES[encoding], {}]);
    const [row, ...others] = await spanRows(server, own.id);
    expect(others).toEqual([]);
    expect(row).toMatchObject({
      trace_id: span['traceId'],
      span_id: span['spanId'],
      parent_span_id: 'ab'.repeat(8),
      name: 'chat \u{1F682}\t\\ "x"\n',
      kind: 3,
      status: 2,
      start_nanos: String(now + 1n),
      end_nanos: String(now + 9_999_999_999n),
      day: new Date(Number(now / 1_000_000n)).toISOString().slice(0, 10),
      service: 'agent',
      model: 'opus',
      input_tokens: 12,
      output_tokens: null,
      session_id: 's\ufffd',
      loop_id: null,
      link: null,
      resource: { 'service.name': 'agent' },
      details: {
        scope: { name: 'test' },
        statusMessage: 'no',
        events: [{ timeUnixNano: String(now + 3n), name: 'e', attributes: {} }],
      },
    });
    for (const part of [
      '"big": -9223372036854775808',
      '"share": 2.0',
      '"nul\ufffd": "a\ufffdb"',
      '"list": [true, null]',
    ])
      expect(row!['attributes']).toContain(part);
  });

  it('are there once however often they are sent, at once too', async () => {
    const own = await server.newOrg();
    const spans = Array.from({ length: 40 }, () => jsonSpan());
    const twice = jsonTraces([...spans, ...spans.slice(0, 5)]);
    const again = jsonTraces(spans.toReversed());
    const sent = [twice, again, twice, again, twice, again].map((message) =>
      postOtlp(server, own.admin, 'traces', message, { encoding }),
    );
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual(Array(6).fill(200));
    const ids = (await spanRows(server, own.id)).map((row) => row.span_id).toSorted();
    expect(ids).toEqual(spans.map((span) => String(span['spanId'])).toSorted());
  });

  it('that are bad are told, and do not reject the others', async () => {
    const own = await server.newOrg();
    const good = jsonSpan();
    const reply = await postOtlp(
      server,
      own.admin,
      'traces',
      jsonTraces([
        jsonSpan({ traceId: '' }),
        jsonSpan({ traceId: '0'.repeat(32) }),
        jsonSpan({ traceId: 'ab'.repeat(15) }),
        jsonSpan({ spanId: 'ab'.repeat(9) }),
        jsonSpan({ parentSpanId: 'ab' }),
        good,
        jsonSpan({ startTimeUnixNano: nanosIn(1.1) }),
        jsonSpan({ endTimeUnixNano: '18446744073709551615' }),
        jsonSpan({ startTimeUnixNano: nanosIn(-91) }),
        jsonSpan({ startTimeUnixNano: '0' }),
      ]),
      { encoding },
    );
    expect(reply.status).toBe(200);
    const { partialSuccess } = told(reply, 'traces') as {
      partialSuccess: { rejectedSpans: string; errorMessage: string };
    };
    expect(partialSuccess).toEqual({
      rejectedSpans: '9',
      errorMessage:
        '9 spans were not taken: 2 without a trace id, 1 with a trace id that is not 16 bytes, 1 with a span id that is not 8 bytes, ' +
        '1 with a parent span id that is not 8 bytes, 2 with a time over 1 day in the future, 1 from over 90 days ago, 1 without a start time.',
    });
    expect((await spanRows(server, own.id)).map((row) => row.span_id)).toEqual([good['spanId']]);
  });

  it('go into the partition of their day, as far back and ahead as they are taken', async () => {
    const own = await server.newOrg();
    const days = [-89.9, -45, -1, 0, 0.9];
    const spans = days.map((day) => jsonSpan({ startTimeUnixNano: nanosIn(day), endTimeUnixNano: nanosIn(day) }));
    expect(told(await postOtlp(server, own.admin, 'traces', jsonTraces(spans), { encoding }), 'traces')).toEqual({});
    const rows = await server.sql<{ partition: string; day: string }>(
      'SELECT tableoid::regclass::text AS partition, day::text FROM span s WHERE org_id = $1 ORDER BY s.day',
      [own.id],
    );
    expect(rows.map(({ partition }) => partition)).toEqual(rows.map(({ day }) => `span_${day.replaceAll('-', '')}`));
    expect(rows.map(({ day }) => day)).toEqual(
      days.map((day) => new Date(Date.now() + day * DAY_MS).toISOString().slice(0, 10)),
    );
  });

  it('over their limits are cut, and say so', async () => {
    const own = await server.newOrg();
    const many = Array.from({ length: LIMITS.attributes + 3 }, (_, n) => ({
      key: `k${n}`,
      value: { stringValue: 'v' },
    }));
    const events = Array.from({ length: LIMITS.events + 2 }, () => ({ timeUnixNano: '1', name: 'e' }));
    const deep = Array.from({ length: 30 }).reduce<object>((inner) => ({ arrayValue: { values: [inner] } }), {
      boolValue: true,
    });
    const spans = [
      jsonSpan({
        startTimeUnixNano: nanosIn(-0.004),
        name: 'n'.repeat(5000),
        attributes: many,
        events,
        droppedAttributesCount: 7,
      }),
      jsonSpan({
        startTimeUnixNano: nanosIn(-0.003),
        attributes: [{ key: 'long', value: { stringValue: 'x'.repeat(LIMITS.value + 1) } }],
      }),
      jsonSpan({
        startTimeUnixNano: nanosIn(-0.002),
        attributes: many.slice(0, 8).map(({ key }) => ({ key, value: { stringValue: 'y'.repeat(60_000) } })),
      }),
      jsonSpan({ startTimeUnixNano: nanosIn(-0.001), attributes: [{ key: 'deep', value: deep }] }),
    ];
    expect(told(await postOtlp(server, own.admin, 'traces', jsonTraces(spans), { encoding }), 'traces')).toEqual({});
    const rows = await spanRows(server, own.id);
    expect(rows.map((row) => (row['details'] as { truncated: object }).truncated)).toEqual([
      { values: 1, attributes: 3, events: 2, links: 0 },
      { values: 1, attributes: 0, events: 0, links: 0 },
      { values: 4, attributes: 0, events: 0, links: 0 },
      { values: 1, attributes: 0, events: 0, links: 0 },
    ]);
    expect(rows[0]).toMatchObject({
      name: 'n'.repeat(LIMITS.name),
      details: { dropped: { attributes: 7, events: 0, links: 0 } },
    });
  });

  it('of two orgs with the same ids are two spans', async () => {
    const [one, two] = [await server.newOrg(), await server.newOrg()];
    const span = jsonSpan();
    for (const each of [one, two]) await postOtlp(server, each.admin, 'traces', jsonTraces([span]), { encoding });
    for (const each of [one, two]) expect(await spanRows(server, each.id)).toHaveLength(1);
  });
});

describe.each(ENCODINGS)('log records in %s', (encoding: Encoding) => {
  const rows = (orgId: string) =>
    server.sql(
      `SELECT l.*, time_nanos::text, observed_nanos::text, encode(trace_id, 'hex') AS trace_id FROM log_record l WHERE org_id = $1 ORDER BY l.time_nanos`,
      [orgId],
    );

  it('are kept once, and those that are equal within one request as often as they were sent', async () => {
    const own = await server.newOrg();
    const traceId = randomHex(16);
    const event = {
      timeUnixNano: nanosIn(-0.1),
      observedTimeUnixNano: nanosIn(0),
      severityNumber: 9,
      severityText: 'INFO',
      traceId,
      body: { stringValue: 'claude_code.api_request' },
      attributes: [
        { key: 'event.name', value: { stringValue: 'api_request' } },
        { key: 'cost_usd', value: { doubleValue: 0.0123 } },
      ],
    };
    const other = { ...event, timeUnixNano: undefined, attributes: [] };
    const message = jsonLogs([event, event, other, { ...event, traceId: 'abcd' }]);
    for (let time = 0; time < 3; time += 1) {
      const reply = await postOtlp(server, own.admin, 'logs', message, { encoding });
      expect(told(reply, 'logs')).toEqual({
        partialSuccess: {
          rejectedLogRecords: '1',
          errorMessage: '1 log records were not taken: 1 with a trace id that is not 16 bytes.',
        },
      });
    }
    const kept = await rows(own.id);
    expect(kept.map((row) => row['time_nanos'])).toEqual([
      event.timeUnixNano,
      event.timeUnixNano,
      event.observedTimeUnixNano,
    ]);
    expect(kept[0]).toMatchObject({
      trace_id: traceId,
      severity: 9,
      event_name: 'api_request',
      body: 'claude_code.api_request',
    });
    expect(kept[0]!['attributes']).toMatchObject({ cost_usd: 0.0123 });
  });

  it('sent as spans are told', async () => {
    const own = await server.newOrg();
    const record = { timeUnixNano: nanosIn(0), body: { stringValue: 'x' } };
    const sent =
      encoding === 'json'
        ? Buffer.from(JSON.stringify(jsonLogs([record, record])))
        : encode('ExportLogsServiceRequest', toProto(jsonLogs([record, record])));
    const reply = await postBytes(server, own.admin, 'traces', sent, { 'content-type': MEDIA_TYPES[encoding] });
    expect(told(reply, 'traces')).toMatchObject({ partialSuccess: { rejectedSpans: '2' } });
    expect(await spanRows(server, own.id)).toEqual([]);
  });
});

describe.each(ENCODINGS)('answers in %s', (encoding: Encoding) => {
  const post = (signal: Signal, body: Buffer, headers: Record<string, string> = {}) =>
    postBytes(server, org.admin, signal, body, { 'content-type': MEDIA_TYPES[encoding], ...headers });

  it.each(SIGNALS)('to an empty request for %s is 200 and says nothing', async (signal) => {
    const empty = encoding === 'json' ? ['', '{}', '{"unknown":{"a":1}}'] : ['', '\x98\x06\x01'];
    for (const body of empty) {
      const reply = await post(signal, Buffer.from(body, 'latin1'));
      expect([reply.status, reply.type, told(reply, signal)]).toEqual([200, MEDIA_TYPES[encoding], {}]);
    }
  });

  it('to metrics says that they are not kept', async () => {
    const reply = await postOtlp(server, org.admin, 'metrics', metrics(3), { encoding });
    expect(reply.status).toBe(200);
    expect(told(reply, 'metrics')).toEqual({
      partialSuccess: {
        rejectedDataPoints: '3',
        errorMessage: 'Metrics are not kept by this server yet; traces and logs are.',
      },
    });
  });

  it.each(SIGNALS)('to %s that are nothing is a Status', async (signal) => {
    const reply = await post(signal, Buffer.from('{"a":'));
    expect([reply.status, reply.type, told(reply, signal)]).toEqual([
      400,
      MEDIA_TYPES[encoding],
      { code: 3, message: expect.stringMatching(/^This is no OTLP request: /) },
    ]);
  });

  it('to a caller without a key, or without the right, is a Status, too', async () => {
    const viewer = await org.key('viewer');
    const headers = { 'content-type': MEDIA_TYPES[encoding] };
    const unknown = await postBytes(server, { secret: 'nothing' }, 'traces', 'x', headers);
    expect([unknown.status, unknown.type, told(unknown, 'traces')]).toMatchObject([
      401,
      MEDIA_TYPES[encoding],
      { code: 16 },
    ]);
    const refused = await postBytes(server, viewer, 'traces', 'x', headers);
    expect([refused.status, refused.type, told(refused, 'traces')]).toMatchObject([
      403,
      MEDIA_TYPES[encoding],
      { code: 7 },
    ]);
  });

  it('to gzip that is cut, or none, is a Status', async () => {
    const whole = gzipSync(Buffer.alloc(1000, 1));
    for (const body of [whole.subarray(0, whole.length - 10), Buffer.from('no gzip at all')]) {
      const reply = await post('traces', body, { 'content-encoding': 'gzip' });
      expect([reply.status, told(reply, 'traces')]).toEqual([400, { code: 3, message: expect.stringMatching(/gzip/) }]);
    }
    const other = await post('traces', Buffer.from('x'), { 'content-encoding': 'br' });
    expect([other.status, told(other, 'traces')]).toEqual([415, { code: 3, message: expect.stringMatching(/br/) }]);
  });

  it('to a body that unpacks to too much is 413, and costs no more memory than the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(LIMITS.bodyBytes * 4));
    expect(bomb.length).toBeLessThan(300_000);
    const before = process.memoryUsage().arrayBuffers;
    const reply = await post('traces', bomb, { 'content-encoding': 'gzip' });
    expect([reply.status, told(reply, 'traces')]).toEqual([
      413,
      { code: 8, message: 'The body is over 64 MiB after decompression.' },
    ]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(LIMITS.bodyBytes * 2.5);
    const plain = await post('traces', Buffer.alloc(LIMITS.bodyBytes + 1, 0x22));
    expect(plain.status).toBe(413);
  });

  it('to more spans than one request may hold is 413, and none is kept', async () => {
    const own = await server.newOrg();
    const spans = Array.from({ length: LIMITS.items + 1 }, () => ({
      spanId: 'ab'.repeat(8),
      traceId: 'cd'.repeat(16),
      startTimeUnixNano: nanosIn(0),
    }));
    const reply = await postOtlp(server, own.admin, 'traces', jsonTraces(spans), { encoding });
    expect([reply.status, told(reply, 'traces')]).toEqual([
      413,
      { code: 8, message: expect.stringMatching(/20001.*smaller/) },
    ]);
    expect(await spanRows(server, own.id)).toEqual([]);
  });
});

describe('the content type', () => {
  it('may have parameters and any case; another one is refused', async () => {
    const body = JSON.stringify(jsonTraces([jsonSpan()]));
    const reply = await postBytes(server, org.admin, 'traces', body, {
      'content-type': 'Application/JSON; charset=utf-8',
    });
    expect([reply.status, reply.type]).toEqual([200, MEDIA_TYPES.json]);
    for (const type of ['text/plain', 'application/grpc']) {
      const refused = await postBytes(server, org.admin, 'traces', body, { 'content-type': type });
      expect([refused.status, refused.type, told(refused, 'traces')]).toMatchObject([
        415,
        MEDIA_TYPES.json,
        { code: 3 },
      ]);
    }
  });
});

describe('JSON as clients write it', () => {
  it('has ids in any case, integers as numbers, null for unset, and unknown names', async () => {
    const own = await server.newOrg();
    const start = BigInt(Date.now()) * 1_000_000n + (987_654_321n % 1_000_000n);
    const body = `{"resourceSpans":[{"resource":null,"deprecated":[1],"scopeSpans":[{"spans":[{"traceId":"${'AB'.repeat(16)}","spanId":"${'cD'.repeat(8)}",
      "parentSpanId":null,"name":"12345678901234567890","kind":2,"startTimeUnixNano":${start},"endTimeUnixNano":"${start}",
      "attributes":[{"key":"n","value":{"intValue":9007199254740993}},{"key":"d","value":{"doubleValue":123456789012345678}}],"status":{},"extra":{"deep":[[]]}}]}]}]}`;
    const reply = await postBytes(server, own.admin, 'traces', body, { 'content-type': 'application/json' });
    expect(told(reply, 'traces')).toEqual({});
    const [row] = await spanRows(server, own.id);
    expect(row).toMatchObject({
      trace_id: 'ab'.repeat(16),
      span_id: 'cd'.repeat(8),
      parent_span_id: null,
      name: '12345678901234567890',
      start_nanos: String(start),
    });
    expect(row!['attributes']).toContain('"n": 9007199254740993');
  });

  it.each([
    ['resourceSpans', '{"resourceSpans":{}}'],
    ['spans', '{"resourceSpans":[{"scopeSpans":[{"spans":5}]}]}'],
    ['startTimeUnixNano', JSON.stringify(jsonTraces([{ startTimeUnixNano: 'soon' }]))],
    ['startTimeUnixNano', '{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1.5e18}]}]}]}'],
    ['kind', JSON.stringify(jsonTraces([{ kind: 'SPAN_KIND_SERVER' }]))],
    ['intValue', JSON.stringify(jsonTraces([{ attributes: [{ key: 'a', value: { intValue: '1.5' } }] }]))],
    ['is not JSON', '['.repeat(100_000)],
  ])('is refused whole when %s is of a wrong type, with its name', async (name, body) => {
    const reply = await postBytes(server, org.admin, 'traces', body, { 'content-type': 'application/json' });
    expect([reply.status, told(reply, 'traces')]).toEqual([400, { code: 3, message: expect.stringContaining(name) }]);
  });
});

describe('nothing is half-written', () => {
  it('when a request is malformed behind spans that were good', async () => {
    const own = await server.newOrg();
    const good = encode('ExportTraceServiceRequest', toProto(jsonTraces([jsonSpan(), jsonSpan()])));
    const reply = await postBytes(server, own.admin, 'traces', Buffer.concat([good, Buffer.from([0x0a, 0x50, 0x12])]), {
      'content-type': MEDIA_TYPES.protobuf,
    });
    expect([reply.status, told(reply, 'traces')]).toEqual([
      400,
      { code: 3, message: expect.stringMatching(/truncated/) },
    ]);
    expect(await spanRows(server, own.id)).toEqual([]);
  });
});
