const SECONDS = { minute: 60, hour: 3600, day: 86_400 } as const;

/** A length of time in at most two units, as people say it: `45s`, `12m`, `3h 5m`, `2d 4h`. What is negative is `0s`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < SECONDS.minute) return `${seconds}s`;
  if (seconds < SECONDS.hour) return `${Math.floor(seconds / SECONDS.minute)}m`;
  if (seconds < SECONDS.day) return two(seconds, SECONDS.hour, 'h', SECONDS.minute, 'm');
  return two(seconds, SECONDS.day, 'd', SECONDS.hour, 'h');
}

function two(seconds: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % big) / small);
  const whole = `${Math.floor(seconds / big)}${bigName}`;
  return rest === 0 ? whole : `${whole} ${rest}${smallName}`;
}
