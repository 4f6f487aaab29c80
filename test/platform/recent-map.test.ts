import { describe, expect, it } from 'vitest';
import { RecentMap } from '../../src/platform/recent-map.ts';

const filled = (limit: number, from: number, to: number, map = new RecentMap<number>(limit)) => {
  for (let at = from; at < to; at += 1) map.set(`k${at}`, at);
  return map;
};
/** Looks at the newest first: a look is a use. */
const kept = (map: RecentMap<number>, to: number) =>
  Array.from({ length: to }, (_, at) => to - 1 - at)
    .filter((at) => map.get(`k${at}`) !== undefined)
    .toReversed();

describe('a map of what was used recently', () => {
  it('keeps at least the newest half of its limit, and never more than the limit', () => {
    for (let count = 1; count < 60; count += 1) {
      const found = kept(filled(10, 0, count), count);
      expect(found.length).toBeLessThanOrEqual(10);
      expect(found.slice(-Math.min(count, 5))).toEqual(
        Array.from({ length: Math.min(count, 5) }, (_, at) => count - Math.min(count, 5) + at),
      );
    }
  });

  it('keeps what is used, however much else comes', () => {
    const map = filled(10, 0, 1);
    for (let at = 1; at < 1000; at += 1) {
      map.set(`k${at}`, at);
      expect(map.get('k0')).toBe(0);
    }
  });

  it('has the value that was set last, and none that was deleted, in whichever half they are', () => {
    const map = filled(10, 0, 5);
    filled(10, 5, 8, map);
    map.set('k1', 100);
    map.delete('k2');
    expect([map.get('k1'), map.get('k2'), map.get('k3')]).toEqual([100, undefined, 3]);
    map.set('k6', 600);
    map.delete('k7');
    expect([map.get('k6'), map.get('k7')]).toEqual([600, undefined]);
  });

  it('holds at least one', () => {
    const map = new RecentMap<number>(1);
    map.set('a', 1);
    expect(map.get('a')).toBe(1);
  });
});
