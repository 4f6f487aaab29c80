import { afterEach, expect, it, vi } from 'vitest';
import { BatchPlan } from '../../../src/modules/admission/hot/plan.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { shortWay } from './short-way.ts';

const logger = createLogger({ level: 'fatal' });
const logged = vi.spyOn(logger, 'warn');
const { calls, known } = shortWay({ logger });
afterEach(() => logged.mockClear());

it('a mistake in deciding for one call costs only time, and is seen in the log', async () => {
  const { ann } = await known();
  const mistake = new TypeError('a mistake');
  // After something was planned already, which must not be written.
  vi.spyOn(BatchPlan.prototype, 'grant').mockImplementationOnce(() => {
    throw mistake;
  });
  expect(await ann.acquire({ paths: ['a'] })).toMatchObject({ status: 201 });
  expect(await calls()).toEqual([null]);
  expect(logged.mock.calls).toEqual([[{ err: mistake }, expect.any(String)]]);
});

it('what is only refused is not logged', async () => {
  const { ann } = await known();
  const { lease } = (await ann.acquire({ paths: ['a'] })).body;
  expect(await ann.caller.post(`/leases/${lease.id}/renew`, { fence: lease.fence + 1, ttlSeconds: 60 })).toMatchObject({
    status: 409,
  });
  expect(logged).not.toHaveBeenCalled();
});
