import { DOT, SLASH } from './char-set.ts';
import { checkMarks } from './marks.ts';
import { Refusal } from './problem.ts';
import type { Item, Token } from './syntax.ts';

/** Texts that the braces of one pattern may expand to. */
export const EXPANSIONS_MAX = 64;

const BANG = 0x21;

/**
 * All expansions of a pattern, each checked by itself: braces first, then segments, as a shell does. Reading the
 * alternatives in place instead would misread `{a/**,b}/c`, where `**` is a whole segment only after expansion.
 * Throws {@link Refusal}; of too many marks only as `check` does.
 */
export function expandPattern(items: readonly Item[], check = checkMarks): readonly (readonly Token[])[] {
  if (countExpansions(items) > EXPANSIONS_MAX) {
    throw new Refusal('pattern_too_many_expansions', `the braces expand to more than ${EXPANSIONS_MAX} texts`);
  }
  return expand(items).map((tokens) => checkSegments(closeDirectory(normalise(dropEmpty(tokens), check))));
}

/** Multiplies without overflow: the caller only asks whether it is too many. */
function countExpansions(items: readonly Item[]): number {
  let count = 1;
  for (const item of items) {
    if (item.kind !== 'alternatives') continue;
    const options = item.options.reduce((sum, option) => sum + countExpansions(option), 0);
    count = Math.min(count * options, EXPANSIONS_MAX + 1);
  }
  return count;
}

function expand(items: readonly Item[]): Token[][] {
  let texts: Token[][] = [[]];
  for (const item of items) {
    if (item.kind !== 'alternatives') {
      for (const text of texts) text.push(item);
      continue;
    }
    const endings = item.options.flatMap((option) => expand(option));
    const [only] = endings;
    if (endings.length === 1) {
      for (const text of texts) text.push(...only!);
      continue;
    }
    texts = texts.flatMap((text) => endings.map((ending) => text.concat(ending)));
  }
  return texts;
}

function isSlash(token: Token | undefined): boolean {
  return token?.kind === 'point' && token.point === SLASH;
}

function dropEmpty(tokens: readonly Token[]): Token[] {
  const kept = tokens.filter((token) => token.kind !== 'empty');
  if (isSlash(kept.at(-1)) && tokens.at(-1)?.kind === 'empty') refuseEmptySegment();
  return kept;
}

/** Neighbours that only met through expansion may compose, as `e{\u0301,x}` does. */
function normalise(tokens: readonly Token[], check: typeof checkMarks): Token[] {
  if (!tokens.some((token) => token.kind === 'point' && token.point >= 0x300)) return [...tokens];
  const result: Token[] = [];
  let run = '';
  const flush = () => {
    check(run);
    for (const character of run.normalize('NFC')) result.push({ kind: 'point', point: character.codePointAt(0)! });
    run = '';
  };
  for (const token of tokens) {
    if (token.kind === 'point') {
      run += String.fromCodePoint(token.point);
      continue;
    }
    flush();
    result.push(token);
  }
  flush();
  return result;
}

/** `dir/` means `dir/**`. */
function closeDirectory(tokens: Token[]): Token[] {
  if (tokens.length > 1 && isSlash(tokens.at(-1))) tokens.push({ kind: 'globstar' });
  return tokens;
}

function checkSegments(tokens: readonly Token[]): readonly Token[] {
  const first = tokens[0];
  if (first === undefined) throw new Refusal('pattern_empty', 'the pattern, or one of its expansions, is empty');
  if (isSlash(first) || beginsWithDrive(tokens)) {
    throw new Refusal('pattern_absolute', 'a pattern is relative to the root of the repo; drop the leading "/"');
  }
  let start = 0;
  for (let at = 0; at <= tokens.length; at++) {
    if (at < tokens.length && !isSlash(tokens[at])) continue;
    checkSegment(tokens.slice(start, at));
    start = at + 1;
  }
  return tokens;
}

/** `C:/x`, which is refused as a path. */
function beginsWithDrive(tokens: readonly Token[]): boolean {
  const points = tokens.slice(0, 3).flatMap((token) => (token.kind === 'point' ? [token.point] : []));
  return points.length === 3 && /^[A-Za-z]:\/$/.test(String.fromCodePoint(...points));
}

function checkSegment(segment: readonly Token[]): void {
  if (segment.length === 0) refuseEmptySegment();
  if (segment.length <= 2 && segment.every((token) => token.kind === 'point' && token.point === DOT)) {
    throw new Refusal('pattern_dot_segment', 'a "." or ".." segment matches no path; write the pattern resolved');
  }
  if (segment.length > 1 && segment.some((token, at) => isStars(token, segment[at + 1]))) {
    throw new Refusal(
      'pattern_globstar_misplaced',
      '"**" must be a whole segment, as in "a/**/b"; elsewhere write "*"',
    );
  }
}

/** `**` as written, or two `*` that met through expansion, of which nobody can say what was meant. */
function isStars(token: Token, next: Token | undefined): boolean {
  return token.kind === 'globstar' || (token.kind === 'star' && next?.kind === 'star');
}

function refuseEmptySegment(): never {
  throw new Refusal('pattern_empty_segment', 'the pattern, or one of its expansions, has an empty segment');
}

/** A leading `!` negates elsewhere (ignore files, other matchers); here nothing does. */
export function refuseNegation(points: readonly number[]): void {
  if (points[0] !== BANG) return;
  throw new Refusal('pattern_negation', 'patterns are not negated; write "\\!" for a name that begins with "!"');
}
