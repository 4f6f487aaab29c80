import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { Clock } from '../clock.ts';

const REPORT_INTERVAL_MS = 60_000;
const METRIC_INTERVAL_MS = 60_000;
/** Spans wait here while the collector is slow or away; beyond it they are dropped, as a request never waits for telemetry. */
const SPAN_QUEUE_SIZE = 2_048;
const SPAN_BATCH_SIZE = 512;

export interface OtlpEndpoints {
  readonly traces: string | undefined;
  readonly metrics: string | undefined;
}

type Warn = (fields: { err: unknown; signal: string }, message: string) => void;

/** Where spans and metrics go, by OpenTelemetry's rules: a signal's own endpoint as it stands, else the common one with the signal's path. */
export function otlpEndpoints(env: NodeJS.ProcessEnv): OtlpEndpoints {
  const base = env['OTEL_EXPORTER_OTLP_ENDPOINT']?.trim();
  const endpoint = (signal: 'traces' | 'metrics') => {
    if (env[`OTEL_${signal.toUpperCase()}_EXPORTER`]?.trim() === 'none') return undefined;
    const own = env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`]?.trim();
    if (own) return own;
    return base ? `${base.replace(/\/+$/, '')}/v1/${signal}` : undefined;
  };
  return { traces: endpoint('traces'), metrics: endpoint('metrics') };
}

/** Sends spans in batches, off the request's path. The exporter itself reads OTEL's headers, timeout and compression. */
export function otlpSpanProcessor(url: string, report: FailureReport): BatchSpanProcessor {
  const exporter = new OTLPTraceExporter({ url });
  reportFailures(exporter, 'traces', report);
  return new BatchSpanProcessor(exporter, {
    maxQueueSize: SPAN_QUEUE_SIZE,
    maxExportBatchSize: SPAN_BATCH_SIZE,
  });
}

/** Sends metrics at an interval (`OTEL_METRIC_EXPORT_INTERVAL`, milliseconds). */
export function otlpMetricReader(
  url: string,
  env: NodeJS.ProcessEnv,
  report: FailureReport,
): PeriodicExportingMetricReader {
  const exporter = new OTLPMetricExporter({ url });
  reportFailures(exporter, 'metrics', report);
  const asked = Number(env['OTEL_METRIC_EXPORT_INTERVAL']);
  const exportIntervalMillis = Number.isFinite(asked) && asked >= 100 ? asked : METRIC_INTERVAL_MS;
  // The reader refuses to wait for an export longer than its interval.
  return new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(exportIntervalMillis, 30_000),
  });
}

export type FailureReport = (signal: string, error: unknown) => void;

/** Says that exports fail, at most once a minute for each signal: a collector that is away all night must not fill the log. */
export function rateLimitedReport(warn: Warn, clock: Clock): FailureReport {
  const last = new Map<string, number>();
  return (signal, error) => {
    const now = clock.monotonicMs();
    const before = last.get(signal);
    if (before !== undefined && now - before < REPORT_INTERVAL_MS) return;
    last.set(signal, now);
    warn({ err: error, signal }, 'telemetry could not be exported; requests are not affected');
  };
}

interface Exporter<Items> {
  export(items: Items, done: (result: ExportResult) => void): void;
}

/** The SDK tells export failures only to a process-wide handler, which two servers in one process would share. */
function reportFailures<Items>(exporter: Exporter<Items>, signal: string, report: FailureReport): void {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) => {
    send(items, (result) => {
      if (result.code === ExportResultCode.FAILED) report(signal, result.error);
      done(result);
    });
  };
}
