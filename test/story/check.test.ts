import { describe, expect, it } from 'vitest';
import { mismatch } from '../../scripts/story/check.ts';

describe('what the story holds answers against', () => {
  it.each([
    [{ a: 1, b: { c: 'x', d: 2 } }, { b: { c: 'x' } }],
    [{ list: [{ id: 1, more: 2 }] }, { list: [{ id: 1 }] }],
    [null, null],
    [[], []],
  ])('takes %j for %j', (actual, expected) => {
    expect(mismatch(actual, expected)).toBeNull();
  });

  it.each([
    [{ a: 1 }, { a: 2 }, 'it.a is 1, expected 2'],
    [{ a: 1 }, { a: '1' }, 'it.a is 1, expected "1"'],
    [{}, { a: null }, 'it.a is nothing, expected null'],
    [null, { a: 1 }, 'it is null, expected {"a":1}'],
    [{ list: [1, 2] }, { list: [1] }, 'it.list has 2 items, expected 1: [1,2]'],
    [{ list: [] }, { list: [{ id: 1 }] }, 'it.list has 0 items, expected 1: []'],
    [{ list: [{ id: 1 }] }, { list: [{ id: 2 }] }, 'it.list[0].id is 1, expected 2'],
    [{ list: {} }, { list: [] }, 'it.list is {}, expected []'],
    [{ a: { b: 1 } }, { a: { b: { c: 1 } } }, 'it.a.b is 1, expected {"c":1}'],
  ])('says where %j is not %j', (actual, expected, told) => {
    expect(mismatch(actual, expected)).toBe(told);
  });
});
