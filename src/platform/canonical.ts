import { hash } from 'node:crypto';

/** Any value that survives JSON unchanged. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * JSON with the keys of every object sorted by UTF-16 code unit and no white space (the form of RFC 8785), so that
 * equal values have equal text. `undefined` members are left out, as JSON.stringify does.
 */
export function canonicalJson(value: unknown): string {
  // The native writer is several times faster, and writes the same when every object's keys stand in order already.
  if (isInOrder(value)) return JSON.stringify(value) ?? 'null';
  return sortedJson(value);
}

function isInOrder(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return true;
  if (Array.isArray(value)) return value.every(isInOrder);
  if (!isPlain(value)) return false;
  let before = '';
  for (const key in value) {
    // An integer-like key is enumerated first whatever its order as text; those are left to the slow way.
    if (key < before || !isInOrder((value as Record<string, unknown>)[key])) return false;
    before = key;
  }
  return true;
}

/** Without a toJSON of its own, which would write something else than its members. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function sortedJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return listJson(value);
  const source = value as Record<string, unknown> & { toJSON?: unknown };
  if (typeof source.toJSON === 'function') return sortedJson((source.toJSON as () => unknown)());
  let text = '';
  // The default order of sort() is that of UTF-16 code units.
  for (const key of Object.keys(source).toSorted()) {
    const member = source[key];
    if (member !== undefined) text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${sortedJson(member)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

function listJson(items: readonly unknown[]): string {
  let text = '[';
  for (let at = 0; at < items.length; at += 1) text += (at === 0 ? '' : ',') + sortedJson(items[at]);
  return `${text}]`;
}

/** SHA-256 of the canonical JSON. */
export function canonicalDigest(value: unknown): Buffer {
  return hash('sha256', canonicalJson(value), 'buffer');
}
