const NANOS_PER_DAY = 86_400_000_000_000n;
const MS_PER_DAY = 86_400_000;

export const nanosOfDays = (days: number): bigint => BigInt(days) * NANOS_PER_DAY;

export const nanosOf = (time: Date): bigint => BigInt(time.getTime()) * 1_000_000n;

/** Days since the Unix epoch, UTC. */
export const dayOf = (nanos: bigint): number => Number(nanos / NANOS_PER_DAY);

let last = { day: 0, date: '1970-01-01' };

/** `2026-11-23`. Nearly every span is of the same day as the last. */
export function dateOfDay(day: number): string {
  if (day !== last.day) last = { day, date: new Date(day * MS_PER_DAY).toISOString().slice(0, 10) };
  return last.date;
}
