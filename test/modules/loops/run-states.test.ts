import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkEpoch,
  isSilent,
  RUN_EVENTS,
  RUN_STATUSES,
  type RunStatus,
  statusAt,
  transition,
} from '../../../src/modules/loops/run-states.ts';

describe("a run's life", () => {
  it.each([
    ['running', 'beat', 'running'],
    ['running', 'stall', 'stalled'],
    ['running', 'finish', 'finished'],
    ['stalled', 'beat', 'running'],
    ['stalled', 'stall', 'stalled'],
    ['stalled', 'finish', 'finished'],
    ['stalled', 'abandon', 'finished'],
  ] as const)('goes from %s by %s to %s', (status, event, next) => {
    expect(transition(status, event)).toEqual({ ok: true, status: next });
  });

  it('is not given up while someone may be at work', () => {
    expect(transition('running', 'abandon')).toEqual({ ok: false, code: 'run_not_stalled' });
  });

  it('has no way out of finished, by any sequence of events', () => {
    fc.assert(
      fc.property(fc.constantFrom(...RUN_STATUSES), fc.array(fc.constantFrom(...RUN_EVENTS)), (start, events) => {
        let status: RunStatus = start;
        for (const event of events) {
          const next = transition(status, event);
          if (status === 'finished') expect(next).toEqual({ ok: false, code: 'run_finished' });
          if (next.ok && event === 'beat') expect(next.status).toBe('running');
          status = next.ok ? next.status : status;
        }
        const live = start !== 'finished' && !events.some((event) => event === 'finish' || event === 'abandon');
        if (live) expect(status).not.toBe('finished');
        if (events.includes('finish')) expect(status).toBe('finished');
      }),
    );
  });
});

describe('an epoch', () => {
  it('speaks for the run only while it is the current one', () => {
    expect(checkEpoch(3, 3)).toEqual({ ok: true });
    expect(checkEpoch(3, 2)).toEqual({ ok: false, code: 'epoch_stale' });
    expect(checkEpoch(3, 4)).toEqual({ ok: false, code: 'epoch_unknown' });
    expect(checkEpoch(3, Number.NaN)).toEqual({ ok: false, code: 'epoch_unknown' });
  });
});

describe('silence', () => {
  const lastBeatAt = new Date('2026-01-01T00:00:00Z');
  const after = (seconds: number) => new Date(lastBeatAt.getTime() + seconds * 1000);

  it('of stallSeconds makes a running run stalled, and never a finished one', () => {
    expect(statusAt({ status: 'running', lastBeatAt }, after(179.999), 180)).toBe('running');
    expect(statusAt({ status: 'running', lastBeatAt }, after(180), 180)).toBe('stalled');
    expect(statusAt({ status: 'stalled', lastBeatAt }, after(180), 180)).toBe('stalled');
    expect(statusAt({ status: 'finished', lastBeatAt }, after(9999), 180)).toBe('finished');
    expect(isSilent({ status: 'finished', lastBeatAt }, after(9999), 180)).toBe(false);
  });
});
