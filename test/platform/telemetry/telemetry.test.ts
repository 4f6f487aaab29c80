import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../../src/platform/logger.ts';
import { createInstruments, type Telemetry } from '../../../src/platform/telemetry/index.ts';
import { otlpEndpoints } from '../../../src/platform/telemetry/otlp.ts';
import { ManualClock } from '../../support/clock.ts';
import { startCollector, telemetryFor } from './support.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** What a scraper gets, over HTTP. */
async function scrape(telemetry: Telemetry): Promise<string> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    telemetry.prometheus(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`);
  const text = await response.text();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  expect(response.status).toBe(200);
  return text;
}

function started(env: NodeJS.ProcessEnv, more: Parameters<typeof telemetryFor>[1] = {}): Telemetry {
  const telemetry = telemetryFor(env, more);
  cleanups.push(() => telemetry.shutdown());
  return telemetry;
}

describe('otlpEndpoints', () => {
  it.each<[NodeJS.ProcessEnv, ReturnType<typeof otlpEndpoints>]>([
    [{}, { traces: undefined, metrics: undefined }],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }, { traces: undefined, metrics: undefined }],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c/' }, { traces: 'http://c/v1/traces', metrics: 'http://c/v1/metrics' }],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x' }, { traces: 'http://t/x', metrics: undefined }],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://m' },
      { traces: 'http://c/v1/traces', metrics: 'http://m' },
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_TRACES_EXPORTER: 'none' },
      { traces: undefined, metrics: 'http://c/v1/metrics' },
    ],
  ])('%j', (env, endpoints) => {
    expect(otlpEndpoints(env)).toEqual(endpoints);
  });
});

describe('metrics', () => {
  it('tell a scraper about the process and the service', async () => {
    const text = await scrape(started({}));
    for (const name of [
      'process_memory_usage_bytes',
      'v8js_memory_heap_used_bytes',
      'process_cpu_time_seconds_total{cpu_mode="user"}',
      'nodejs_eventloop_utilization_ratio',
      'process_uptime_seconds',
    ]) {
      expect(text.replaceAll(/^#.*$/gm, '')).toContain(name);
    }
    expect(text).toContain('service_name="signalbox"');
    expect(text).toContain('service_instance_id="i-1"');
  });

  it('see an event loop that was blocked', async () => {
    const telemetry = started({});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const until = performance.now() + 300;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const max = /^nodejs_eventloop_delay_max_seconds (\S+)$/m.exec(await scrape(telemetry))?.[1];
    expect(Number(max)).toBeGreaterThan(0.2);
    expect(Number(max)).toBeLessThan(5);
  });

  it('count what the instruments are told, and watch pools until told to stop', async () => {
    const telemetry = started({});
    const instruments = createInstruments(telemetry.meter);
    instruments.batchCommitted(3, 0.004);
    instruments.transactionRetried('head_moved');
    instruments.decided('deny');
    instruments.leaseGranted('exclusive');
    instruments.leaseConflicted('shared');
    instruments.waitsBegun(3);
    instruments.waitEnded('granted', 7);
    let reads = 0;
    const stop = instruments.observePool('hot', () => {
      reads += 1;
      return { idle: 2, used: 1, pending: 7, max: 8 };
    });
    const text = await scrape(telemetry);
    for (const sample of [
      'signalbox_batch_size_bucket{le="2"} 0',
      'signalbox_batch_size_bucket{le="4"} 1',
      'signalbox_batch_duration_seconds_sum 0.004',
      'signalbox_transaction_retries_total{signalbox_retry_reason="head_moved"} 1',
      'signalbox_decisions_total{signalbox_decision_outcome="deny"} 1',
      'signalbox_lease_grants_total{signalbox_lease_mode="exclusive"} 1',
      'signalbox_lease_conflicts_total{signalbox_lease_mode="shared"} 1',
      'signalbox_lease_waits_total 3',
      'signalbox_lease_wait_duration_seconds_bucket{signalbox_lease_wait_outcome="granted",le="5"} 0',
      'signalbox_lease_wait_duration_seconds_bucket{signalbox_lease_wait_outcome="granted",le="15"} 1',
      'db_client_connection_count{db_client_connection_pool_name="hot",db_client_connection_state="idle"} 2',
      'db_client_connection_count{db_client_connection_pool_name="hot",db_client_connection_state="used"} 1',
      'db_client_connection_max{db_client_connection_pool_name="hot"} 8',
      'db_client_connection_pending_requests{db_client_connection_pool_name="hot"} 7',
    ]) {
      expect(text).toContain(`${sample}\n`);
    }
    stop();
    const readsBefore = reads;
    await scrape(telemetry);
    expect(reads).toBe(readsBefore);
  });

  it('survive an observer that throws', async () => {
    const telemetry = started({});
    createInstruments(telemetry.meter).observePool('broken', () => {
      throw new Error('pool is gone');
    });
    const text = await scrape(telemetry);
    expect(text).toContain('# 1 observers failed');
    expect(text).toContain('process_uptime_seconds');
  });

  it('are one server’s own', async () => {
    const [one, two] = [started({}), started({})];
    createInstruments(one.meter).decided('allow');
    expect(await scrape(one)).toContain('signalbox_decisions_total');
    expect(await scrape(two)).not.toContain('signalbox_decisions_total');
  });

  it('also go to a collector', async () => {
    const collector = await startCollector();
    cleanups.push(() => collector.close());
    const telemetry = started({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${collector.endpoint}/own/path` });
    expect(telemetry.tracing).toBe(false);
    createInstruments(telemetry.meter).decided('allow');
    await telemetry.shutdown();
    expect(collector.requests.map(({ path }) => path)).toEqual(['/own/path']);
    expect(collector.requests[0]!.body).toContain('signalbox.decisions');
  });
});

describe('a collector that is away', () => {
  it('is logged once a minute for each signal, delays no span and does not hold up the stop', async () => {
    const clock = new ManualClock();
    const warn = vi.fn<(fields: { signal: string }, message: string) => void>();
    const signals = () => warn.mock.calls.map(([{ signal }]) => signal).toSorted();
    // Short enough for the exporter to give up at the first refusal rather than back off for ten seconds.
    vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '300');
    cleanups.push(async () => void vi.unstubAllEnvs());
    const telemetry = started(
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_METRIC_EXPORT_INTERVAL: '100' },
      { clock, log: { warn } as unknown as Pick<Logger, 'warn'> },
    );
    const begun = performance.now();
    for (let n = 0; n < 10_000; n += 1) telemetry.tracer.startSpan('x').end();
    expect(performance.now() - begun).toBeLessThan(2_000);
    await vi.waitFor(() => expect(signals()).toEqual(['metrics', 'traces']), 5_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(signals()).toEqual(['metrics', 'traces']);
    expect(warn).toHaveBeenCalledWith(
      { err: expect.any(Error), signal: 'traces' },
      'telemetry could not be exported; requests are not affected',
    );
    await clock.advance(60_000);
    await vi.waitFor(() => expect(signals().slice(0, 2)).toEqual(['metrics', 'metrics']), 5_000);
    const stopping = performance.now();
    await telemetry.shutdown();
    expect(performance.now() - stopping).toBeLessThan(4_000);
  });
});

describe('OTEL_SDK_DISABLED', () => {
  it('switches everything off, and /metrics still answers', async () => {
    const telemetry = started({ OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
    expect(telemetry.tracing).toBe(false);
    createInstruments(telemetry.meter).decided('allow');
    expect(await scrape(telemetry)).toBe('# telemetry is disabled\n');
  });
});
