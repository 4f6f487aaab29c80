import type { IncomingMessage, ServerResponse } from 'node:http';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { DataPointType, type MetricData, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** The text format that every Prometheus understands; version 3 refuses a scrape without a known content type. */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Metrics on demand, in Prometheus' text format. The exporter of the same package would bring an HTTP server of its
 * own and answer a failed collection with 200, which a scraper takes for an empty but healthy target.
 */
export class PrometheusReader extends MetricReader {
  private readonly serializer = new PrometheusSerializer('', false, undefined, false, true);

  /** Answers a scrape: 200 with all metrics, or 500 if they could not be collected. */
  handle = (_request: IncomingMessage, response: ServerResponse): void => {
    this.text().then(
      (body) => answer(response, 200, body),
      () => answer(response, 500, '# metrics could not be collected\n'),
    );
  };

  /** One observer that throws costs its own series, not the scrape: it shows as a comment. */
  private async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.collect();
    const failed = errors.length === 0 ? '' : `# ${errors.length} observers failed\n`;
    return failed + this.serializer.serialize(withUnitSuffixes(resourceMetrics));
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

/** Suffixes of OpenTelemetry's Prometheus compatibility rules, which the serializer leaves out and every ready-made dashboard expects. */
const UNIT_SUFFIXES: Readonly<Record<string, string>> = { s: '_seconds', By: '_bytes' };

function withUnitSuffixes(metrics: ResourceMetrics): ResourceMetrics {
  const scopeMetrics = metrics.scopeMetrics.map((scope) => ({ ...scope, metrics: scope.metrics.map(named) }));
  return { ...metrics, scopeMetrics };
}

function named(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor;
  const isRatio = unit === '1' && metric.dataPointType === DataPointType.GAUGE;
  const suffix = isRatio ? '_ratio' : (UNIT_SUFFIXES[unit] ?? '');
  return { ...metric, descriptor: { ...metric.descriptor, name: name + suffix } };
}

/** The answer to a scrape while telemetry is switched off. */
export function answerNoMetrics(_request: IncomingMessage, response: ServerResponse): void {
  answer(response, 200, '# telemetry is disabled\n');
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'content-type': CONTENT_TYPE, 'cache-control': 'no-store' });
  response.end(body);
}
