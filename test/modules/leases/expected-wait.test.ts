import { describe, expect, it } from 'vitest';
import { expectedWait } from '../../../src/modules/leases/hold-history.ts';

const at = (seconds: number) => new Date(Date.UTC(2026, 2, 2, 12, 0, seconds));
const now = at(100);
const lease = { since: at(40).toISOString(), freeAt: at(700).toISOString(), queueLength: 0, ticketId: null };

describe('the expected wait', () => {
  it('for a lease is the median of what was left of holds that had lasted as long', () => {
    // Held for 60 s already: of holds that lasted longer, 30, 60 and 240 s were left.
    expect(expectedWait([5, 10, 90, 120, 300], lease, now)).toBe(60);
  });

  it('is never later than the lease is free without a renewal, and that where none lasted as long', () => {
    expect(expectedWait([9000], lease, now)).toBe(600);
    expect(expectedWait([1, 2], lease, now)).toBe(600);
    expect(expectedWait([], lease, now)).toBe(600);
    expect(expectedWait([9000], { ...lease, freeAt: at(90).toISOString() }, now)).toBe(0);
  });

  it('adds a median hold for each who waits before', () => {
    expect(expectedWait([5, 10, 90, 120, 300], { ...lease, queueLength: 2 }, now)).toBe(60 + 180);
  });

  it('for a waiter is a median hold for each in the line, unknown without history', () => {
    const waiter = { ...lease, ticketId: 'x', freeAt: null, queueLength: 3 };
    expect(expectedWait([10, 20, 30], waiter, now)).toBe(60);
    expect(expectedWait([], waiter, now)).toBe(null);
  });
});
