import { invalid } from '../errors.ts';

export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}

/** Opaque to clients: the sort key of the last item, as JSON in base64url. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** @throws Problem 422 `cursor_invalid` unless it is a cursor of `length` parts. */
export function decodeCursor(cursor: string | undefined, length: number): (string | number)[] | null {
  if (cursor === undefined) return null;
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (isKey(key) && key.length === length) return key;
  } catch {
    // Falls through to the refusal: what was sent is no cursor of ours.
  }
  throw invalid('cursor_invalid', 'The cursor is not one that this list gave out.');
}

/** A page out of up to `limit + 1` rows: the extra one only tells that there are more. */
export function pageFrom<R, T>(
  rows: readonly R[],
  limit: number,
  view: (row: R) => T,
  keyOf: (row: R) => (string | number)[],
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { items: shown.map(view), nextCursor: more ? encodeCursor(keyOf(last)) : null };
}

function isKey(value: unknown): value is (string | number)[] {
  return Array.isArray(value) && value.every((part) => typeof part === 'string' || typeof part === 'number');
}
