import { type Automaton, compileExpansions } from './automaton.ts';
import { expandPattern, refuseNegation } from './expansion.ts';
import { LruCache } from './lru-cache.ts';
import { type Problem, Refusal } from './problem.ts';
import { findWitness } from './product.ts';
import { checkCharacters, readPattern, type Token } from './syntax.ts';

/** Code points of a pattern's text. */
const PATTERN_LENGTH_MAX = 512;

/** A set of paths, declared in the grammar of DESIGN.md, with its compiled automata. Immutable. */
export class Pattern {
  readonly kind = 'pattern';
  /** As declared, NFC. */
  readonly text: string;
  readonly expansions: readonly (readonly Token[])[];
  readonly #exact: Automaton;
  #folded: Automaton | null = null;
  #spellings: ReadonlySet<string> | null = null;

  constructor(text: string, expansions: readonly (readonly Token[])[], exact: Automaton) {
    this.text = text;
    this.expansions = expansions;
    this.#exact = exact;
  }

  /** Case-insensitive repos are the rarer kind: the second automaton is built when first asked for. */
  automaton(caseSensitive: boolean): Automaton {
    if (caseSensitive) return this.#exact;
    this.#folded ??= compileExpansions(this.expansions, true);
    return this.#folded;
  }

  /** Whether each of `inner`'s expansions is, token by token, one of this pattern's: then it is covered, at no cost. */
  spellsOut(inner: Pattern): boolean {
    const own = this.#spelled();
    return [...inner.#spelled()].every((spelling) => own.has(spelling));
  }

  #spelled(): ReadonlySet<string> {
    this.#spellings ??= new Set(this.expansions.map((tokens) => JSON.stringify(tokens)));
    return this.#spellings;
  }
}

export type PatternResult =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly problem: Problem };

/**
 * Reads and compiles a pattern. Limits are each pattern's own, so that whether it is accepted never depends on
 * what others hold, and together they bound what any pair can cost.
 */
export function parsePattern(text: string): PatternResult {
  try {
    return { ok: true, pattern: readAndCompile(text) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, problem: error.problem };
    throw error;
  }
}

function readAndCompile(text: string): Pattern {
  if (text === '') throw new Refusal('pattern_empty', 'the pattern is empty');
  // A code point is at most two units: whatever is longer is refused before it costs anything.
  if (text.length > 2 * PATTERN_LENGTH_MAX) refuseLength();
  checkCharacters(text);
  const normal = text.normalize('NFC');
  const points = Array.from(normal, (character) => character.codePointAt(0)!);
  if (points.length > PATTERN_LENGTH_MAX) refuseLength();
  refuseNegation(points);
  const expansions = expandPattern(readPattern(points));
  const exact = compileExpansions(expansions, false);
  if (findWitness(exact, EVERYTHING, true) === null) {
    throw new Refusal('pattern_matches_nothing', 'no valid path matches the pattern');
  }
  return new Pattern(normal, expansions, exact);
}

function refuseLength(): never {
  throw new Refusal('pattern_too_long', `the pattern is longer than ${PATTERN_LENGTH_MAX} characters`);
}

const EVERYTHING = compileExpansions([[{ kind: 'globstar' }]], false);

/** Some 10 KB each at the limits, a tenth of that for what people write. */
const CACHED_PATTERNS_MAX = 2048;
const cache = new LruCache<string, PatternResult>(CACHED_PATTERNS_MAX);

/** As {@link parsePattern}, remembering the most recent ones: parsing costs a thousand times what a check does. */
export function compilePattern(text: string): PatternResult {
  if (text.length > 2 * PATTERN_LENGTH_MAX) return parsePattern(text);
  const known = cache.get(text);
  if (known !== undefined) return known;
  const result = parsePattern(text);
  cache.set(text, result);
  return result;
}
