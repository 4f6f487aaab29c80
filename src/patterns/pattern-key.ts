import { foldText } from './fold.ts';
import { cut, type IndexKey, KEY_LENGTH_MAX, TAIL_LENGTH_MAX } from './literal-key.ts';
import type { Token } from './syntax.ts';

/** Directories of a pattern's key: it bounds how many prefixes a lookup lists. */
const KEY_DEPTH_MAX = 32;

/** What a pattern is stored under. @param prefix the literal text that all of its expansions begin with */
export function patternIndex(prefix: string, expansions: readonly (readonly Token[])[]): IndexKey {
  const key = cutToLiteral(directoriesOf(foldText(prefix)).at(-1)!);
  return { kind: 'pattern', key, tail: commonTail(expansions) };
}

/** '' and every directory that the text names or lies below, the outer ones first. */
export function directoriesOf(text: string): readonly string[] {
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
