import { describe, expect, it } from 'vitest';
import { isInert, READABLE } from '../../src/patterns/inert.ts';

const ALL = Array.from({ length: 0x110000 }, (_, point) => point).filter((point) => point < 0xd800 || point > 0xdfff);
const pointsOf = (text: string): number[] => Array.from(text, (character) => character.codePointAt(0)!);

/** All that have a canonical decomposition, with it. */
const DECOMPOSED = ALL.map((point) => [point, String.fromCodePoint(point).normalize('NFD')] as const).filter(
  ([point, parts]) => parts !== String.fromCodePoint(point),
);
const COMPOSITES = DECOMPOSED.filter(([point, parts]) => parts.normalize('NFC') === String.fromCodePoint(point));
/** A syllable with a trailing consonant takes nothing more. */
const isComplete = (point: number): boolean => point >= 0xac00 && point <= 0xd7a3 && (point - 0xac00) % 28 !== 0;

describe('an inert character', () => {
  it('is no mark, decomposes to nothing, and ends no segment', () => {
    expect(isInert(0x2e)).toBe(false);
    expect(isInert(0x2f)).toBe(false);
    expect(DECOMPOSED.filter(([point]) => isInert(point) && !isComplete(point))).toEqual([]);
    expect(ALL.filter((point) => isInert(point) && /\p{M}/u.test(String.fromCodePoint(point)))).toEqual([]);
  });

  it('is neither half of anything that is composed of two', () => {
    for (const [, parts] of COMPOSITES) {
      const points = pointsOf(parts);
      const beginnings = points.slice(1).map((_, at) => String.fromCodePoint(...points.slice(0, at + 1)));
      const halves = [...points, ...beginnings.flatMap((text) => pointsOf(text.normalize('NFC')))];
      expect(halves.filter((half) => isInert(half))).toEqual([]);
    }
  });

  it('changes beside no mark, and beside no half of a composite', () => {
    const halves = COMPOSITES.flatMap(([, parts]) => pointsOf(parts));
    const marks = ALL.filter((point) => /\p{M}/u.test(String.fromCodePoint(point)));
    const neighbours = [...new Set([...halves, ...marks, ...READABLE])]
      .map((point) => String.fromCodePoint(point))
      .filter((text) => text.normalize('NFC') === text);
    // Some thousand neighbours beside each of the readable ones, and of some hundred others from everywhere.
    const sample = [
      ...READABLE,
      ...ALL.filter((point, at) => isInert(point) && (at % 5003 === 0 || (point < 0x250 && at % 3 === 0))),
    ];
    for (const inert of sample.map((point) => String.fromCodePoint(point))) {
      const before = neighbours.map((text) => `\n${text}${inert}`).join('');
      const behind = neighbours.map((text) => `\n${inert}${text}`).join('');
      expect([inert, before.normalize('NFC') === before, behind.normalize('NFC') === behind]).toEqual([
        inert,
        true,
        true,
      ]);
    }
  });

  it('is each that reads well, most letters of most scripts, and every ideograph', () => {
    expect(READABLE.filter((point) => !isInert(point))).toEqual([]);
    expect(pointsOf('ðбшλקあ한中😀각').filter((point) => !isInert(point))).toEqual([]);
    expect(ALL.slice(0x4e00, 0xa000).filter((point) => !isInert(point))).toEqual([]);
    expect(pointsOf('eéйか가ᄀ\u0301').filter((point) => isInert(point))).toEqual([]);
  });
});
