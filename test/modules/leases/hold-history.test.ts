import { expect, it } from 'vitest';
import type { Conflict } from '../../../src/modules/leases/decide.ts';
import { HoldHistory } from '../../../src/modules/leases/hold-history.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { Database } from '../../../src/platform/database/database.ts';

const now = new Date();
const conflict = () =>
  ({ since: now.toISOString(), freeAt: null, queueLength: 1, ticketId: 'x', expectedWaitSeconds: null }) as Conflict;

it('a history that could not be read is read again at once, and one that could is kept', async () => {
  let reads = 0;
  const read = async () => {
    reads += 1;
    if (reads === 1) throw new Error('no database');
    return [{ seconds: 30 }];
  };
  const database = { read: (_: unknown, work: (tx: unknown) => unknown) => work({ db: { $queryRaw: read } }) };
  const history = new HoldHistory(database as unknown as Database, systemClock);
  const judged = async () => {
    const one = conflict();
    await history.judge('org', 'repo', [one], now);
    return one.expectedWaitSeconds;
  };
  // Unknown, but no error.
  expect(await judged()).toBeNull();
  expect(await judged()).toBe(30);
  expect(await judged()).toBe(30);
  expect(reads).toBe(2);
});
