import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPTraceExporter as JsonTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { CompressionAlgorithm } from '@opentelemetry/otlp-exporter-base';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { startRun } from '../loops/support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

const options = (signal: string, secret: string) => ({
  url: `${server.url}/v1/${signal}`,
  headers: { authorization: `Bearer ${secret}` },
  compression: CompressionAlgorithm.GZIP,
});

const EXPORTERS: readonly [string, (secret: string) => SpanExporter][] = [
  ['JSON', (secret) => new JsonTraceExporter(options('traces', secret))],
  ['protobuf', (secret) => new ProtoTraceExporter(options('traces', secret))],
];

describe.each(EXPORTERS)("OpenTelemetry's own exporter, in %s with gzip", (_name, exporterFor) => {
  it('delivers its spans as they were, linked to their run', async () => {
    const org = await server.newOrg();
    const run = await startRun(org.admin);
    const provider = new NodeTracerProvider({
      resource: resourceFromAttributes({ 'service.name': 'agent', 'loop.id': run.loopId, 'run.id': run.id }),
      spanProcessors: [new BatchSpanProcessor(exporterFor(org.admin.secret))],
    });
    const tracer = provider.getTracer('test', '1.2.3');
    const root = tracer.startSpan('root', {
      kind: SpanKind.CLIENT,
      attributes: { n: 5, share: 0.25, on: true, list: ['a', 'b'] },
    });
    const children = Array.from({ length: 700 }, (_, at) => {
      const context = trace.setSpan(ROOT_CONTEXT, root);
      const child = tracer.startSpan(`child ${at}`, { links: [{ context: root.spanContext() }] }, context);
      child.addEvent('tried', { at });
      child.setStatus({ code: SpanStatusCode.ERROR, message: 'no' });
      child.end();
      return child;
    });
    root.end();
    await provider.shutdown();

    const { body } = await org.admin.get(`/traces/${root.spanContext().traceId}`);
    expect(body.spans).toHaveLength(701);
    const bySpan = new Map<string, Record<string, never>>(
      body.spans.map((span: { spanId: string }) => [span.spanId, span]),
    );
    const nanos = ([seconds, rest]: readonly [number, number]) =>
      String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));
    const sent = root as unknown as { startTime: [number, number]; endTime: [number, number] };
    expect(bySpan.get(root.spanContext().spanId)).toMatchObject({
      name: 'root',
      kind: 3,
      parentSpanId: null,
      startTimeUnixNano: nanos(sent.startTime),
      endTimeUnixNano: nanos(sent.endTime),
      attributes: { n: '5', share: 0.25, on: true, list: ['a', 'b'] },
      scope: { name: 'test', version: '1.2.3' },
      service: 'agent',
      loopId: run.loopId,
      runId: run.id,
      link: 'exact',
    });
    expect(bySpan.get(children[699]!.spanContext().spanId)).toMatchObject({
      name: 'child 699',
      parentSpanId: root.spanContext().spanId,
      status: { code: 2, message: 'no' },
      events: [{ name: 'tried', attributes: { at: '699' } }],
      links: [{ traceId: root.spanContext().traceId, spanId: root.spanContext().spanId }],
    });
    expect((await org.admin.get(`/traces?runId=${run.id}`)).body.items).toHaveLength(1);
  });
});

describe("OpenTelemetry's exporter of log records", () => {
  it('delivers them', async () => {
    const org = await server.newOrg();
    const provider = new LoggerProvider({
      resource: resourceFromAttributes({ 'service.name': 'claude-code' }),
      processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(options('logs', org.admin.secret)) })],
    });
    const logger = provider.getLogger('events');
    for (let at = 0; at < 20; at += 1) {
      logger.emit({
        severityNumber: SeverityNumber.INFO,
        body: 'claude_code.api_request',
        attributes: { 'event.name': 'api_request', 'event.sequence': at, cost_usd: 0.01 },
      });
    }
    await provider.shutdown();
    const rows = await server.sql(
      'SELECT event_name, service, body, attributes FROM log_record WHERE org_id = $1 ORDER BY (attributes ->> $2)::int',
      [org.id, 'event.sequence'],
    );
    expect(rows).toHaveLength(20);
    expect(rows[19]).toEqual({
      event_name: 'api_request',
      service: 'claude-code',
      body: 'claude_code.api_request',
      attributes: { 'event.name': 'api_request', 'event.sequence': 19, cost_usd: 0.01 },
    });
  });
});
