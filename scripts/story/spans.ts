import { ROOT_CONTEXT, type Span, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { StoryFailure } from './check.ts';

/** Runs a piece of work inside a span that is the child of the one around it. */
export type Traced = <T>(name: string, work: () => Promise<T>) => Promise<T>;

/** The trace that a run's `traceparent` names. */
export function traceIdOf(traceparent: string): string {
  return traceparent.split('-')[1] ?? '';
}

/** Work of a run, told by OpenTelemetry's own SDK and exporter as an agent's harness would: sent once it is over. */
export async function withSpans<T>(
  run: { url: string; secret: string; loopId: string; runId: string; traceparent: string },
  name: string,
  work: (traced: Traced) => Promise<T>,
): Promise<T> {
  const exporter = new OTLPTraceExporter({
    url: `${run.url}/v1/traces`,
    headers: { authorization: `Bearer ${run.secret}` },
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'agent', 'loop.id': run.loopId, 'run.id': run.runId }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer('story');
  const [, traceId = '', spanId = ''] = run.traceparent.split('-');
  const parent = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1, isRemote: true });
  const inSpan = async <R>(span: Span, part: () => Promise<R>): Promise<R> => {
    try {
      return await part();
    } finally {
      span.end();
    }
  };
  try {
    const whole = tracer.startSpan(name, {}, parent);
    const traced: Traced = (part, step) => inSpan(tracer.startSpan(part, {}, trace.setSpan(parent, whole)), step);
    return await inSpan(whole, () => work(traced));
  } finally {
    await provider.shutdown().catch((error: unknown) => {
      throw new StoryFailure(`the exporter could not deliver the spans: ${(error as Error).message}`, { cause: error });
    });
  }
}
