import type { SourcePath } from './report.ts';

export const MAX_DEPTH = 32;
const MAX_NODES = 10_000;

/**
 * Says what keeps a value from being stored and digested as JSON exactly as it was written, or null. Aliases count each
 * time they are met, so that a small text cannot stand for a huge value, and a cycle runs into the depth.
 */
export function findUnplain(value: unknown): { at: SourcePath; reason: string } | null {
  let nodes = 0;
  const visit = (inner: unknown, at: SourcePath): { at: SourcePath; reason: string } | null => {
    nodes += 1;
    if (nodes > MAX_NODES) return { at: [], reason: `holds more than ${MAX_NODES} values, aliases expanded` };
    if (at.length > MAX_DEPTH) return { at, reason: `is nested deeper than ${MAX_DEPTH} levels` };
    if (typeof inner !== 'object' || inner === null) return reasonAt(at, reasonOfScalar(inner));
    if (Array.isArray(inner)) return firstOf(inner.entries(), (i, item) => visit(item, [...at, i]));
    if (Object.getPrototypeOf(inner) !== Object.prototype && Object.getPrototypeOf(inner) !== null) {
      return { at, reason: 'is not a value that JSON can hold' };
    }
    return firstOf(
      Object.entries(inner),
      (key, item) => reasonAt([...at, key], reasonOfKey(key)) ?? visit(item, [...at, key]),
    );
  };
  return visit(value, []);
}

function firstOf<K, V, R>(entries: Iterable<[K, V]>, find: (key: K, value: V) => R | null): R | null {
  for (const [key, value] of entries) {
    const found = find(key, value);
    if (found !== null) return found;
  }
  return null;
}

function reasonAt(at: SourcePath, reason: string | null): { at: SourcePath; reason: string } | null {
  return reason === null ? null : { at, reason };
}

function reasonOfKey(key: string): string | null {
  return key === '__proto__' ? 'is not a key that can be kept' : reasonOfText(key);
}

function reasonOfScalar(value: unknown): string | null {
  if (value === null || typeof value === 'boolean') return null;
  if (typeof value === 'string') return reasonOfText(value);
  if (typeof value !== 'number') return 'is not a value that JSON can hold';
  if (!Number.isFinite(value)) return 'is not a finite number';
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    return 'is a number that would not be kept exactly; quote it';
  return null;
}

/** PostgreSQL's jsonb refuses both. */
function reasonOfText(text: string): string | null {
  if (text.includes('\u0000')) return 'holds a NUL character';
  return /\p{Surrogate}/u.test(text) ? 'holds half of a surrogate pair' : null;
}
