import {
  type Attributes,
  type Context,
  context,
  defaultTextMapGetter,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { createScrubber } from '../redaction.ts';
import type { Telemetry } from './telemetry.ts';

export interface FastifyTelemetryOptions {
  /** Route templates without spans: probes and scrapes would bury the rest. Their metrics are kept. */
  readonly untraced?: readonly string[];
}

const UNTRACED = ['/healthz', '/readyz', '/metrics'];

/** Bucket bounds in seconds that the semantic conventions advise for HTTP. */
const DURATION_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** What is known of a response once its connection let go of it. */
interface Outcome {
  readonly status: number | undefined;
  /** `aborted`: the client left before the whole answer was sent. Else the status of a server error. */
  readonly errorType: string | undefined;
}

/**
 * A Fastify plugin that measures every request, and traces it when a collector is configured: one server span with the
 * route's template, child of the caller's `traceparent`, active in everything the request runs.
 * Register it before anything whose work should be inside the span.
 *
 * Spans and metrics never hold a path, a query, a header, a body or an address: those name orgs, people and secrets.
 * `http.server.request.duration` s by `http.request.method`, `http.route`, `http.response.status_code`, `error.type`;
 * `http.server.active_requests` {request} by `http.request.method`.
 */
export function fastifyTelemetry(
  telemetry: Telemetry,
  { untraced = UNTRACED }: FastifyTelemetryOptions = {},
): FastifyPluginAsync {
  const register: FastifyPluginAsync = async (app) => {
    measureRequests(app, telemetry);
    if (telemetry.tracing) traceRequests(app, telemetry, new Set(untraced));
  };
  return fp(register, { name: 'telemetry', fastify: '5.x' });
}

function measureRequests(app: FastifyInstance, { meter }: Telemetry): void {
  const duration = meter.createHistogram('http.server.request.duration', {
    unit: 's',
    description: 'Time from a request to the end of its response',
    advice: { explicitBucketBoundaries: DURATION_SECONDS },
  });
  // Counted here and read when metrics are collected: recording twice a request costs more than parsing one.
  const active = new Map<string, number>();
  const count = (method: string, by: 1 | -1) => active.set(method, (active.get(method) ?? 0) + by);
  meter
    .createObservableUpDownCounter('http.server.active_requests', {
      unit: '{request}',
      description: 'Requests being handled',
    })
    .addCallback((result) => {
      for (const [method, requests] of active) result.observe(requests, { 'http.request.method': method });
    });
  app.addHook('onRequest', (request, reply, done) => {
    const startedMs = performance.now();
    const { method } = request;
    count(method, 1);
    // Not onResponse, which a client that leaves early can skip: the gauge would climb for ever.
    reply.raw.once('close', () => {
      count(method, -1);
      if (isUpgraded(request)) return;
      duration.record((performance.now() - startedMs) / 1000, responseAttributes(request, outcomeOf(reply)));
    });
    done();
  });
}

function traceRequests(app: FastifyInstance, { tracer }: Telemetry, untraced: ReadonlySet<string>): void {
  const propagator = new W3CTraceContextPropagator();
  const contexts = new WeakMap<FastifyRequest, Context>();
  const errors = new WeakMap<FastifyRequest, Error>();

  app.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url;
    if (route !== undefined && untraced.has(route)) return done();
    const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter);
    const span = tracer.startSpan(
      route === undefined ? request.method : `${request.method} ${route}`,
      { kind: SpanKind.SERVER, attributes: requestAttributes(request) },
      parent,
    );
    const inside = trace.setSpan(parent, span);
    contexts.set(request, inside);
    reply.raw.once('close', () => endSpan(span, outcomeOf(reply), errors.get(request)));
    context.with(inside, done);
  });
  // Reading the body continues from the socket, outside of any context: step into the request's again.
  app.addHook('preValidation', (request, _reply, done) => {
    const inside = contexts.get(request);
    if (inside === undefined) return done();
    context.with(inside, done);
  });
  app.addHook('onError', (request, _reply, error, done) => {
    errors.set(request, error);
    done();
  });
}

function endSpan(span: Span, outcome: Outcome, error: Error | undefined): void {
  if (outcome.status !== undefined) span.setAttribute('http.response.status_code', outcome.status);
  if (outcome.errorType !== undefined) {
    span.setAttribute('error.type', outcome.errorType);
    span.setStatus({ code: SpanStatusCode.ERROR });
    if (error !== undefined) span.recordException(scrubbed(error));
  }
  span.end();
}

const scrub = createScrubber();

/** An error's type and place. Its message is left out, as it may quote whatever a client sent. */
function scrubbed(error: Error): { name: string; message: string; stack: string } {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { name: error.name, message: error.name, stack: scrub([error.name, ...frames].join('\n')) };
}

function requestAttributes(request: FastifyRequest): Attributes {
  const attributes: Attributes = {
    'http.request.method': request.method,
    'url.scheme': request.protocol,
    'network.protocol.version': request.raw.httpVersion,
  };
  const route = request.routeOptions.url;
  if (route !== undefined) attributes['http.route'] = route;
  return attributes;
}

function responseAttributes(request: FastifyRequest, { status, errorType }: Outcome): Attributes {
  const attributes: Attributes = { 'http.request.method': request.method };
  const route = request.routeOptions.url;
  if (route !== undefined) attributes['http.route'] = route;
  if (status !== undefined) attributes['http.response.status_code'] = status;
  if (errorType !== undefined) attributes['error.type'] = errorType;
  return attributes;
}

function outcomeOf(reply: FastifyReply): Outcome {
  const status = reply.raw.headersSent ? reply.raw.statusCode : undefined;
  if (!reply.raw.writableFinished) return { status, errorType: 'aborted' };
  return { status, errorType: status !== undefined && status >= 500 ? String(status) : undefined };
}

/** A WebSocket lives for hours: as a request duration it would only distort the others. */
function isUpgraded(request: FastifyRequest): boolean {
  return (request as { ws?: unknown }).ws === true;
}
