import { Refusal } from './problem.ts';

/** The text of a pattern as code points, and how far it has been read. */
export interface Cursor {
  readonly points: readonly number[];
  at: number;
}

/** The character after a backslash. Throws {@link Refusal}. */
export function readEscaped(cursor: Cursor): number {
  const point = cursor.points[cursor.at];
  if (point === undefined) {
    throw new Refusal('pattern_escape_dangling', 'the pattern ends in "\\", which escapes nothing');
  }
  cursor.at++;
  return point;
}
