import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matches, overlap, parsePath, parsePattern } from '../../src/patterns/index.ts';
import { IDEOGRAPHS, INERT } from '../../src/patterns/normal-witness.ts';
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

  it('stops at characters that compose with nothing: none of them does', () => {
    const points = Array.from({ length: 0x30000 }, (_, point) => point).filter(
      (point) => point < 0xd800 || point > 0xdfff,
    );
    const normal = points.map((point) => String.fromCodePoint(point)).filter((text) => text.normalize('NFC') === text);
    const ideographs = IDEOGRAPHS.flatMap(([low, high]) => [low, (low + high) >> 1, high]);
    for (const inert of [...INERT, ...ideographs].map((point) => String.fromCodePoint(point))) {
      const composed = normal.filter((text) => {
        const [before, behind] = [text + inert, inert + text];
        return before.normalize('NFC') !== before || behind.normalize('NFC') !== behind;
      });
      expect([inert, composed]).toEqual([inert, []]);
    }
    const changed = normal.filter((text) => text.codePointAt(0)! >= 0x4e00 && text.codePointAt(0)! <= 0x9fff);
    expect(changed.length).toBe(0x9fff - 0x4e00 + 1);
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
