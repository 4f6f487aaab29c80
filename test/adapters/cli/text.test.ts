import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut, exact, json, plain, widthOf, wrap } from '../../../src/adapters/cli/text.ts';

const anything = fc.string({ unit: 'binary', maxLength: 60 });
const words = fc.string({ unit: 'grapheme', maxLength: 60 }).map(plain);

describe('text of others', () => {
  it('never holds what a terminal acts on', () => {
    fc.assert(
      fc.property(anything, (text) => {
        for (const shown of [plain(text), exact(text)]) expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  it.each([
    ['an escape sequence', 'a\u{1b}[2Jb', 'a\\u{1b}[2Jb'],
    ['an 8-bit one', 'a\u{9b}2Jb', 'a\\u{9b}2Jb'],
    ['a turn of direction', 'a\u{202e}b', 'a\\u{202e}b'],
    ['nothing to see', 'a\u{200b}b', 'a\\u{200b}b'],
    ['a tag', 'a\u{e0041}b', 'a\\u{e0041}b'],
    ['a lone surrogate', 'a\u{d800}b', 'a\\u{d800}b'],
    ['a line break', 'a\r\n b', 'a  b'],
    ['ordinary text', 'Zoë 東京 👍 §', 'Zoë 東京 👍 §'],
  ])('is spelled out: %s', (_what, text, shown) => {
    expect(plain(text)).toBe(shown);
  });

  it('keeps line breaks visible where the exact text counts', () => {
    expect(exact('ls\n\trm -r .')).toBe('ls\\n\\trm -r .');
  });
});

describe('JSON', () => {
  it('is the same value, and nothing that a terminal acts on', () => {
    fc.assert(
      fc.property(fc.dictionary(anything, anything), (value) => {
        const printed = json(value);
        expect(JSON.parse(printed)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(printed.replaceAll('\n', '')).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});

describe('the room that text takes', () => {
  it('is kept by cutting, which shows that something is missing', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 3, max: 40 }), (text, width) => {
        const shown = cut(text, width);
        expect(widthOf(shown)).toBeLessThanOrEqual(width);
        expect(shown === text || shown.endsWith('…')).toBe(true);
      }),
    );
    expect(cut('東京都庁', 6)).toBe('東京…');
  });

  it('is kept by wrapping, which loses nothing but the spaces at the breaks', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 3, max: 40 }), (text, width) => {
        const lines = wrap(text, width);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
      }),
    );
    expect(wrap('who approves sees the end', 12)).toEqual(['who approves', 'sees the end']);
    expect(wrap('aaaaaaaaaa bb', 4)).toEqual(['aaaa', 'aaaa', 'aa', 'bb']);
  });
});
