import type { IncomingMessage, ServerResponse } from 'node:http';
import { context, createNoopMeter, type Meter, ProxyTracer, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { type Clock, systemClock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import { otlpEndpoints, otlpMetricReader, otlpSpanProcessor, rateLimitedReport } from './otlp.ts';
import { answerNoMetrics, PrometheusReader } from './prometheus.ts';
import { observeRuntime } from './runtime.ts';

export interface TelemetrySettings {
  readonly serviceName: string;
  readonly serviceVersion: string;
  /** Tells this server from the others of the same service. */
  readonly instanceId: string;
  /** `OTEL_*`. Read here for what is on and where it goes; the exporters read headers, timeouts and compression from `process.env`. */
  readonly env: NodeJS.ProcessEnv;
  /** Hears of failed exports, at most once a minute. */
  readonly log?: Pick<Logger, 'warn'>;
  readonly clock?: Clock;
}

/** One server's telemetry. Nothing in it is shared with another server in the same process. */
export interface Telemetry {
  /** False when no collector is configured: `tracer` then makes spans that record nothing. */
  readonly tracing: boolean;
  readonly tracer: Tracer;
  readonly meter: Meter;
  /** Answers a Prometheus scrape with this server's metrics. */
  readonly prometheus: (request: IncomingMessage, response: ServerResponse) => void;
  /** Sends what is left, for at most three seconds, and stops. Never rejects; a second call returns the first's promise. */
  readonly shutdown: () => Promise<void>;
}

const SCOPE = 'signalbox';
/** A collector that is away must not hold up a server that is asked to stop. */
const SHUTDOWN_MS = 3_000;

/**
 * Starts metrics, always for Prometheus and also over OTLP when an endpoint is set; and traces, only when one is.
 * `OTEL_SDK_DISABLED=true` switches all of it off.
 */
export function startTelemetry(settings: TelemetrySettings): Telemetry {
  if (settings.env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true') return disabledTelemetry();
  const { env, serviceVersion, clock = systemClock } = settings;
  const endpoints = otlpEndpoints(env);
  const report = rateLimitedReport((fields, message) => settings.log?.warn(fields, message), clock);
  const resource = describeServer(settings);

  const prometheus = new PrometheusReader();
  const readers =
    endpoints.metrics === undefined ? [prometheus] : [prometheus, otlpMetricReader(endpoints.metrics, env, report)];
  const meters = new MeterProvider({ resource, readers });
  const meter = meters.getMeter(SCOPE, serviceVersion);
  const stopRuntime = observeRuntime(meter);

  const tracers =
    endpoints.traces === undefined
      ? undefined
      : new NodeTracerProvider({ resource, spanProcessors: [otlpSpanProcessor(endpoints.traces, report)] });
  if (tracers !== undefined) installContextManager();

  const stop = async () => {
    await within(SHUTDOWN_MS, Promise.allSettled([meters.shutdown(), tracers?.shutdown()]));
    stopRuntime();
  };
  let stopped: Promise<void> | undefined;
  return {
    tracing: tracers !== undefined,
    tracer: tracers?.getTracer(SCOPE, serviceVersion) ?? createNoopTracer(),
    meter,
    prometheus: prometheus.handle,
    shutdown: () => (stopped ??= stop()),
  };
}

/** Telemetry that does nothing, for `OTEL_SDK_DISABLED` and for code that needs one without a server. */
export function disabledTelemetry(): Telemetry {
  return {
    tracing: false,
    tracer: createNoopTracer(),
    meter: createNoopMeter(),
    prometheus: answerNoMetrics,
    shutdown: async () => {},
  };
}

/** The API exports no no-op tracer; a proxy that is never given a delegate falls back to it. */
function createNoopTracer(): Tracer {
  return new ProxyTracer({ getDelegateTracer: () => undefined }, SCOPE);
}

function describeServer({ serviceName, serviceVersion, instanceId }: TelemetrySettings): Resource {
  const own = resourceFromAttributes({
    'service.name': serviceName,
    'service.version': serviceVersion,
    'service.instance.id': instanceId,
  });
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are the operator's and win.
  return defaultResource()
    .merge(own)
    .merge(detectResources({ detectors: [envDetector] }));
}

/**
 * The one thing that is shared in a process: which span is active in an asynchronous call chain. It holds no state of
 * any server, and is installed only when spans are recorded, as tracking costs every promise a little.
 */
function installContextManager(): void {
  const manager = new AsyncLocalStorageContextManager().enable();
  if (!context.setGlobalContextManager(manager)) manager.disable();
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, deadline]);
  clearTimeout(timer);
}
