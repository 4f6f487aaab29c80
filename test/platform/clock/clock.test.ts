import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { isUuid, newId } from '../../../src/platform/ids.ts';
import { ManualClock } from '../../support/clock.ts';

describe('systemClock', () => {
  it('sleeps, and wakes with the reason when told to stop', async () => {
    await systemClock.sleep(0);
    const stop = new AbortController();
    const asleep = systemClock.sleep(2 ** 40, stop.signal);
    stop.abort(new Error('shutting down'));
    await expect(asleep).rejects.toThrow('shutting down');
    await expect(systemClock.sleep(0, stop.signal)).rejects.toThrow('shutting down');
  });

  it('never counts back', () => {
    const before = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before);
  });
});

describe('ManualClock', () => {
  it('wakes sleepers in the order of their due times, each at its own', async () => {
    const clock = new ManualClock();
    const woken: [string, number][] = [];
    const sleepThenNote = async (name: string, ms: number) => {
      await clock.sleep(ms);
      woken.push([name, clock.monotonicMs()]);
    };
    const all = [sleepThenNote('late', 30), sleepThenNote('early', 10), sleepThenNote('never', 31)];
    const twice = sleepThenNote('first', 5).then(() => sleepThenNote('second', 15));
    await clock.advance(30);
    await Promise.all([all[0], all[1], twice]);
    expect(woken).toEqual([
      ['first', 5],
      ['early', 10],
      ['second', 20],
      ['late', 30],
    ]);
    expect(clock.pending).toBe(1);
    expect(clock.now().toISOString()).toBe('2026-01-01T00:00:00.030Z');
  });

  it('forgets a sleeper that was told to stop', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const asleep = clock.sleep(10, stop.signal);
    stop.abort(new Error('enough'));
    await expect(asleep).rejects.toThrow('enough');
    expect(clock.pending).toBe(0);
  });
});

describe('newId', () => {
  it('makes version 7 ids that sort by the time they were made', () => {
    const ids = Array.from({ length: 1000 }, newId);
    expect(ids.every((id) => isUuid(id) && id[14] === '7')).toBe(true);
    expect(ids.toSorted()).toEqual(ids);
    expect(isUuid('not-a-uuid')).toBe(false);
  });
});
