import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matches, overlap, parsePath, parsePattern } from '../../src/patterns/index.ts';
import { RUNS } from './arbitraries.ts';
import { path, pattern } from './build.ts';

const EXACT = { caseSensitive: true };
const FOLDED = { caseSensitive: false };

describe('a witness is NFC', () => {
  it.each([
    ['e*', '*\u0301x', 'eq\u0301x'],
    ['[ae]?', '[aeq]\u0301', null],
    ['[aeq]?', '[aeq]\u0301', 'q\u0301'],
    ['e?', '?\u0301', null],
    ['*\u1161', '\u1100?', null],
    ['**/e*', '**/*\u0327\u0301*', 'eq\u0327\u0301'],
    ['e*/.x', '*\u0301/.x', 'eq\u0301/.x'],
    // U+2126 is the first they share, but NFC spells it otherwise.
    ['[!\u0020-\u2125]', '[\u2100-\u2127]', '\u2127'],
    // X composes with a dot above, and with two.
    ['src/[Xaj]?.ts', 'src/?\u0307.ts', 'src/j\u0307.ts'],
  ])('%j and %j meet in %j', (left, right, witness) => {
    expect(overlap(pattern(left), pattern(right), EXACT)).toBe(witness);
  });

  it('tries the other case of what is written, where only that does not compose', () => {
    expect(overlap(pattern('j?'), pattern('?\u030c'), EXACT)).toBeNull();
    expect(overlap(pattern('j?'), pattern('?\u030c'), FOLDED)).toBe('J\u030c');
  });

  it('spells all of the beginning in NFC, and not only its end', () => {
    expect(overlap(pattern('[jJ]\u030c/x*'), pattern('*/x*'), FOLDED)).toBe('J\u030c/x');
    expect(overlap(pattern('[jJ]\u030c/e*'), pattern('*/?\u0301'), FOLDED)).toBeNull();
  });

  it.each([
    ['*\u0301', 'e[à-\u036f]'],
    ['[가-힣]e?', '[가-힣]?\u0301'],
    ['[가-나]e?', '[가-나]?\u0301'],
    [`${'[а-я]'.repeat(6)}e?`, `${'?'.repeat(6)}e\\\u0301`],
    [`${'[а-я]'.repeat(6)}e?`, `${'?'.repeat(6)}[!x]\u0301`],
    [`${'[а-я]'.repeat(40)}e?`, `${'?'.repeat(40)}[!x]\u0301`],
    [`*${'[а-я]?'.repeat(20)}e?`, `*${'[α-ω]?'.repeat(20)}?\u0301`],
  ])('and %j and %j have none', (left, right) => {
    expect(overlap(pattern(left), pattern(right), EXACT)).toBeNull();
    expect(overlap(pattern(left), pattern(right), FOLDED)).toBeNull();
  });

  it('has no more marks in a row than a path may have', () => {
    const [left, right] = ['\u0301q', '\u0301x'].map((either) => `q${`[${either}]`.repeat(31)}`);
    expect(overlap(pattern(left!), pattern(right!), EXACT)).toBeNull();
    expect(overlap(pattern(`${left}*`), pattern(`*${right}`), EXACT)).not.toBeNull();
    expect(parsePattern(`q${'[\u0301]'.repeat(31)}`)).toMatchObject({ problem: { code: 'pattern_matches_nothing' } });
  });

  it('reads alternatives that only compose once expanded', () => {
    expect(matches(pattern('e{\u0301,x}'), path('\u00e9'), EXACT)).toBe(true);
  });
});

const NAMES = ['e', 'q', 'E', 'j', 'J', 'X', '\u00e9', '\u0301', '\u030c', '\u0327', '\u0345'];
const piece = fc.oneof(
  fc.constantFrom(...NAMES),
  fc.constantFrom('?', '[ej]', '[\u0301\u0327]', '[eq]', '[Xj]', '[!e]', '[\u0300-\u0345]'),
);
const text = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(''));

/** Every NFC name of up to three of these characters; `0` stands for all that compose with nothing. */
const ALL = [...NAMES, '0', '\u0300', '\u0308', '\u0328'];
const PATHS = ALL.flatMap((a) => [a, ...ALL.flatMap((b) => [a + b, ...ALL.map((c) => a + b + c)])])
  .filter((name) => name.normalize('NFC') === name)
  .map(path);

describe('against all names of up to three characters', () => {
  it('overlap misses none, and names only NFC paths', () => {
    fc.assert(
      fc.property(text, text, fc.boolean(), (left, right, caseSensitive) => {
        const mode = { caseSensitive };
        const [a, b] = [parsePattern(left), parsePattern(right)];
        if (!a.ok || !b.ok) return;
        const witness = overlap(a.pattern, b.pattern, mode);
        const shared = PATHS.find((name) => matches(a.pattern, name, mode) && matches(b.pattern, name, mode));
        if (shared !== undefined) expect(witness).not.toBeNull();
        if (witness === null) return;
        expect(parsePath(witness)).toMatchObject({ ok: true, path: { text: witness } });
        expect(matches(a.pattern, path(witness), mode) && matches(b.pattern, path(witness), mode)).toBe(true);
      }),
      { ...RUNS, numRuns: Math.ceil(RUNS.numRuns / 4) },
    );
  });
});
