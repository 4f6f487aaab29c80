import { type ClassToken, readClass } from './class-syntax.ts';
import { type Cursor, readEscaped } from './cursor.ts';
import { Refusal, showPoint } from './problem.ts';

/** Nesting of `{…}`. */
const BRACE_DEPTH_MAX = 4;

/** What a pattern is made of once its braces are expanded. `/` is a point like any other here. */
export type Token =
  | { readonly kind: 'point'; readonly point: number }
  | ClassToken
  | { readonly kind: 'any' | 'star' | 'globstar' }
  /** Where an empty alternative stood: it must not turn `a/{b,}` into `a/`, which would mean the whole directory. */
  | { readonly kind: 'empty' };

export type Item = Token | { readonly kind: 'alternatives'; readonly options: readonly (readonly Item[])[] };

const ANY_TOKEN: Token = { kind: 'any' };
const STAR: Token = { kind: 'star' };
const GLOBSTAR: Token = { kind: 'globstar' };
const EMPTY: Token = { kind: 'empty' };

const char = (text: string) => text.codePointAt(0)!;
const BACKSLASH = char('\\');
const OPEN = char('{');
const CLOSE = char('}');
const COMMA = char(',');
const CLASS = char('[');
const ASTERISK = char('*');
const QUESTION = char('?');

/**
 * Reads the grammar of README.md, "Paths and patterns". A class is read before the braces around it, so `{[,],b}` has two alternatives.
 * Throws {@link Refusal}.
 */
export function readPattern(points: readonly number[]): readonly Item[] {
  const cursor: Cursor = { points, at: 0 };
  const items = readSequence(cursor, 0);
  if (cursor.at < points.length) {
    throw new Refusal('pattern_brace_unbalanced', 'a "}" closes nothing; write "\\}" for the character');
  }
  return items;
}

function readSequence(cursor: Cursor, depth: number): Item[] {
  const items: Item[] = [];
  while (cursor.at < cursor.points.length) {
    const point = cursor.points[cursor.at]!;
    if (point === CLOSE || (depth > 0 && point === COMMA)) break;
    items.push(point === OPEN ? readAlternatives(cursor, depth + 1) : readToken(cursor));
  }
  return items;
}

function readAlternatives(cursor: Cursor, depth: number): Item {
  if (depth > BRACE_DEPTH_MAX) {
    throw new Refusal('pattern_too_deep', `braces nest deeper than ${BRACE_DEPTH_MAX}`);
  }
  const start = cursor.at;
  const options: Item[][] = [];
  do {
    cursor.at++;
    const option = readSequence(cursor, depth);
    options.push(option.length === 0 ? [EMPTY] : option);
  } while (cursor.points[cursor.at] === COMMA);
  if (cursor.points[cursor.at] !== CLOSE) {
    throw new Refusal('pattern_brace_unbalanced', 'a "{" is never closed; write "\\{" for the character');
  }
  cursor.at++;
  refuseSequence(cursor.points.slice(start, cursor.at));
  return { kind: 'alternatives', options };
}

/** A shell would count in `{1..9}`. Read as one alternative it would match nothing that its author meant. */
function refuseSequence(points: readonly number[]): void {
  const text = String.fromCodePoint(...points);
  if (!/^\{-?[^{},./\\]+\.\.-?[^{},./\\]+(\.\.-?\d+)?\}$/u.test(text)) return;
  throw new Refusal('pattern_brace_range', `${text} is no list of alternatives; ranges in braces are not supported`);
}

function readToken(cursor: Cursor): Token {
  const point = cursor.points[cursor.at]!;
  if (point === CLASS) return readClass(cursor);
  if (point === ASTERISK) return readStars(cursor);
  cursor.at++;
  if (point === QUESTION) return ANY_TOKEN;
  return { kind: 'point', point: point === BACKSLASH ? readEscaped(cursor) : point };
}

function readStars(cursor: Cursor): Token {
  const start = cursor.at;
  while (cursor.points[cursor.at] === ASTERISK) cursor.at++;
  const count = cursor.at - start;
  if (count > 2) {
    throw new Refusal(
      'pattern_globstar_misplaced',
      `${'*'.repeat(Math.min(count, 8))} means nothing; write "*" or "**"`,
    );
  }
  return count === 2 ? GLOBSTAR : STAR;
}

/** Control characters and half surrogate pairs occur in no path. Throws {@link Refusal}. */
export function checkCharacters(text: string): void {
  if (/[\ud800-\udfff]/u.test(text)) {
    throw new Refusal('pattern_lone_surrogate', 'the pattern is not valid Unicode: it holds half of a surrogate pair');
  }
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  const control = /[\x00-\x1f\x7f-\x9f]/.exec(text);
  if (control === null) return;
  const shown = showPoint(control[0].charCodeAt(0));
  throw new Refusal('pattern_control_character', `the pattern holds the control character ${shown}`);
}
