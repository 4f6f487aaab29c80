import { LIMITS } from './limits.ts';
import { nanosOfDays } from './nanos.ts';
import type { LogItem, SpanItem } from './otlp/items.ts';

const TRACE_ID_DIGITS = 32;
const SPAN_ID_DIGITS = 16;
const ONLY_ZEROS = /^0*$/;

/** Why a span is not taken; null for one that is. One bad span does not reject the others of its request. */
export function faultOfSpan(span: SpanItem, nowNanos: bigint): string | null {
  const { traceId, spanId, parentSpanId, startNanos, endNanos } = span;
  if (ONLY_ZEROS.test(traceId)) return 'without a trace id';
  if (traceId.length !== TRACE_ID_DIGITS) return 'with a trace id that is not 16 bytes';
  if (ONLY_ZEROS.test(spanId)) return 'without a span id';
  if (spanId.length !== SPAN_ID_DIGITS) return 'with a span id that is not 8 bytes';
  if (parentSpanId !== '' && parentSpanId.length !== SPAN_ID_DIGITS) return 'with a parent span id that is not 8 bytes';
  if (startNanos === 0n) return 'without a start time';
  return faultOfTime(startNanos, nowNanos) ?? (endNanos === 0n ? null : faultOfFuture(endNanos, nowNanos));
}

/** Why a log record is not taken. Its ids are optional, but if there they are whole. */
export function faultOfLog(record: LogItem, nowNanos: bigint): string | null {
  const { traceId, spanId, timeNanos, observedNanos } = record;
  if (traceId !== '' && traceId.length !== TRACE_ID_DIGITS) return 'with a trace id that is not 16 bytes';
  if (spanId !== '' && spanId.length !== SPAN_ID_DIGITS) return 'with a span id that is not 8 bytes';
  return (
    faultOfTime(timeOfLog(record, nowNanos), nowNanos) ??
    faultOfFuture(timeNanos, nowNanos) ??
    faultOfFuture(observedNanos, nowNanos)
  );
}

/** When it happened, else when it was seen, else now. */
export function timeOfLog({ timeNanos, observedNanos }: LogItem, nowNanos: bigint): bigint {
  if (timeNanos !== 0n) return timeNanos;
  return observedNanos === 0n ? nowNanos : observedNanos;
}

const PAST = nanosOfDays(LIMITS.pastDays);
const FUTURE = nanosOfDays(LIMITS.futureDays);

function faultOfTime(nanos: bigint, nowNanos: bigint): string | null {
  if (nanos < nowNanos - PAST) return `from over ${LIMITS.pastDays} days ago`;
  return faultOfFuture(nanos, nowNanos);
}

function faultOfFuture(nanos: bigint, nowNanos: bigint): string | null {
  const isFuture = nanos > nowNanos + FUTURE;
  return isFuture ? `with a time over ${LIMITS.futureDays} day in the future` : null;
}

/** Faults by reason, to be told in one sentence. */
export class Faults {
  readonly #counts = new Map<string, number>();
  count = 0;

  add(reason: string, count = 1): void {
    this.count += count;
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }

  /** `3 spans were not taken: 2 without a trace id, 1 from over 90 days ago.` */
  tell(what: string): string {
    const reasons = [...this.#counts].map(([reason, count]) => `${count} ${reason}`);
    return `${this.count} ${what} not taken: ${reasons.join(', ')}.`;
  }
}
