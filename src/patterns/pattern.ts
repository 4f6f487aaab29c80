import { type Automaton, compileExpansions } from './automaton.ts';
import { EXPANSIONS_MAX, expandPattern, refuseNegation } from './expansion.ts';
import type { IndexKey } from './literal-key.ts';
import { LruCache } from './lru-cache.ts';
import { checkMarks } from './marks.ts';
import { directoriesOf, patternIndex } from './pattern-key.ts';
import { type Problem, Refusal } from './problem.ts';
import { findWitness } from './product.ts';
import { checkCharacters, readPattern, type Token } from './syntax.ts';
import { spend } from './work.ts';

/** Code points of a pattern's text. */
const PATTERN_LENGTH_MAX = 512;
/** Steps that it costs to read a character; to check and compile a token of an expansion; and to spell it out: see `workDone`. */
const STEPS_TO_READ = 40;
const STEPS_TO_COMPILE = 15;
const STEPS_TO_SPELL = 40;
/** Steps that it costs to make the sets of a class, at most. */
const STEPS_A_CLASS = 500;
/** Tokens of two patterns together, beyond which they are not compared token by token: some millisecond. */
const SPELLED_MAX = 4096;

/** What a text was compiled to. */
interface Compiled {
  /** What was compiled: the text, or what stands in for it. */
  readonly source: string;
  readonly index: IndexKey;
  readonly exact: Automaton;
  /** Tokens of all expansions. */
  readonly size: number;
}

/** A set of paths, declared in the grammar of README.md, with its automata. Immutable; compiled at once, or when it is first asked about. */
export class Pattern {
  readonly kind = 'pattern';
  /** As declared, NFC. */
  readonly text: string;
  readonly #compile: (() => Compiled) | null;
  #compiled: Compiled | null;
  #folded: Automaton | null = null;

  constructor(text: string, compiled: Compiled | (() => Compiled)) {
    this.text = text;
    [this.#compile, this.#compiled] = typeof compiled === 'function' ? [compiled, null] : [null, compiled];
  }

  get #now(): Compiled {
    return (this.#compiled ??= this.#compile!());
  }

  get isCompiled(): boolean {
    return this.#compiled !== null;
  }

  /** See `indexKey`. */
  get index(): IndexKey {
    return this.#now.index;
  }

  /** False: it matches whatever `text` may have meant, and more. See {@link storedPattern}. */
  get isExact(): boolean {
    return this.#now.source === this.text;
  }

  /** Case-insensitive repos are the rarer kind: the second automaton is kept once it was asked for. */
  automaton(caseSensitive: boolean): Automaton {
    const { exact, size, source } = this.#now;
    if (caseSensitive) return exact;
    if (this.#folded === null) {
      spend(STEPS_TO_COMPILE * size);
      this.#folded = compileExpansions(expansionsOf(source), true);
    }
    return this.#folded;
  }

  /** Whether each of `inner`'s expansions is, token by token, one of this pattern's: then it is covered. Not asked of long ones. */
  spellsOut(inner: Pattern): boolean {
    const size = this.#now.size + inner.#now.size;
    if (size > SPELLED_MAX) return false;
    spend(STEPS_TO_SPELL * size);
    const own = spellingsOf(this.#now.source);
    return [...spellingsOf(inner.#now.source)].every((spelling) => own.has(spelling));
  }
}

/** Read anew: at the limits they take some hundred times as much memory as the automata, and are rarely asked for. */
function expansionsOf(text: string, check: typeof checkMarks = acceptMarks): readonly (readonly Token[])[] {
  return expandPattern(readPattern(pointsOf(text)), check);
}

function pointsOf(text: string): number[] {
  return Array.from(text, (character) => character.codePointAt(0)!);
}

/** Of what has been accepted. */
const acceptMarks = () => {};

function spellingsOf(text: string): ReadonlySet<string> {
  return new Set(expansionsOf(text).map((tokens) => JSON.stringify(tokens)));
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
  checkMarks(text);
  const normal = text.normalize('NFC');
  checkMarks(normal);
  const points = pointsOf(normal);
  if (points.length > PATTERN_LENGTH_MAX) refuseLength();
  refuseNegation(points);
  const pattern = new Pattern(normal, compile(normal, checkMarks));
  if (findWitness(pattern.automaton(true), EVERYTHING, true) === null) {
    throw new Refusal('pattern_matches_nothing', 'no valid path matches the pattern');
  }
  return pattern;
}

function compile(source: string, check: typeof checkMarks): Compiled {
  const expansions = expansionsOf(source, check);
  const size = expansions.reduce((sum, tokens) => sum + tokens.length, 0);
  spend(STEPS_TO_READ * pointsOf(source).length + STEPS_TO_COMPILE * size);
  const exact = compileExpansions(expansions, false);
  // A class may be one character in one case mode, and several or none in the other: a pattern that is accepted must not be
  // found to be over the limit when a repo is asked about in which it lies.
  compileExpansions(expansions, true);
  return { source, index: patternIndex(exact.prefix, expansions), exact, size };
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

const stored = new LruCache<string, Pattern>(CACHED_PATTERNS_MAX);

/**
 * The pattern of a text that `parsePattern` has accepted, and that was kept since. It is compiled when it is first asked about:
 * a list of what is held must not cost what comparing all of it does. How many marks it holds is not asked: that limit is
 * younger than some texts. What cannot be compiled any more stands for all that lies below its literal beginning: then too
 * much is refused, and never too little.
 */
export function storedPattern(text: string): Pattern {
  const read = cache.get(text);
  if (read?.ok === true) return read.pattern;
  const known = stored.get(text);
  if (known !== undefined) return known;
  const pattern = new Pattern(text, () => tryToCompile(text) ?? standIn(text));
  stored.set(text, pattern);
  return pattern;
}

/**
 * Steps (see `workDone`) that it may cost at most to compile a text that has been accepted; none while that is remembered. Told
 * without reading it: each comma may stand for two texts.
 */
export function stepsToCompile(text: string): number {
  if (cache.get(text)?.ok === true || stored.get(text)?.isCompiled === true) return 0;
  const expansions = Math.min(2 ** occurrences(text, ','), EXPANSIONS_MAX);
  return text.length * (STEPS_TO_READ + STEPS_TO_COMPILE * expansions) + STEPS_A_CLASS * occurrences(text, '[');
}

const occurrences = (text: string, character: string): number => text.split(character).length - 1;

function standIn(text: string): Compiled {
  const beginning = /^[^*?[\]{}\\]*\//.exec(text)?.[0] ?? '';
  for (const directory of directoriesOf(beginning).toReversed()) {
    const compiled = tryToCompile(`${directory}**`);
    if (compiled !== null) return compiled;
  }
  throw new Error('"**" is a pattern');
}

function tryToCompile(source: string): Compiled | null {
  try {
    return compile(source, acceptMarks);
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}
