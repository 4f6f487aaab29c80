import { expect, it } from 'vitest';
import { Alarm } from '../../../src/modules/leases/waiting/alarm.ts';
import { ManualClock } from '../../support/clock.ts';

function rung() {
  const clock = new ManualClock();
  const ids: string[] = [];
  const alarm = new Alarm(clock, (_orgId, id) => ids.push(id));
  return { clock, ids, alarm };
}

it('rings each at its time, also one that is set for earlier than those before it', async () => {
  const { clock, ids, alarm } = rung();
  alarm.ring('org', 'late', 900);
  await clock.advance(10);
  alarm.ring('org', 'soon', 20);
  await clock.advance(19);
  expect(ids).toEqual([]);
  await clock.advance(1);
  expect(ids).toEqual(['soon']);
  await clock.advance(870);
  expect(ids).toEqual(['soon', 'late']);
});

it('rings once, at the earliest time that it was set for', async () => {
  const { clock, ids, alarm } = rung();
  alarm.ring('org', 'one', 100);
  alarm.ring('org', 'one', 500);
  alarm.ring('org', 'one', 50);
  await clock.advance(50);
  expect(ids).toEqual(['one']);
  await clock.advance(2000);
  expect(ids).toEqual(['one']);
});

it('is silent once it is closed', async () => {
  const { clock, ids, alarm } = rung();
  alarm.ring('org', 'one', 100);
  alarm.close();
  alarm.ring('org', 'two', 100);
  await clock.advance(2000);
  expect(ids).toEqual([]);
});
