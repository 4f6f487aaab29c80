import { describe, expect, it } from 'vitest';
import { foldPoint, foldText, unfoldPoint } from '../../src/patterns/fold.ts';
import { matches, parsePath } from '../../src/patterns/index.ts';
import { path, pattern } from './build.ts';

const FOLDED = { caseSensitive: false };
const MAX = 0x10ffff;

/** ECMAScript's `iu` compares by the same simple folding, of the Unicode version that the process has. */
function sameByRegex(a: number, b: number): boolean {
  return new RegExp(`^\\u{${a.toString(16)}}$`, 'iu').test(String.fromCodePoint(b));
}

function isKnown(point: number): boolean {
  return /\P{Cn}/u.test(String.fromCodePoint(point));
}

/** The one code point that `text` is, or none. */
function single(text: string): number[] {
  const point = text.codePointAt(0)!;
  return String.fromCodePoint(point) === text ? [point] : [];
}

describe('simple case folding', () => {
  it('joins only what the engine joins, and folds in one step', () => {
    for (let point = 0; point <= MAX; point++) {
      const folded = foldPoint(point);
      if (folded === point) continue;
      expect(foldPoint(folded)).toBe(folded);
      expect(unfoldPoint(folded)).toContain(point);
      if (isKnown(point) && isKnown(folded)) expect(sameByRegex(point, folded)).toBe(true);
    }
  });

  it.runIf(Number.parseFloat(process.versions.unicode!) <= 17)('joins all that the engine joins', () => {
    for (let point = 0; point <= MAX; point++) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      const text = String.fromCodePoint(point);
      for (const other of [...single(text.toLowerCase()), ...single(text.toUpperCase())]) {
        if (other !== point && sameByRegex(point, other)) expect(foldPoint(other)).toBe(foldPoint(point));
      }
    }
  });

  it.each([
    ['K', 'k', true],
    ['\u212a', 'k', true], // Kelvin: NFC has made it a K before
    ['\u017f', 's', true], // long s
    ['\u1e9e', 'ß', true],
    ['ß', 'ss', false],
    ['ß', 'S', false],
    ['\u0130', 'i', false], // İ: only the Turkish folding, or the full one, joins it
    ['\u0131', 'I', false],
    ['ς', 'σ', true],
    ['Σ', 'ς', true],
    ['Ǆ', 'ǆ', true],
    ['ǅ', 'ǆ', true],
    ['\uab70', '\u13a0', true], // Cherokee folds upwards
    ['𐐀', '𐐨', true],
    ['ﬀ', 'ff', false],
  ])('%j and %j are the same name: %s', (a, b, same) => {
    expect(matches(path(`x${a}`), path(`x${b}`), FOLDED)).toBe(same);
    expect(matches(pattern(`?${a}`), path(`x${b}`), FOLDED)).toBe(same);
    expect(matches(pattern(`?[${a}]`), path(`x${b}`), FOLDED)).toBe(same && parsePath(b).ok);
    expect(matches(pattern(`x[!${a}]`), path(`x${b}`), FOLDED)).toBe(!same && [...b.normalize('NFC')].length === 1);
  });

  it('folds a text as it folds each of its code points', () => {
    const points = Array.from({ length: 0x20000 }, (_, point) => point).filter(
      (point) => point < 0xd800 || point > 0xdfff,
    );
    const folded = points.map((point) => String.fromCodePoint(foldPoint(point))).join('');
    expect(foldText(points.map((point) => String.fromCodePoint(point)).join('')) === folded).toBe(true);
    expect(foldText('Ж\ud801x\udc00')).toBe('ж\ud801x\udc00');
  });

  it('keeps the number of code points', () => {
    expect(foldText('İstanbul ﬀ ẞ')).toBe('İstanbul ﬀ ß');
  });
});
