import { expect, it } from 'vitest';
import { Patience } from '../../../src/adapters/agent-hooks/patience.ts';
import { ManualClock } from '../../support/clock.ts';

const never = () => new Promise<never>(() => undefined);

it('what is done in time is the answer, also what fails in time', async () => {
  const clock = new ManualClock();
  expect(await new Patience(clock, 1000).demand(Promise.resolve('done'))).toBe('done');
  await expect(new Patience(clock, 1000).demand(Promise.reject(new Error('ours')))).rejects.toThrow('ours');
});

it('what is not done in time is an error in time', async () => {
  const clock = new ManualClock();
  const late = expect(new Patience(clock, 1000).demand(never())).rejects.toMatchObject({ status: 503 });
  await clock.advance(1000);
  await late;
});

it('the time that a person takes is added, also while it runs', async () => {
  const clock = new ManualClock();
  const patience = new Patience(clock, 1000);
  let told = false;
  const late = expect(patience.demand(never()).finally(() => (told = true))).rejects.toMatchObject({ status: 503 });
  await clock.advance(500);
  patience.extend(5000);
  await clock.advance(5499);
  expect(told).toBe(false);
  await clock.advance(1);
  await late;
});
