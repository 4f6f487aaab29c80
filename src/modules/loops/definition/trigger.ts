import { Cron } from 'croner';
import { secondsOfDuration } from './duration.ts';
import { checked, type Fields, isRecord, readObject, spelled } from './fields.ts';
import type { Report, SourcePath } from './report.ts';
import { looksLikeRrule, refuseRrule } from './rrule.ts';
import { type Trigger, triggerSchema } from './schema.ts';

type Kind = Trigger['kind'];
type Written = Pick<Trigger, 'kind' | 'expression'>;

const KIND_OF_CALL: Readonly<Record<string, Kind>> = {
  cron: 'cron',
  schedule: 'cron',
  on: 'event',
  event: 'event',
  every: 'interval',
  interval: 'interval',
  rrule: 'rrule',
  manual: 'manual',
};

/**
 * Reads what starts a loop: `cron("0 9 * * MON-FRI")`, `manual`, `on(push)`, `every 15m`, a bare cron expression, an
 * RRULE as in Codex automations, or an object such as `{cron, timeZone}` or `{kind, expression}`. What nobody here
 * knows is kept as `unknown` with a warning; what is meant as a schedule and is none is an error.
 */
export function readTrigger(value: unknown, at: SourcePath, report: Report): Trigger | undefined {
  const trigger = typeof value === 'string' ? readWritten(value) : readTriggerObject(value, at, report);
  if (!trigger) return undefined;
  const reason = refuseExpression(trigger);
  if (reason !== null) {
    report.error(at, reason);
    return undefined;
  }
  if (trigger.kind === 'unknown')
    report.warn('unknown_trigger', at, 'is not a trigger that Signalbox knows; it is kept');
  if (trigger.kind === 'cron' && neverFires(trigger)) report.warn('trigger_never_fires', at, 'matches no date at all');
  return trigger;
}

function readWritten(text: string): Written {
  const trimmed = text.trim();
  const call = /^([a-z_]+)\s*(?:\(([^]*)\))?$/i.exec(trimmed);
  const kind = kindOfCall(call?.[1]);
  if (call && kind && (kind === 'manual' || call[2] !== undefined)) {
    return { kind, expression: kind === 'manual' ? '' : unquote(call[2] ?? '') };
  }
  if (looksLikeRrule(trimmed)) return { kind: 'rrule', expression: trimmed };
  if (/^@\w+$/.test(trimmed) || /^[\d*]\S*(?:\s+\S+){4,6}$/.test(trimmed)) return { kind: 'cron', expression: trimmed };
  const interval = /^(?:every\s+)?(.+)$/i.exec(trimmed)?.[1] ?? '';
  if (secondsOfDuration(interval) !== undefined) return { kind: 'interval', expression: interval };
  return { kind: 'unknown', expression: trimmed };
}

function kindOfCall(name: string | undefined): Kind | undefined {
  const key = (name ?? '').toLowerCase();
  return Object.hasOwn(KIND_OF_CALL, key) ? KIND_OF_CALL[key] : undefined;
}

function unquote(text: string): string {
  const trimmed = text.trim();
  return /^(["'])([^]*)\1$/.exec(trimmed)?.[2]?.trim() ?? trimmed;
}

const FIELDS: Fields = {
  ...spelled(['kind', 'type'], 'kind', (value) => value),
  ...spelled(['expression'], 'expression', checked(triggerSchema.shape.expression)),
  ...spelled(['timeZone', 'time_zone', 'timezone', 'tz'], 'timeZone', (value, at, report) => {
    if (typeof value === 'string' && isTimeZone(value)) return value;
    return report.error(at, 'must be a time zone such as Europe/Berlin');
  }),
};

function readTriggerObject(value: unknown, at: SourcePath, report: Report): Trigger | undefined {
  if (!isRecord(value)) {
    report.error(at, 'must be one trigger: a string such as cron("0 9 * * MON-FRI"), or a mapping');
    return undefined;
  }
  const written = Object.keys(value).filter((key) => kindOfCall(key) !== undefined && value[key] !== null);
  const [key] = written;
  if (key === undefined || written.length > 1 || Object.hasOwn(value, 'expression')) {
    if (written.length <= 1) return withKind(readObject(value, at, FIELDS, report), at, report);
    report.error(at, `must be one trigger, not ${written.join(' and ')}`);
    return undefined;
  }
  const { [key]: inner, ...others } = value;
  const kind = kindOfCall(key) ?? 'unknown';
  if (kind !== 'manual' && typeof inner !== 'string') {
    report.error([...at, key], 'must be a string');
    return undefined;
  }
  const { kind: _, ...rest } = readObject(others, at, FIELDS, report);
  return { ...rest, kind, expression: typeof inner === 'string' && kind !== 'manual' ? inner.trim() : '' };
}

function withKind(fields: Record<string, unknown>, at: SourcePath, report: Report): Trigger | undefined {
  const expression = typeof fields['expression'] === 'string' ? fields['expression'].trim() : '';
  const named = typeof fields['kind'] === 'string' ? fields['kind'].toLowerCase() : undefined;
  if (named === undefined && expression !== '') return { ...fields, ...readWritten(expression) };
  if (named === 'unknown') return { ...fields, kind: 'unknown', expression };
  const kind = kindOfCall(named);
  if (kind !== undefined) return { ...fields, kind, expression };
  if (fields['kind'] !== undefined && named === undefined) report.error([...at, 'kind'], 'must be a string');
  return { ...fields, kind: 'unknown', expression: expression || (named ?? '') };
}

function refuseExpression({ kind, expression }: Written): string | null {
  if (expression.length > 2000) return 'is longer than 2000 characters';
  switch (kind) {
    case 'cron':
      return refuseCron(expression);
    case 'rrule':
      return prefixed('is an invalid recurrence rule: it ', refuseRrule(expression));
    case 'interval':
      return secondsOfDuration(expression) === undefined ? 'needs an interval such as 15m, 2h or PT1H' : null;
    case 'event':
      return expression === '' ? 'needs the name of an event' : null;
    default:
      return null;
  }
}

function prefixed(prefix: string, reason: string | null): string | null {
  return reason === null ? null : prefix + reason;
}

function refuseCron(expression: string): string | null {
  // The parser also takes a single date, which starts nothing twice.
  if (!/^(?:@\w+|\S+(?:\s+\S+){4,6})$/.test(expression)) return 'is an invalid cron expression: it needs five fields';
  try {
    cronOf({ kind: 'cron', expression });
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `is an invalid cron expression: ${reason.replace(/^CronPattern: /, '')}`;
  }
}

/** Counted from a fixed day, so that the same definition always reads the same. */
function neverFires(trigger: Trigger): boolean {
  return cronOf(trigger).nextRun(new Date('2000-01-01T00:00:00Z')) === null;
}

function cronOf({ expression, timeZone }: Trigger): Cron {
  return new Cron(expression, { paused: true, timezone: timeZone ?? 'UTC' });
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
