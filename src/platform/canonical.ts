import { createHash } from 'node:crypto';

/** Any value that survives JSON unchanged. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * JSON with the keys of every object sorted by UTF-16 code unit and no white space (the form of RFC 8785), so that
 * equal values have equal text. `undefined` members are left out, as JSON.stringify does.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return listJson(value);
  const source = value as Record<string, unknown>;
  let text = '';
  // The default order of sort() is that of UTF-16 code units.
  for (const key of Object.keys(source).toSorted()) {
    const member = source[key];
    if (member !== undefined) text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

function listJson(items: readonly unknown[]): string {
  let text = '[';
  for (let at = 0; at < items.length; at += 1) text += (at === 0 ? '' : ',') + canonicalJson(items[at]);
  return `${text}]`;
}

/** SHA-256 of the canonical JSON. */
export function canonicalDigest(value: unknown): Buffer {
  return createHash('sha256').update(canonicalJson(value)).digest();
}
