import { isAscii } from './ascii.ts';
import { Refusal } from './problem.ts';

/** Combining marks in a row: Unicode's Stream-Safe limit. No language needs a third of it, and sorting many takes long. */
export const MARKS_MAX = 30;
const TOO_MANY_MARKS = new RegExp(`\\p{M}{${MARKS_MAX + 1}}`, 'u');

/** To be asked before the text is normalised, and, as that may take some apart, of what it is then. */
export function hasTooManyMarks(text: string): boolean {
  return text.length > MARKS_MAX && !isAscii(text) && TOO_MANY_MARKS.test(text);
}

/** Throws {@link Refusal}. */
export function checkMarks(text: string): void {
  if (!hasTooManyMarks(text)) return;
  const detail = `the pattern, or one of its expansions, holds more than ${MARKS_MAX} combining marks in a row`;
  throw new Refusal('pattern_too_many_marks', detail);
}
