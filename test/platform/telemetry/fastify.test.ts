import { request as httpRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { trace } from '@opentelemetry/api';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fastifyTelemetry, type Telemetry } from '../../../src/platform/telemetry/index.ts';
import { attributesOf, startCollector, telemetryFor } from './support.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const activeTraceId = () => trace.getActiveSpan()?.spanContext().traceId;

/** A server over HTTP with routes that succeed, fail, wait and say which trace they run in. */
async function serve(telemetry: Telemetry, extend?: (app: FastifyInstance) => void) {
  const app = fastify();
  await app.register(fastifyTelemetry(telemetry));
  app.get('/loops/:id', async () => {
    await delay(1);
    return { traceId: activeTraceId() };
  });
  app.post('/loops', async (request) => {
    await delay(1);
    return { traceId: activeTraceId(), body: request.body };
  });
  app.get('/fails/:id', () => {
    throw new Error('secret sbx_live_0123456789abcdef in a message');
  });
  app.get('/healthz', () => 'ok');
  app.get('/metrics', (request, reply) => {
    reply.hijack();
    telemetry.prometheus(request.raw, reply.raw);
  });
  extend?.(app);
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  cleanups.push(() => telemetry.shutdown());
  cleanups.push(() => app.close());
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(address + path, init);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  return { app, address, get };
}

async function traced() {
  const collector = await startCollector();
  cleanups.push(() => collector.close());
  const telemetry = telemetryFor({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_METRICS_EXPORTER: 'none' });
  const server = await serve(telemetry);
  return { ...server, collector, telemetry };
}

describe('a traced request', () => {
  it('is one server span, child of the caller, with the template and never the path', async () => {
    const { get, collector, telemetry } = await traced();
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const parent = '00f067aa0ba902b7';
    const answer = await get('/loops/private-name?access_token=opaque', {
      headers: { traceparent: `00-${traceId}-${parent}-01`, authorization: 'Bearer opaque' },
    });
    expect(JSON.parse(answer.text)).toEqual({ traceId });
    await telemetry.shutdown();
    const [span, ...others] = collector.spans();
    expect(others).toEqual([]);
    expect(span).toMatchObject({ name: 'GET /loops/:id', traceId, parentSpanId: parent, kind: 2 });
    expect(attributesOf(span!)).toEqual({
      'http.request.method': 'GET',
      'http.route': '/loops/:id',
      'http.response.status_code': 200,
      'url.scheme': 'http',
      'network.protocol.version': '1.1',
    });
    const sent = JSON.stringify(collector.requests);
    expect(sent).not.toMatch(/private-name|opaque|127\.0\.0\.1/);
    expect(attributesOf(collector.resourceSpans()[0]!.resource)).toMatchObject({
      'service.name': 'signalbox',
      'service.version': '1.2.3',
      'service.instance.id': 'i-1',
    });
  });

  it('keeps its span active behind a body and among concurrent requests', async () => {
    const { get, collector, telemetry } = await traced();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        get('/loops', {
          method: 'POST',
          headers: { 'content-type': 'application/json', traceparent: `00-${traceIdOf(n)}-00f067aa0ba902b7-01` },
          body: JSON.stringify({ n, filler: 'x'.repeat(n * 10_000) }),
        }),
      ),
    );
    for (const [n, { text }] of answers.entries()) {
      expect(JSON.parse(text)).toMatchObject({ traceId: traceIdOf(n), body: { n } });
    }
    await telemetry.shutdown();
    expect(collector.spans()).toHaveLength(20);
  });

  it('follows the caller who does not sample', async () => {
    const { get, collector, telemetry } = await traced();
    await get('/loops/1', { headers: { traceparent: `00-${traceIdOf(1)}-00f067aa0ba902b7-00` } });
    await telemetry.shutdown();
    expect(collector.spans()).toEqual([]);
  });

  it('starts a trace of its own for a traceparent that is none', async () => {
    const { get, collector, telemetry } = await traced();
    await get('/loops/1', { headers: { traceparent: 'garbage' } });
    await telemetry.shutdown();
    expect(collector.spans()).toEqual([expect.not.objectContaining({ parentSpanId: expect.anything() })]);
  });

  it('records a server error by type and place, not by its message', async () => {
    const { get, collector, telemetry } = await traced();
    expect((await get('/fails/9')).status).toBe(500);
    await telemetry.shutdown();
    const span = collector.spans()[0]!;
    expect(span.status.code).toBe(2);
    expect(attributesOf(span)).toMatchObject({ 'error.type': '500', 'http.response.status_code': 500 });
    const exception = attributesOf(span.events[0]!);
    expect(exception['exception.type']).toBe('Error');
    expect(exception['exception.stacktrace']).toContain('fastify.test.ts');
    expect(JSON.stringify(collector.requests)).not.toContain('sbx_live');
  });

  it('is no error when nothing is found, and a probe is no span', async () => {
    const { get, collector, telemetry } = await traced();
    await get('/healthz');
    await get('/nowhere/private-name');
    await telemetry.shutdown();
    expect(collector.spans()).toMatchObject([{ name: 'GET', status: { code: 0 } }]);
    expect(JSON.stringify(collector.requests)).not.toContain('private-name');
  });

  it('belongs to its own server when two run in one process', async () => {
    const [one, two] = [await traced(), await traced()];
    await Promise.all([one.get('/loops/1'), two.get('/loops/2'), two.get('/loops/3')]);
    await Promise.all([one.telemetry.shutdown(), two.telemetry.shutdown()]);
    expect(one.collector.spans()).toHaveLength(1);
    expect(two.collector.spans()).toHaveLength(2);
  });
});

