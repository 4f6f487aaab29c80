import { spend } from '../../../patterns/index.ts';

const MAX_GLOB_LENGTH = 512;
/** UTF-16 units that are searched in one step: see `workDone`. */
const UNITS_A_STEP = 64;

export type TextGlobResult =
  | { readonly ok: true; readonly test: (text: string) => boolean }
  | { readonly ok: false; readonly problem: string };

const ANY_ONE = Symbol('any one code point');
type Unit = string | typeof ANY_ONE;

/** Splits a glob at its stars into runs of units; a unit is a code point or "any one". */
function runsOf(glob: string): Unit[][] | string {
  const runs: Unit[][] = [[]];
  const points = Array.from(glob);
  for (let i = 0; i < points.length; i++) {
    const point = points[i] as string;
    const run = runs.at(-1) as Unit[];
    if (point === '*') {
      if (run.length > 0 || runs.length === 1) runs.push([]);
    } else if (point === '?') run.push(ANY_ONE);
    else if (point === '\\') {
      const escaped = points[++i];
      if (escaped === undefined) return 'ends in a backslash that escapes nothing';
      run.push(escaped);
    } else if ('{}[]'.includes(point)) {
      // Taken literally, `{dev,prod}` would never match, and a deny with it would be silent.
      return `has no meaning for "${point}" here: list alternatives with $or, or write "\\${point}" for the character`;
    } else run.push(point);
  }
  return runs;
}

function matchesAt(run: readonly Unit[], points: readonly string[], start: number): boolean {
  if (start + run.length > points.length) return false;
  for (let i = 0; i < run.length; i++) if (run[i] !== ANY_ONE && run[i] !== points[start + i]) return false;
  return true;
}

function find(run: readonly Unit[], points: readonly string[], from: number): number {
  let compared = 0;
  let start = from;
  for (; start + run.length <= points.length; start++) {
    let at = 0;
    while (at < run.length && (run[at] === ANY_ONE || run[at] === points[start + at])) at++;
    compared += at + 1;
    if (at === run.length) break;
  }
  spend(compared);
  return start + run.length <= points.length ? start : -1;
}

/** First run at the start, last run at the end, the others as early as they come: no backtracking. */
function testRuns(runs: readonly Unit[][], text: string): boolean {
  const points = Array.from(text);
  spend(points.length);
  const first = runs[0] as Unit[];
  if (!matchesAt(first, points, 0)) return false;
  if (runs.length === 1) return points.length === first.length;
  let position = first.length;
  for (const run of runs.slice(1, -1)) {
    const found = find(run, points, position);
    if (found < 0) return false;
    position = found + run.length;
  }
  const last = runs.at(-1) as Unit[];
  return points.length - last.length >= position && matchesAt(last, points, points.length - last.length);
}

/** The same for runs without `?`, by the engine's own search. */
function testLiterals(literals: readonly string[], text: string): boolean {
  spend(literals.length + Math.ceil(text.length / UNITS_A_STEP));
  const first = literals[0] as string;
  if (literals.length === 1) return text === first;
  if (!text.startsWith(first)) return false;
  let position = first.length;
  for (const literal of literals.slice(1, -1)) {
    const found = text.indexOf(literal, position);
    if (found < 0) return false;
    position = found + literal.length;
  }
  const last = literals.at(-1) as string;
  return text.length - last.length >= position && text.endsWith(last);
}

/**
 * A glob over a whole text that is not a path (a command, a branch, a service, a loop's name): `*` is any run of
 * characters, `/`, white space and line breaks included; `?` is one code point; `\x` is the character itself.
 * Braces and brackets are refused rather than read literally.
 */
export function parseTextGlob(glob: string): TextGlobResult {
  if (glob.length === 0) return { ok: false, problem: 'is empty' };
  if (glob.length > MAX_GLOB_LENGTH) return { ok: false, problem: `is longer than ${MAX_GLOB_LENGTH} characters` };
  const runs = runsOf(glob);
  if (typeof runs === 'string') return { ok: false, problem: runs };
  if (runs.some((run) => run.includes(ANY_ONE))) return { ok: true, test: (text) => testRuns(runs, text) };
  const literals = runs.map((run) => run.join(''));
  return { ok: true, test: (text) => testLiterals(literals, text) };
}
