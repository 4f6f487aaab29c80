const SECONDS_OF: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

const UNIT = /(\d{1,9})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![a-z])/gi;
const WRITTEN = new RegExp(`^${UNIT.source.replace('(?![a-z])', '')}(?:\\s*${UNIT.source})*$`, 'i');
const ISO = /^P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?$/;

/** `90s`, `1h30m`, `2 hours`, `PT15M`, in seconds; undefined for anything else and for nothing at all. */
export function secondsOfDuration(text: string): number | undefined {
  const trimmed = text.trim();
  const iso = ISO.exec(trimmed);
  const seconds = iso
    ? ['w', 'd', 'h', 'm', 's'].reduce((sum, unit, i) => sum + Number(iso[i + 1] ?? 0) * (SECONDS_OF[unit] ?? 0), 0)
    : secondsOfWritten(trimmed);
  return seconds !== undefined && seconds > 0 ? seconds : undefined;
}

function secondsOfWritten(text: string): number | undefined {
  if (text.length > 64 || !WRITTEN.test(text)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(UNIT)) {
    seconds += Number(count) * (SECONDS_OF[(unit ?? '').charAt(0).toLowerCase()] ?? 0);
  }
  return seconds;
}
