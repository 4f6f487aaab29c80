import { describe, expect, it } from 'vitest';
import { readEvidencePath } from '../../../../src/modules/incidents/ranking/evidence-path.ts';
import { PathIndex } from '../../../../src/modules/incidents/ranking/path-index.ts';

function strength(evidence: string, file: string, caseSensitive = true): number {
  return new PathIndex([readEvidencePath(evidence)], { caseSensitive }).match(file).get(0)?.strength ?? 0;
}

describe('a path out of a stack trace', () => {
  it.each([
    ['src/a.ts', ['src', 'a.ts'], false],
    ['./src/a.ts', ['src', 'a.ts'], false],
    ['src/', ['src'], false],
    ['/app/src/a.ts', ['app', 'src', 'a.ts'], true],
    ['file:///app/a.ts', ['app', 'a.ts'], true],
    ['webpack://shop/./src/a.ts', ['shop', 'src', 'a.ts'], true],
    ['C:\\work\\shop\\a.cs', ['work', 'shop', 'a.cs'], true],
    ['github.com/acme/shop/pay.go', ['github.com', 'acme', 'shop', 'pay.go'], true],
    ['x/../src/a.ts', ['src', 'a.ts'], false],
    ['../../a.ts', ['a.ts'], false],
    ['main.py', ['main.py'], false],
    ['cafe\u0301/a', ['caf\u00e9', 'a'], false],
    ['/', [], true],
    ['', [], false],
  ])('%j is read as %j', (text, segments, prefixed) => {
    expect(readEvidencePath(text)).toEqual({ segments, prefixed });
  });
});

describe('a changed file', () => {
  it.each([
    ['is the very file', 'src/pay/a.ts', 'src/pay/a.ts', 1],
    ['lies behind a prefix', '/app/src/pay/a.ts', 'src/pay/a.ts', 0.9],
    ['lies behind a prefix by its bare name only', '/app/a.ts', 'a.ts', 0.4],
    ['ends as the evidence', 'src/a.ts', 'services/pay/src/a.ts', 0.7],
    ['has the bare name', 'a.ts', 'services/pay/src/a.ts', 0.3],
    ['is a neighbour', 'src/pay/a.ts', 'src/pay/b.ts', 0.3],
    ['is a neighbour behind a prefix', '/app/src/pay/a.ts', 'src/pay/b.ts', 0.27],
    ['lies one directory down', 'src/pay/a.ts', 'src/pay/x/b.ts', 0.15],
    ['lies one directory up', 'src/pay/x/a.ts', 'src/pay/b.ts', 0.15],
    ['lies in the next directory', 'src/pay/a.ts', 'src/cart/b.ts', 0.075],
    ['lies in the directory that is named', 'src/pay/', 'src/pay/b.ts', 0.3],
    ['is too far', 'src/a/b/c.ts', 'src/x/y/z.ts', 0],
    ['shares only the root', 'a.ts', 'b.ts', 0],
    ['only ends in the same letters', 'src/a.ts', 'src/data.ts', 0.3],
    ['is relative to another root than it looks', 'packages/core/src/a.ts', 'src/a.ts', 0],
  ])('%s', (_how, evidence, file, expected) => {
    expect(strength(evidence, file)).toBeCloseTo(expected, 10);
  });

  it('is compared as its repo compares', () => {
    expect(strength('SRC/Pay.ts', 'src/pay.ts')).toBe(0);
    expect(strength('SRC/Pay.ts', 'src/pay.ts', false)).toBe(1);
  });
});
