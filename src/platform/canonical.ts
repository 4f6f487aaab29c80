import { createHash } from 'node:crypto';

/** Any value that survives JSON unchanged. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * JSON with the keys of every object sorted by UTF-16 code unit and no white space (the form of RFC 8785), so that
 * equal values have equal text. `undefined` members are left out, as JSON.stringify does.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const source = value as Record<string, unknown>;
    const members = Object.keys(source)
      .filter((key) => source[key] !== undefined)
      .toSorted(byCodeUnit)
      .map((key) => `${JSON.stringify(key)}:${canonicalJson(source[key])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** SHA-256 of the canonical JSON. */
export function canonicalDigest(value: unknown): Buffer {
  return createHash('sha256').update(canonicalJson(value)).digest();
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
