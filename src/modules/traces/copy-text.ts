import { createHash } from 'node:crypto';
import { hint } from './hot-keys.ts';
import type { Claim, Link } from './link.ts';
import { dateOfDay, dayOf } from './nanos.ts';
import type { LogItem, SpanItem } from './otlp/items.ts';

/** A span that is taken, with what it belongs to. */
export interface AcceptedSpan {
  readonly item: SpanItem;
  readonly claim: Claim;
  readonly link: Link;
}

export interface AcceptedLog {
  readonly item: LogItem;
  readonly claim: Claim;
  readonly link: Link;
  /** When it counts as having happened. */
  readonly atNanos: bigint;
  readonly digest: string;
}

export const SPAN_COLUMNS =
  'org_id, day, trace_id, span_id, parent_span_id, start_nanos, end_nanos, name, kind, status, service, loop_id, run_id, link, session_id, model, input_tokens, output_tokens, attributes, resource, details';

export const LOG_COLUMNS =
  'org_id, day, digest, time_nanos, observed_nanos, severity, severity_text, event_name, service, trace_id, span_id, loop_id, run_id, link, session_id, body, attributes, resource, details';

const NULL = '\\N';
const TEXT_CHARACTERS = 256;
const KINDS = 5;
const STATUSES = 2;
const SEVERITIES = 24;

/** A line of COPY's text format, its newline included. */
export function spanLine(orgId: string, { item, claim, link }: AcceptedSpan): string {
  const { hints, resource } = item;
  const word = (field: 'service' | 'model') => cut(hint(field, hints, resource.hints));
  return `${[
    orgId,
    dateOfDay(dayOf(item.startNanos)),
    bytea(item.traceId),
    bytea(item.spanId),
    id(item.parentSpanId),
    item.startNanos,
    item.endNanos,
    escape(item.name),
    item.kind <= KINDS ? item.kind : 0,
    item.status <= STATUSES ? item.status : 0,
    word('service'),
    ...linkColumns(claim, link),
    word('model'),
    tokens(hints.get('inputTokens')),
    tokens(hints.get('outputTokens')),
    escape(item.attributes),
    escape(resource.attributes),
    escape(item.details),
  ].join('\t')}\n`;
}

export function logLine(orgId: string, { item, claim, link, atNanos, digest }: AcceptedLog): string {
  const { hints, resource } = item;
  const eventName = item.eventName === '' ? hints.get('eventName') : item.eventName;
  return `${[
    orgId,
    dateOfDay(dayOf(atNanos)),
    bytea(digest),
    atNanos,
    item.observedNanos === 0n ? NULL : item.observedNanos,
    item.severity <= SEVERITIES ? item.severity : 0,
    cut(item.severityText),
    cut(eventName),
    cut(hint('service', hints, resource.hints)),
    id(item.traceId),
    id(item.spanId),
    ...linkColumns(claim, link),
    escape(item.body),
    escape(item.attributes),
    escape(resource.attributes),
    escape(item.details),
  ].join('\t')}\n`;
}

/**
 * What tells a log record apart, since it has no id: all that it says. Clients resend the same bytes, so that a record
 * sent twice is kept once; of records that are equal within one request, `ordinal` tells the first from the second.
 */
export function logDigest(item: LogItem, ordinal: number): string {
  const { traceId, spanId, timeNanos, observedNanos, severity, severityText, eventName } = item;
  const content = [
    traceId,
    spanId,
    timeNanos,
    observedNanos,
    severity,
    severityText,
    eventName,
    item.body,
    item.attributes,
  ];
  const whole = [...content, item.resource.attributes, item.details, ordinal].join('\0');
  return createHash('sha256').update(whole).digest('hex').slice(0, 32);
}

function linkColumns(claim: Claim, link: Link): string[] {
  return [link.loopId ?? NULL, link.runId ?? NULL, link.link ?? NULL, cut(claim.sessionId)];
}

function bytea(hex: string): string {
  return `\\\\x${hex}`;
}

/** An id that may be unset, or set to nothing but zeros, which means the same. */
function id(hex: string): string {
  return /^0*$/.test(hex) ? NULL : bytea(hex);
}

function cut(text: string | null): string {
  return text === null || text === '' ? NULL : escape(text.slice(0, TEXT_CHARACTERS).toWellFormed());
}

const TOKENS = /^(\d{1,15})(?:\.0+)?$/;

function tokens(text: string | null): string {
  return TOKENS.exec(text ?? '')?.[1] ?? NULL;
}

const SPECIAL = /[\\\t\n\r]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escape(text: string): string {
  return SPECIAL.test(text) ? text.replaceAll(/[\\\t\n\r]/g, (each) => ESCAPES[each]!) : text;
}
