import { foldText } from './fold.ts';
import { cut, type IndexKey, KEY_LENGTH_MAX, TAIL_LENGTH_MAX } from './literal-key.ts';
import type { Matcher } from './matcher.ts';
import type { Token } from './syntax.ts';

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

/** Directories of a pattern's key: it bounds how many prefixes a lookup lists. */
const KEY_DEPTH_MAX = 32;

/** The key to store `matcher` under. */
export function indexKey(matcher: Matcher): IndexKey {
  return matcher.index;
}

/** @param prefix the literal text that all of them begin with */
export function patternIndex(prefix: string, expansions: readonly (readonly Token[])[]): IndexKey {
  const key = cutToLiteral(directoriesOf(foldText(prefix)).at(-1)!);
  return { kind: 'pattern', key, tail: commonTail(expansions) };
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

/** '' and every directory that the text names or lies below, the outer ones first. */
function directoriesOf(text: string): readonly string[] {
  const directories = [''];
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) {
    if (directories.length > KEY_DEPTH_MAX) break;
    directories.push(text.slice(0, at + 1));
  }
  return directories;
}

/** A pattern's key must be a beginning of the cut key of every literal below it. */
function cutToLiteral(directory: string): string {
  if (directory.length <= KEY_LENGTH_MAX - 1) return directory;
  return directory.slice(0, directory.lastIndexOf('/', KEY_LENGTH_MAX - 2) + 1);
}

function commonTail(expansions: readonly (readonly Token[])[]): string | null {
  const tails = new Set(expansions.map(expansionTail));
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
