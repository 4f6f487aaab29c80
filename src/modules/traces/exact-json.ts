import { quoteIntegers } from './otlp/json-text.ts';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const INTEGER = /^-?\d+$/;

/**
 * JSON as PostgreSQL prints jsonb, with every integer as the string of its digits: an int64 does not fit a JS number. What
 * is an integer to PostgreSQL but beyond int64 was a large double, and becomes one again.
 */
export function parseStored(text: string): unknown {
  const marked = quoteIntegers(text, 0);
  return marked === text ? JSON.parse(text) : restore(JSON.parse(text), JSON.parse(marked));
}

/** Walks both readings of one document: where they differ in type there stood an integer. */
function restore(plain: unknown, marked: unknown): unknown {
  if (typeof plain === 'number') return typeof marked === 'string' ? integer(plain, marked) : plain;
  if (Array.isArray(plain)) return plain.map((each, at) => restore(each, (marked as unknown[])[at]));
  if (typeof plain !== 'object' || plain === null) return plain;
  const fields = marked as Record<string, unknown>;
  return Object.fromEntries(Object.entries(plain).map(([key, each]) => [key, restore(each, fields[key])]));
}

function integer(plain: number, digits: string): string | number {
  if (digits.length < 19 || !INTEGER.test(digits)) return digits;
  const exact = BigInt(digits);
  return exact >= INT64_MIN && exact <= INT64_MAX ? digits : plain;
}
