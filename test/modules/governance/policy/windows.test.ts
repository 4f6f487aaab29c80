import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, whereErrors } from './support.ts';

/** Whether the instants are within the window, decided as a rule decides. */
function within(window: object, instants: readonly string[]): boolean[] {
  return instants.map((at) => {
    const rule = { effect: 'deny', where: { at: { $within: window } } };
    const opposite = { effect: 'deny', where: { at: { $outside: window } } };
    const parts = { action: 'commit', subjects: [{ repo: 'r' }], at: new Date(at) } as const;
    const inside = decide(rule, 'allow', parts).outcome === 'deny';
    expect(decide(opposite, 'allow', parts).outcome).toBe(inside ? 'allow' : 'deny');
    return inside;
  });
}

describe('a time window', () => {
  it('begins with its first minute and ends before its last', () => {
    const window = { hours: '08:00-18:00', timeZone: 'UTC' };
    const at = ['T07:59:59.999Z', 'T08:00:00Z', 'T17:59:59.999Z', 'T18:00:00Z'].map((time) => `2026-11-20${time}`);
    expect(within(window, at)).toEqual([false, true, true, false]);
  });

  it('over midnight belongs to the day on which it starts', () => {
    const window = { days: 'fri', hours: '22:00-06:00', timeZone: 'UTC' };
    const at = [
      '2026-11-20T05:00Z',
      '2026-11-20T21:59Z',
      '2026-11-20T22:00Z',
      '2026-11-21T05:59Z',
      '2026-11-21T06:00Z',
      '2026-11-21T23:00Z',
    ];
    expect(within(window, at)).toEqual([false, false, true, true, false, false]);
  });

  it('to midnight and from midnight', () => {
    const at = ['2026-11-20T00:00Z', '2026-11-20T12:00Z', '2026-11-20T23:59Z'];
    expect(within({ hours: '12:00-24:00', timeZone: 'UTC' }, at)).toEqual([false, true, true]);
    expect(within({ hours: '12:00-00:00', timeZone: 'UTC' }, at)).toEqual([false, true, true]);
    expect(within({ hours: '00:00-24:00', timeZone: 'UTC' }, at)).toEqual([true, true, true]);
  });

  // 2026-11-16 is a Monday.
  const week = Array.from({ length: 7 }, (_, day) => `2026-11-${16 + day}T12:00Z`);
  it.each([
    ['mon-fri', 'yyyyynn'],
    ['fri-mon', 'ynnnyyy'],
    ['mon,wed', 'ynynnnn'],
    ['Mon-Tue, sat', 'yynnnyn'],
    [['sun', 'tue-wed'], 'nyynnny'],
    ['sun', 'nnnnnny'],
    ['mon-sun', 'yyyyyyy'],
  ])('on %s', (days, expected) => {
    const answers = within({ days, timeZone: 'UTC' }, week);
    expect(answers.map((inside) => (inside ? 'y' : 'n')).join('')).toBe(expected);
  });

  it('takes the day of the zone, not of UTC', () => {
    expect(
      within({ days: 'mon', timeZone: 'Asia/Tokyo' }, ['2026-11-15T15:00Z', '2026-11-16T14:59Z', '2026-11-16T15:00Z']),
    ).toEqual([true, true, false]);
    expect(within({ hours: '05:45-05:46', timeZone: 'Asia/Kathmandu' }, ['2026-11-16T00:00Z'])).toEqual([true]);
  });

  it('follows the clock through both changes', () => {
    const berlin = (hours: string) => ({ hours, timeZone: 'Europe/Berlin' });
    // The last Sunday of March: 02:00 becomes 03:00 at 01:00 UTC, so the hour does not exist.
    const spring = ['2026-03-29T00:59Z', '2026-03-29T01:00Z', '2026-03-29T01:59Z'];
    expect(within(berlin('02:00-03:00'), spring)).toEqual([false, false, false]);
    expect(within(berlin('03:00-04:00'), spring)).toEqual([false, true, true]);
    // The last Sunday of October: 03:00 becomes 02:00 at 01:00 UTC, so the hour comes twice.
    const autumn = [
      '2026-10-24T23:59Z',
      '2026-10-25T00:00Z',
      '2026-10-25T00:59Z',
      '2026-10-25T01:00Z',
      '2026-10-25T01:59Z',
      '2026-10-25T02:00Z',
    ];
    expect(within(berlin('02:00-03:00'), autumn)).toEqual([false, true, true, true, true, false]);
    // Eight o'clock is an hour apart before and after.
    expect(
      within(berlin('08:00-18:00'), [
        '2026-03-27T06:59Z',
        '2026-03-27T07:00Z',
        '2026-03-30T05:59Z',
        '2026-03-30T06:00Z',
      ]),
    ).toEqual([false, true, false, true]);
  });

  it('agrees with a clock read another way, at any instant in any zone', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Pacific/Apia'];
    const minute = fc.integer({ min: 0, max: 1_439 });
    const clock = (value: number) =>
      `${String(Math.floor(value / 60)).padStart(2, '0')}:${String(value % 60).padStart(2, '0')}`;
    const names = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
    const instant = fc.date({
      min: new Date('2020-01-01T00:00Z'),
      max: new Date('2030-01-01T00:00Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        minute,
        minute,
        fc.subarray(names, { minLength: 1 }),
        instant,
        (timeZone, from, to, days, at) => {
          fc.pre(from !== to);
          // "2026-11-20 13:05:00", in the zone.
          const local = new Date(`${at.toLocaleString('sv-SE', { timeZone }).replace(' ', 'T')}Z`);
          const time = local.getUTCHours() * 60 + local.getUTCMinutes();
          const startedYesterday = from > to && time < to;
          const day = names[(local.getUTCDay() + 6 - (startedYesterday ? 1 : 0) + 7) % 7] ?? '';
          const expected = days.includes(day) && (from < to ? time >= from && time < to : time >= from || time < to);
          expect(within({ days, hours: `${clock(from)}-${clock(to)}`, timeZone }, [at.toISOString()])).toEqual([
            expected,
          ]);
        },
      ),
      { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 300) },
    );
  });

  it.each([
    [{ hours: '08:00-18:00' }, 'needs its timeZone'],
    [{ timeZone: 'UTC' }, 'needs days or hours'],
    [{ days: 'mon', timeZone: 'Europe/Berlim' }, 'at.$within.timeZone: is not an IANA time zone'],
    [{ days: 'mon', timeZone: '+02:00' }, 'at.$within.timeZone: is not an IANA time zone'],
    [{ days: 'mon', timeZone: 3 }, 'at.$within.timeZone'],
    [{ days: 'monday', timeZone: 'UTC' }, 'at.$within.days'],
    [{ days: '', timeZone: 'UTC' }, 'at.$within.days'],
    [{ days: [], timeZone: 'UTC' }, 'at.$within.days'],
    [{ days: 'mon-wed-fri', timeZone: 'UTC' }, 'at.$within.days'],
    [{ days: null, timeZone: 'UTC' }, 'at.$within.days'],
    [{ hours: '8-18', timeZone: 'UTC' }, 'at.$within.hours'],
    [{ hours: '08:00-08:00', timeZone: 'UTC' }, 'at.$within.hours'],
    [{ hours: '24:00-08:00', timeZone: 'UTC' }, 'at.$within.hours'],
    [{ hours: '08:00-24:01', timeZone: 'UTC' }, 'at.$within.hours'],
    [{ hours: '08:60-09:00', timeZone: 'UTC' }, 'at.$within.hours'],
    [{ hour: '08:00-18:00', timeZone: 'UTC' }, 'at.$within.hour: "hour" is not a part'],
    ['mon-fri', 'takes a time window'],
  ])('refuses %j', (window, reason) => {
    expect(whereErrors({ at: { $within: window } }).join('\n')).toContain(reason);
  });
});
