import { type Path, type Pattern, parsePath, parsePattern } from '../../src/patterns/index.ts';

/** The path that a test means; fails the test if it is none. */
export function path(text: string): Path {
  const result = parsePath(text);
  if (!result.ok) throw new Error(`${JSON.stringify(text)}: ${result.problem.code}`);
  return result.path;
}

/** The pattern that a test means; fails the test if it is none. */
export function pattern(text: string): Pattern {
  const result = parsePattern(text);
  if (!result.ok) throw new Error(`${JSON.stringify(text)}: ${result.problem.code}`);
  return result.pattern;
}
