const DAY = '(?:MO|TU|WE|TH|FR|SA|SU)';
const DATE = /^\d{8}(?:T\d{6}Z?)?$/;

/** RFC 5545 section 3.3.10: what each part of a recurrence rule may hold, as a list of numbers or a pattern. */
const PARTS: Readonly<Record<string, { list: boolean; min: number; max: number; signed?: boolean } | RegExp>> = {
  FREQ: /^(?:SECONDLY|MINUTELY|HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY)$/,
  UNTIL: DATE,
  COUNT: { list: false, min: 1, max: 1_000_000 },
  INTERVAL: { list: false, min: 1, max: 1_000_000 },
  BYSECOND: { list: true, min: 0, max: 60 },
  BYMINUTE: { list: true, min: 0, max: 59 },
  BYHOUR: { list: true, min: 0, max: 23 },
  BYDAY: new RegExp(`^(?:[+-]?\\d{1,2})?${DAY}(?:,(?:[+-]?\\d{1,2})?${DAY})*$`),
  BYMONTHDAY: { list: true, min: 1, max: 31, signed: true },
  BYYEARDAY: { list: true, min: 1, max: 366, signed: true },
  BYWEEKNO: { list: true, min: 1, max: 53, signed: true },
  BYMONTH: { list: true, min: 1, max: 12 },
  BYSETPOS: { list: true, min: 1, max: 366, signed: true },
  WKST: new RegExp(`^${DAY}$`),
};

/** Whether a text is meant as a recurrence rule: `RRULE:…`, `FREQ=…`, or a rule after its `DTSTART`. */
export function looksLikeRrule(text: string): boolean {
  return /^(?:RRULE:|DTSTART[:;]|FREQ=)/i.test(text);
}

/** Says what is wrong with a recurrence rule, with or without its `RRULE:` and a `DTSTART` line; null if nothing is. */
export function refuseRrule(text: string): string | null {
  const lines = text.trim().split(/\s*\n\s*/);
  const rules = lines.filter((line) => !/^(?:DTSTART|RDATE|EXDATE)[:;]/i.test(line));
  const rule = rules[0];
  if (rule === undefined || rules.length > 1) return 'must hold exactly one recurrence rule';
  const seen = new Set<string>();
  for (const part of rule
    .replace(/^RRULE:/i, '')
    .replace(/;$/, '')
    .split(';')) {
    const [key = '', value = '', ...rest] = part.toUpperCase().split('=');
    const allowed = Object.hasOwn(PARTS, key) ? PARTS[key] : undefined;
    if (!allowed) return `has no part named ${key || 'nothing'}`;
    if (seen.has(key)) return `has ${key} twice`;
    if (rest.length > 0 || !isAllowed(value, allowed)) return `has an invalid ${key}: ${value || 'nothing'}`;
    seen.add(key);
  }
  if (!seen.has('FREQ')) return 'needs a FREQ';
  return seen.has('COUNT') && seen.has('UNTIL') ? 'has both COUNT and UNTIL' : null;
}

function isAllowed(value: string, allowed: NonNullable<(typeof PARTS)[string]>): boolean {
  if (allowed instanceof RegExp) return allowed.test(value);
  const numbers = allowed.list ? value.split(',') : [value];
  return numbers.every((text) => {
    if (!(allowed.signed ? /^[+-]?\d{1,7}$/ : /^\d{1,7}$/).test(text)) return false;
    const size = Math.abs(Number(text));
    return size >= allowed.min && size <= allowed.max;
  });
}
