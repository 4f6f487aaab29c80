import { foldText } from './fold.ts';
import type { Matcher } from './matcher.ts';
import type { Pattern } from './pattern.ts';
import type { Token } from './syntax.ts';

/** What a stored matcher is found by. Always folded: one index serves both case modes, and folding only widens. */
export interface IndexKey {
  readonly kind: 'literal' | 'pattern';
  /** A literal: its text. A pattern: the directory that all its paths lie below, ending in `/`, or ''. */
  readonly key: string;
  /** The extension that all its paths share, with the dot; '' if they have none, null if they may differ. */
  readonly tail: string | null;
}

/**
 * Where candidates for an overlap with one matcher are stored, all text in code-point order (`COLLATE "C"`):
 * literals whose key is one of `literals`, patterns whose key is one of `patternPrefixes`, and both kinds with a
 * key in `range` (from `from` inclusive to `below` exclusive, null for no bound). Of these, whose tail equals
 * `tail`, or where either is null.
 */
export interface Lookup {
  readonly literals: readonly string[];
  readonly patternPrefixes: readonly string[];
  readonly range: { readonly from: string; readonly below: string | null } | null;
  readonly tail: string | null;
}

/** Code units of a literal's key: a B-tree entry must stay below a third of a page. No pattern's key is longer. */
const KEY_LENGTH_MAX = 512;
/** Directories of a pattern's key: it bounds how many prefixes a lookup lists. */
const KEY_DEPTH_MAX = 32;
/** Code units of a tail. */
const TAIL_LENGTH_MAX = 32;

/** The key to store `matcher` under. */
export function indexKey(matcher: Matcher): IndexKey {
  if (matcher.kind === 'path') {
    return { kind: 'literal', key: literalKey(matcher.folded), tail: literalTail(matcher.folded) };
  }
  return { kind: 'pattern', key: patternKey(matcher), tail: patternTail(matcher) };
}

/** Where to look for what may overlap `matcher`. Never narrower than `overlap`. */
export function lookup(matcher: Matcher): Lookup {
  const { key, tail } = indexKey(matcher);
  if (matcher.kind === 'path') {
    return { literals: [key], patternPrefixes: directoriesOf(matcher.folded), range: null, tail };
  }
  // "0" is the code point after "/": everything below `a/` sorts before `a0`.
  const range = { from: key, below: key === '' ? null : `${key.slice(0, -1)}0` };
  return { literals: [], patternPrefixes: directoriesOf(key), range, tail };
}

function literalKey(folded: string): string {
  return cut(folded, KEY_LENGTH_MAX);
}

/** Never through a surrogate pair: half of one cannot be stored. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}

/** '' and every directory that the text names or lies below, the outer ones first. */
function directoriesOf(text: string): readonly string[] {
  const directories = [''];
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) {
    if (directories.length > KEY_DEPTH_MAX) break;
    directories.push(text.slice(0, at + 1));
  }
  return directories;
}

function patternKey(pattern: Pattern): string {
  const prefix = foldText(pattern.automaton(true).prefix);
  return cutToLiteral(directoriesOf(prefix).at(-1)!);
}

/** A pattern's key must be a beginning of the cut key of every literal below it. */
function cutToLiteral(directory: string): string {
  if (directory.length <= KEY_LENGTH_MAX - 1) return directory;
  return directory.slice(0, directory.lastIndexOf('/', KEY_LENGTH_MAX - 2) + 1);
}

function literalTail(folded: string): string {
  const name = folded.slice(folded.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  return dot < 0 ? '' : cut(name.slice(dot), TAIL_LENGTH_MAX);
}

function patternTail(pattern: Pattern): string | null {
  const tails = new Set(pattern.expansions.map(expansionTail));
  const [only] = tails;
  return tails.size === 1 ? only! : null;
}

/** The tail is known if nothing but literal characters stands behind the last dot, or behind the last slash. */
function expansionTail(tokens: readonly Token[]): string | null {
  let text = '';
  for (const token of tokens.toReversed()) {
    if (token.kind !== 'point') return null;
    const character = String.fromCodePoint(token.point);
    if (character === '/') return '';
    text = character + text;
    if (character === '.') return cut(foldText(text), TAIL_LENGTH_MAX);
  }
  return '';
}
