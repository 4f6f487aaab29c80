import { describe, expect, it } from 'vitest';
import { parseLoopDefinition } from '../../../../src/modules/loops/definition/index.ts';

function parse(trigger: unknown) {
  const result = parseLoopDefinition({ value: { name: 'x', trigger } });
  return result.ok ? { trigger: result.definition.trigger, warnings: result.warnings } : { errors: result.errors };
}

describe('a trigger', () => {
  it.each([
    ['cron("0 9 * * MON-FRI")', 'cron', '0 9 * * MON-FRI'],
    ["cron('*/15 * * * *')", 'cron', '*/15 * * * *'],
    ['cron(0 9 * * 1-5)', 'cron', '0 9 * * 1-5'],
    ['schedule("0 9 1 * *")', 'cron', '0 9 1 * *'],
    ['0 9 * * *', 'cron', '0 9 * * *'],
    ['@daily', 'cron', '@daily'],
    ['manual', 'manual', ''],
    ['manual()', 'manual', ''],
    ['on(push)', 'event', 'push'],
    ['on("pull_request.opened")', 'event', 'pull_request.opened'],
    ['every(15m)', 'interval', '15m'],
    ['every 2 hours', 'interval', '2 hours'],
    ['5m', 'interval', '5m'],
    ['FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9;BYMINUTE=0', 'rrule', 'FREQ=WEEKLY;BYDAY=MO,WE;BYHOUR=9;BYMINUTE=0'],
    ['RRULE:FREQ=HOURLY;INTERVAL=6', 'rrule', 'RRULE:FREQ=HOURLY;INTERVAL=6'],
    ['rrule("FREQ=MONTHLY;BYDAY=-1FR")', 'rrule', 'FREQ=MONTHLY;BYDAY=-1FR'],
    [{ cron: '0 9 * * *' }, 'cron', '0 9 * * *'],
    [{ schedule: '0 9 * * *' }, 'cron', '0 9 * * *'],
    [{ on: 'push' }, 'event', 'push'],
    [{ every: '1h30m' }, 'interval', '1h30m'],
    [{ rrule: 'FREQ=DAILY' }, 'rrule', 'FREQ=DAILY'],
    [{ manual: true }, 'manual', ''],
    [{ kind: 'event', expression: 'push' }, 'event', 'push'],
    [{ type: 'cron', cron: '0 9 * * *' }, 'cron', '0 9 * * *'],
    [{ expression: 'cron("0 9 * * *")' }, 'cron', '0 9 * * *'],
  ])('written %j is of kind %s', (written, kind, expression) => {
    expect(parse(written)).toEqual({ trigger: { kind, expression }, warnings: [] });
  });

  it.each([
    ['cron("0 25 * * *")', 'hour'],
    ['cron("0 9 * * FOO")', 'FOO'],
    ['cron("daily")', 'five fields'],
    ['cron("2026-01-01T00:00:00")', 'five fields'],
    ['cron("*/0 * * * *")', 'stepping'],
    ['61 * * * *', 'minute'],
    [{ cron: '' }, 'five fields'],
    [{ cron: 5 }, 'string'],
    [{ cron: '0 9 * * *', every: '1h' }, 'one trigger'],
    [{ cron: '0 9 * * *', timeZone: 'Mars/Olympus' }, 'time zone'],
    [['manual'], 'one trigger'],
    [5, 'one trigger'],
    ['on()', 'event'],
    ['every(soon)', 'interval'],
    ['RRULE:FREQ=SOMETIMES', 'FREQ'],
    ['FREQ=DAILY;BYHOUR=24', 'BYHOUR'],
    ['FREQ=DAILY;COUNT=1;UNTIL=20260101', 'both'],
    ['FREQ=DAILY;FREQ=DAILY', 'twice'],
    ['FREQ=DAILY;EVERY=2', 'EVERY'],
    ['rrule("INTERVAL=2")', 'FREQ'],
    ['FREQ=DAILY;BYDAY=MON', 'BYDAY'],
  ])('written %j is refused with a reason', (written, reason) => {
    expect(parse(written)).toEqual({
      errors: [{ path: expect.stringMatching(/^trigger/), line: null, reason: expect.stringContaining(reason) }],
    });
  });

  it('with a time zone keeps it', () => {
    const trigger = { kind: 'cron', expression: '0 9 * * *', timeZone: 'Europe/Berlin' };
    expect(parse({ cron: '0 9 * * *', tz: 'Europe/Berlin' })).toEqual({ trigger, warnings: [] });
  });

  it('that nobody knows is kept with a warning', () => {
    expect(parse('when the moon is full')).toMatchObject({
      trigger: { kind: 'unknown', expression: 'when the moon is full' },
      warnings: [{ code: 'unknown_trigger', path: 'trigger' }],
    });
    expect(parse({ kind: 'webhook', url: '/in' })).toMatchObject({
      trigger: { kind: 'unknown', expression: 'webhook', url: '/in' },
      warnings: [{ code: 'unknown_key' }, { code: 'unknown_trigger' }],
    });
  });

  it('that matches no date is reported', () => {
    expect(parse('cron("0 0 31 2 *")')).toMatchObject({ warnings: [{ code: 'trigger_never_fires' }] });
    expect(parse('cron("0 0 29 2 *")')).toMatchObject({ warnings: [] });
  });
});