describe('without a collector', () => {
  it('nothing is traced and no context is tracked', async () => {
    const telemetry = telemetryFor({});
    const { get } = await serve(telemetry);
    expect(telemetry.tracing).toBe(false);
    expect(telemetry.tracer.startSpan('x').isRecording()).toBe(false);
    expect(JSON.parse((await get('/loops/1')).text)).toEqual({});
  });
});

describe('the metrics of a server', () => {
  it('count requests by method, template and status', async () => {
    const { get } = await serve(telemetryFor({}));
    await get('/loops/a');
    await get('/loops/b');
    await get('/fails/c');
    await get('/nowhere');
    const scrape = await get('/metrics');
    expect(scrape.type).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(series(scrape.text, 'http_server_request_duration_seconds_count')).toEqual({
      'http_request_method="GET",http_route="/loops/:id",http_response_status_code="200"': 2,
      'http_request_method="GET",http_route="/fails/:id",http_response_status_code="500",error_type="500"': 1,
      'http_request_method="GET",http_response_status_code="404"': 1,
    });
    expect(series(scrape.text, 'http_server_active_requests')).toEqual({ 'http_request_method="GET"': 1 });
    expect(scrape.text).not.toMatch(/loops\/[ab]"|nowhere/);
  });

  it('count a client that left early once, and let go of it', async () => {
    let reached: () => void = () => {};
    const arrived = new Promise<void>((resolve) => (reached = resolve));
    const { get, address } = await serve(telemetryFor({}), (app) => {
      app.get('/waits', () => {
        reached();
        return new Promise(() => {});
      });
    });
    const leaving = httpRequest(`${address}/waits`).on('error', () => {});
    leaving.end();
    await arrived;
    expect(series((await get('/metrics')).text, 'http_server_active_requests')).toEqual({
      'http_request_method="GET"': 2,
    });
    leaving.destroy();
    await vi.waitFor(async () => {
      const { text } = await get('/metrics');
      expect(series(text, 'http_server_active_requests')).toEqual({ 'http_request_method="GET"': 1 });
      expect(series(text, 'http_server_request_duration_seconds_count')).toMatchObject({
        'http_request_method="GET",http_route="/waits",error_type="aborted"': 1,
      });
    });
  });
});

function traceIdOf(n: number): string {
  return (n + 1).toString(16).padStart(32, '0');
}

/** The samples of one metric: labels to value. */
function series(text: string, name: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return Object.fromEntries(
    lines.map((line) => {
      const [, labels, value] = /^[^{ ]+(?:\{(.*)\})? (\S+)$/.exec(line)!;
      return [labels ?? '', Number(value)];
    }),
  );
}
