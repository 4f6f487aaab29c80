import type { FastifyRequest } from 'fastify';
import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import type { LogLevel } from './config.ts';
import { createScrubber, redactQuery } from './redaction.ts';

export type { Logger } from 'pino';

export interface LoggerSettings {
  readonly level: LogLevel;
  /** Exact texts to blank wherever they appear: `secretsOf(config)`. */
  readonly secrets?: readonly string[];
}

/**
 * Options for Fastify's `logger`, or for pino itself: one JSON object a line with an RFC 3339 `time`, a `level` by name
 * and no secret in any field or message.
 */
export function loggerOptions({ level, secrets = [] }: LoggerSettings): LoggerOptions {
  return {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { req: serializeRequest, err: serializeError, error: serializeError },
    hooks: { streamWrite: createScrubber(secrets) },
  };
}

/** A logger of its own, for what runs outside a Fastify server; to standard output unless told otherwise. */
export function createLogger(settings: LoggerSettings, destination?: DestinationStream): Logger {
  const options = loggerOptions(settings);
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** What the log says of a request: no header, no body, no query value that could be a secret. */
function serializeRequest(request: Pick<FastifyRequest, 'method' | 'url' | 'ip'>) {
  return { method: request.method, url: redactQuery(request.url), remoteAddress: request.ip };
}

/** Fields of PostgreSQL's and our own errors that help and hold no row. `detail` quotes whole rows, and `where` statements: both stay out. */
const ERROR_FIELDS = ['code', 'statusCode', 'severity', 'schema', 'table', 'column', 'constraint', 'routine', 'hint'];
const DEEPEST_CAUSE = 4;

/**
 * An error for the log by a list of allowed fields: drivers hang clients, statements and parameters onto theirs.
 * Anything thrown that is no error is logged by its type alone.
 */
function serializeError(thrown: unknown, depth = 0): Record<string, unknown> {
  if (!(thrown instanceof Error)) return describeThrown(thrown);
  const fields = thrown as Error & Record<string, unknown>;
  const entry: Record<string, unknown> = { type: thrown.name, message: thrown.message, stack: thrown.stack };
  for (const name of ERROR_FIELDS) {
    const value = fields[name];
    if (typeof value === 'string' || typeof value === 'number') entry[name] = value;
  }
  // PostgreSQL's detail of a deadlock names processes and locks, not rows.
  if (fields['code'] === '40P01') entry['detail'] = fields['detail'];
  if (depth >= DEEPEST_CAUSE) return entry;
  if (thrown.cause !== undefined) entry['cause'] = serializeError(thrown.cause, depth + 1);
  if (thrown instanceof AggregateError) {
    entry['errors'] = thrown.errors.slice(0, 5).map((inner) => serializeError(inner, depth + 1));
  }
  return entry;
}

function describeThrown(thrown: unknown): Record<string, unknown> {
  return { type: typeof thrown, message: typeof thrown === 'string' ? thrown : 'not an Error' };
}
