import { describe, expect, it } from 'vitest';
import { compilePattern, parsePath, parsePattern, storedPath } from '../../src/patterns/index.ts';
import { path } from './build.ts';
import { AT_LIMIT, NO_PATHS, REFUSED } from './tables.ts';

describe('parsePath', () => {
  it.each(NO_PATHS.map(([text, code]) => [text.slice(0, 30), code, text]))('refuses %j as %s', (_, code, text) => {
    expect(parsePath(text)).toMatchObject({ ok: false, problem: { code } });
  });

  it.each(['a', 'a/b', '.a', '..a', '...', 'a..b', 'app/[id]/page.tsx', '*', '!x', 'a b', '{a,b}', '-', 'a\\b'])(
    'takes %j as it stands',
    (text) => {
      expect(parsePath(text)).toMatchObject({ ok: true, path: { kind: 'path', text } });
    },
  );

  it('takes thirty marks in a row, which are more than any language writes', () => {
    expect(parsePath(`q${'\u0301'.repeat(30)}/q${'\u0301'.repeat(30)}`).ok).toBe(true);
  });

  it('spells a path one way', () => {
    expect(parsePath('cafe\u0301/\u212a')).toMatchObject({
      ok: true,
      path: { text: 'caf\u00e9/K', folded: 'caf\u00e9/k' },
    });
  });
});

describe('a path that was accepted', () => {
  const characters = Array.from({ length: 0x30000 }, (_, point) => point)
    .filter((point) => point < 0xd800 || point > 0xdfff)
    .map((point) => String.fromCodePoint(point))
    .filter((character) => character.normalize('NFC') !== character);

  it('is accepted again as it was spelled then, whatever NFC makes of a character', () => {
    expect(characters.length).toBeGreaterThan(1000);
    for (const character of characters) {
      for (const text of [
        character,
        `${character}:/x`,
        `a/${character}`,
        `.${character}`,
        `${character}${character}`,
      ]) {
        const read = parsePath(text);
        if (read.ok) expect(parsePath(read.path.text)).toEqual(read);
      }
    }
  });

  it('is read from where it was kept as it was', () => {
    for (const text of ['app/[id]/page.tsx', 'a/Été.TS', '\u0130/𐐀', 'x'.repeat(4000)]) {
      expect(storedPath(text)).toEqual(path(text));
    }
    expect(storedPath('K:/x')).toMatchObject({ kind: 'path', text: 'K:/x', folded: 'k:/x' });
  });
});

describe('parsePattern', () => {
  it.each(REFUSED.map(([text, code]) => [text.slice(0, 30), code, text]))('refuses %j as %s', (_, code, text) => {
    const result = parsePattern(text);
    expect(result).toMatchObject({ ok: false, problem: { code } });
    expect(result.ok ? '' : result.problem.detail).not.toBe('');
  });

  it.each(AT_LIMIT.map((text) => [text.slice(0, 20), text]))('takes %j and so on, at a limit', (_, text) => {
    expect(parsePattern(text)).toMatchObject({ ok: true, pattern: { kind: 'pattern', text } });
  });
});

describe('compilePattern', () => {
  it('answers as parsePattern does, and remembers', () => {
    const first = compilePattern('src/**');
    expect(first.ok).toBe(true);
    expect(compilePattern('src/**')).toBe(first);
    expect(compilePattern('a**')).toEqual(parsePattern('a**'));
  });
});
