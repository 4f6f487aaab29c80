/** What an amount in a definition may be, in USD: the doubles below it hold six decimals exactly. */
export const MAX_USD = 1_000_000_000;

const PLAIN = /^(\d{1,15})(?:\.(\d+))?$/;

/**
 * A written amount of USD in micro-dollars, exactly. Undefined when it is negative, no plain decimal, or finer than a
 * micro-dollar: a limit is never rounded.
 */
export function microsOfAmount(usd: number | string): bigint | undefined {
  const match = PLAIN.exec(String(usd));
  const decimals = match?.[2] ?? '';
  if (!match || decimals.length > 6) return undefined;
  return BigInt((match[1] ?? '0') + decimals.padEnd(6, '0'));
}

/**
 * A measured or summed cost in micro-dollars, rounded to the nearest one: sums of doubles arrive as
 * 0.30000000000000004. Numbers, or decimals as PostgreSQL prints them.
 * @throws RangeError for what is no cost at all; the caller has validated it by then.
 */
export function microsOfCost(usd: number | string): bigint {
  const text = typeof usd === 'number' ? usd.toFixed(9) : usd;
  const match = PLAIN.exec(text);
  if (!match) throw new RangeError('a cost in USD must be a finite, non-negative decimal');
  const decimals = (match[2] ?? '').padEnd(7, '0');
  const micros = BigInt((match[1] ?? '0') + decimals.slice(0, 6));
  return Number(decimals[6]) >= 5 ? micros + 1n : micros;
}

/** `5`, `0.25`: micro-dollars as a person reads them, without trailing zeros. */
export function formatMicros(micros: bigint): string {
  const whole = micros / 1_000_000n;
  const decimals = String(micros % 1_000_000n)
    .padStart(6, '0')
    .replace(/0+$/, '');
  return decimals === '' ? String(whole) : `${whole}.${decimals}`;
}
