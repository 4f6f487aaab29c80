import { createHash } from 'node:crypto';
import type { LoopDefinition } from './schema.ts';

/**
 * SHA-256, in hex, of a definition as canonical JSON: everything that was kept, unknown keys included, with keys in
 * code-unit order. The order of keys, comments, shorthands and the format it was written in make no difference; the
 * same digest is the same version of a loop.
 */
export function definitionDigest(definition: LoopDefinition): string {
  return createHash('sha256').update(canonicalJson(definition)).digest('hex');
}

/** JSON with sorted keys and without whitespace (numbers and strings as RFC 8785 writes them). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`);
  return `{${members.join(',')}}`;
}
