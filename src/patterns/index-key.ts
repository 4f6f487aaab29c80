import type { IndexKey } from './literal-key.ts';
import type { Matcher } from './matcher.ts';
import { directoriesOf } from './pattern-key.ts';

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

/** The key to store `matcher` under. */
export function indexKey(matcher: Matcher): IndexKey {
  return matcher.index;
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
