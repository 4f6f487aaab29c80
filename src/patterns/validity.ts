import { DOT, SLASH } from './char-set.ts';

/**
 * The automaton of valid paths, by what the current segment holds so far. Whatever runs a pattern's automaton
 * runs this one beside it: `*` alone would let a path end in an empty segment or in `..`.
 */
const SEGMENT = { start: 0, dot: 1, dots: 2, name: 3 } as const;

/** The beginning of a segment. */
export const VALIDITY_START = SEGMENT.start;

/** Only after a name may a path end, or a slash come. */
export const VALID_END = SEGMENT.name;

/** How many states there are; they are numbered from 0. */
export const VALIDITY_STATES = 4;

/** The next state, or -1 where no valid path goes on. Points a path may not hold are not asked about. */
export function nextValidity(state: number, point: number): number {
  if (point === SLASH) return state === SEGMENT.name ? SEGMENT.start : -1;
  if (point === DOT && state < SEGMENT.name) return state + 1;
  return SEGMENT.name;
}

/** The state behind the beginning of a valid path. */
export function validityAfter(text: string): number {
  const segment = text.slice(text.lastIndexOf('/') + 1);
  if (segment === '') return SEGMENT.start;
  if (segment === '.') return SEGMENT.dot;
  return segment === '..' ? SEGMENT.dots : SEGMENT.name;
}
