const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const MINUTES_PER_DAY = 1_440;
const MS_PER_MINUTE = 60_000;

/** Weekday (0 is Monday) and minute of the day on a zone's wall clock. */
interface WallClock {
  readonly day: number;
  readonly minute: number;
}

/** Reads the wall clock of one IANA zone. */
class Zone {
  private readonly format: Intl.DateTimeFormat;
  private lastMinute = Number.NaN;
  private last: WallClock = { day: 0, minute: 0 };

  constructor(timeZone: string) {
    this.format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
    });
  }

  /** `atMs` is since the epoch. One reading is kept: all rules of a request, and of its batch, ask for the same minute. */
  read(atMs: number): WallClock {
    const minute = Math.floor(atMs / MS_PER_MINUTE);
    if (minute !== this.lastMinute) {
      const parts = this.format.formatToParts(atMs);
      const part = (type: string): string => parts.find((candidate) => candidate.type === type)?.value ?? '';
      const day = DAYS.indexOf(part('weekday').toLowerCase() as (typeof DAYS)[number]);
      this.last = { day, minute: Number(part('hour')) * 60 + Number(part('minute')) };
      this.lastMinute = minute;
    }
    return this.last;
  }
}

const zones = new Map<string, Zone>();

function zoneOf(timeZone: string): Zone | null {
  const key = timeZone.toLowerCase();
  const known = zones.get(key);
  if (known) return known;
  // Newer engines take `+02:00` as a zone: it knows no summer time, and this one may not take it at all.
  if (!/^[A-Za-z]/.test(timeZone)) return null;
  try {
    const zone = new Zone(timeZone);
    zones.set(key, zone);
    return zone;
  } catch {
    return null;
  }
}

/** Weekdays of `mon-fri`, `mon,wed`, `fri-mon` or a list of these; null if it is none of them. */
function parseDays(value: unknown): ReadonlySet<number> | null {
  const items = Array.isArray(value) ? (value as unknown[]) : [value];
  const days = new Set<number>();
  for (const item of items) {
    if (typeof item !== 'string') return null;
    for (const part of item.toLowerCase().split(',')) {
      const ends = part.split('-').map((day) => DAYS.indexOf(day.trim() as (typeof DAYS)[number]));
      const [from, to = from] = ends;
      if (ends.length > 2 || from === undefined || to === undefined || from < 0 || to < 0) return null;
      for (let day = from; ; day = (day + 1) % 7) {
        days.add(day);
        if (day === to) break;
      }
    }
  }
  return days.size > 0 ? days : null;
}

/** Minutes of the day of `HH:MM-HH:MM`; null if it is not that, or empty. `24:00` only ends. */
function parseHours(value: unknown): { from: number; to: number } | null {
  const match = typeof value === 'string' ? /^(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)$/.exec(value.trim()) : null;
  if (!match) return null;
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = match.slice(1).map(Number);
  const from = fromHour * 60 + fromMinute;
  const to = toHour * 60 + toMinute;
  const valid = fromHour < 24 && fromMinute < 60 && toMinute < 60 && to <= MINUTES_PER_DAY && from !== to;
  return valid ? { from, to } : null;
}

export type WindowResult =
  | { readonly ok: true; readonly contains: (atMs: number) => boolean }
  | { readonly ok: false; readonly problems: { readonly key: string | null; readonly reason: string }[] };

const KEYS = ['days', 'hours', 'timeZone'];

/**
 * A weekly window on the wall clock of a zone: `{days?, hours?, timeZone}` with `days` or `hours` or both.
 * The start counts, the end does not. Hours over midnight belong to the day on which they start: `fri 22:00-06:00`
 * ends on Saturday at six. Where a clock change repeats an hour both count, where it skips one none does.
 */
export function parseWindow(value: unknown): WindowResult {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { ok: false, problems: [{ key: null, reason: 'takes a time window {days, hours, timeZone}' }] };
  }
  const window = value as Record<string, unknown>;
  const problems: { key: string | null; reason: string }[] = Object.keys(window)
    .filter((key) => !KEYS.includes(key))
    .map((key) => ({ key, reason: `"${key}" is not a part of a time window: ${KEYS.join(', ')}` }));
  const has = (key: string): boolean => Object.hasOwn(window, key);
  const zone = typeof window['timeZone'] === 'string' ? zoneOf(window['timeZone']) : null;
  if (!has('timeZone')) problems.push({ key: null, reason: 'a time window needs its timeZone' });
  else if (!zone) problems.push({ key: 'timeZone', reason: 'is not an IANA time zone, e.g. Europe/Berlin or UTC' });
  if (!has('days') && !has('hours')) problems.push({ key: null, reason: 'a time window needs days or hours' });
  const days = has('days') ? parseDays(window['days']) : parseDays('mon-sun');
  if (!days) problems.push({ key: 'days', reason: 'takes weekdays: mon-fri, or mon,wed, or a list' });
  const hours = has('hours') ? parseHours(window['hours']) : { from: 0, to: MINUTES_PER_DAY };
  if (!hours)
    problems.push({ key: 'hours', reason: 'takes HH:MM-HH:MM with two different times, 24:00 only as the end' });
  if (problems.length > 0 || !zone || !days || !hours) return { ok: false, problems };
  return { ok: true, contains: (atMs) => inWindow(zone.read(atMs), days, hours) };
}

function inWindow(clock: WallClock, days: ReadonlySet<number>, hours: { from: number; to: number }): boolean {
  const { day, minute } = clock;
  if (hours.from < hours.to) return days.has(day) && minute >= hours.from && minute < hours.to;
  return minute >= hours.from ? days.has(day) : minute < hours.to && days.has((day + 6) % 7);
}
