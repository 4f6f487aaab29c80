import { invalid } from '../errors.ts';
import { isUuid } from '../ids.ts';

export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}

/** Opaque to clients: the sort key of the last item, as JSON in base64url. */
export function encodeCursor(key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

const READS = {
  uuid: (part: unknown) => typeof part === 'string' && isUuid(part),
  text: (part: unknown) => typeof part === 'string' && part.isWellFormed() && !part.includes('\0'),
  /** A 32-bit column. */
  int: (part: unknown) => Number.isInteger(part) && Math.abs(part as number) < 2 ** 31,
  number: (part: unknown) => Number.isSafeInteger(part),
} as const;

/**
 * The sort key in a cursor, which has one part of the given kind: what a client made up never reaches a statement.
 * @throws Problem 422 `cursor_invalid`
 */
export function decodeCursor(cursor: string | undefined, kind: keyof typeof READS): [string | number] | null {
  if (cursor === undefined) return null;
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(key) && key.length === 1 && READS[kind](key[0])) return [key[0] as string | number];
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
