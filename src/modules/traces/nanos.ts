const NANOS_PER_DAY = 86_400_000_000_000n;
const MS_PER_DAY = 86_400_000;

export const nanosOfDays = (days: number): bigint => BigInt(days) * NANOS_PER_DAY;

export const nanosOf = (time: Date): bigint => BigInt(time.getTime()) * 1_000_000n;

/** Days since the Unix epoch, UTC. */
export const dayOf = (nanos: bigint): number => Number(nanos / NANOS_PER_DAY);

/** `2026-11-23` */
export const dateOfDay = (day: number): string => new Date(day * MS_PER_DAY).toISOString().slice(0, 10);
