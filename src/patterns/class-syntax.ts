import { classSet, type Ranges } from './char-set.ts';
import { type Cursor, readEscaped } from './cursor.ts';
import { Refusal } from './problem.ts';

export interface ClassToken {
  readonly kind: 'class';
  readonly ranges: Ranges;
  readonly negated: boolean;
}

const char = (text: string) => text.codePointAt(0)!;
const OPEN = char('[');
const CLOSE = char(']');
const DASH = char('-');
const BACKSLASH = char('\\');
const NEGATIONS = new Set([char('!'), char('^')]);
const POSIX_MARKS = new Set([char(':'), char('.'), char('=')]);

/**
 * Reads `[…]` at the cursor: `!` or `^` negates, a `]` that comes first is a member, a `-` at either end is one,
 * a backslash escapes. Throws {@link Refusal}.
 */
export function readClass(cursor: Cursor): ClassToken {
  cursor.at++;
  const negated = NEGATIONS.has(cursor.points[cursor.at] ?? -1);
  if (negated) cursor.at++;
  const ranges: (readonly [number, number])[] = [];
  for (let first = true; first || cursor.points[cursor.at] !== CLOSE; first = false) ranges.push(readRange(cursor));
  cursor.at++;
  if (classSet(ranges, negated, false).favourite < 0) {
    throw new Refusal('pattern_class_empty', 'a class matches no character that a path segment may hold');
  }
  return { kind: 'class', ranges, negated };
}

function readRange(cursor: Cursor): readonly [number, number] {
  refusePosix(cursor);
  const low = readMember(cursor);
  const isRange = cursor.points[cursor.at] === DASH && cursor.points[cursor.at + 1] !== CLOSE;
  if (!isRange) return [low, low];
  cursor.at++;
  const high = readMember(cursor);
  if (high < low) {
    const shown = `${String.fromCodePoint(low)}-${String.fromCodePoint(high)}`;
    throw new Refusal('pattern_class_range', `the range ${shown} in a class runs backwards`);
  }
  return [low, high];
}

function readMember(cursor: Cursor): number {
  const point = cursor.points[cursor.at];
  if (point === undefined) {
    throw new Refusal('pattern_class_unterminated', 'a "[" is never closed; write "\\[" for the character');
  }
  cursor.at++;
  return point === BACKSLASH ? readEscaped(cursor) : point;
}

/** `[[:alpha:]]` read as written would be a class of `[:alph` and a `]` behind it: surely not what was meant. */
function refusePosix(cursor: Cursor): void {
  const mark = cursor.points[cursor.at + 1] ?? -1;
  if (cursor.points[cursor.at] !== OPEN || !POSIX_MARKS.has(mark)) return;
  const end = cursor.points.indexOf(CLOSE, cursor.at + 2);
  if (end <= cursor.at + 2 || cursor.points[end - 1] !== mark) return;
  throw new Refusal('pattern_class_posix', 'POSIX classes such as [:alpha:] are not supported; write the range');
}
