import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseLoopDefinition } from '../../../../src/modules/loops/definition/index.ts';
import { formatMicros, microsOfAmount, microsOfCost } from '../../../../src/modules/loops/definition/money.ts';

function parse(guardrails: unknown) {
  const result = parseLoopDefinition({ value: { name: 'x', guardrails } });
  return result.ok ? { ...result.definition.guardrails, warnings: result.warnings } : { errors: result.errors };
}

describe('a budget', () => {
  it.each([
    ['$5/run', [{ usd: 5, per: 'run' }]],
    ['$20.50 / day', [{ usd: 20.5, per: 'day' }]],
    ['1,500 USD per month', [{ usd: 1500, per: 'month' }]],
    ['$5', [{ usd: 5, per: 'run' }]],
    [0.25, [{ usd: 0.25, per: 'run' }]],
    [{ usd: 5 }, [{ usd: 5, per: 'run' }]],
    [{ usd: '5.00', per: 'day' }, [{ usd: 5, per: 'day' }]],
    [
      ['$5/run', '$20/day'],
      [
        { usd: 5, per: 'run' },
        { usd: 20, per: 'day' },
      ],
    ],
  ])('written %j is %j', (budget, budgets) => {
    expect(parse({ budget })).toEqual({ budgets, warnings: [] });
  });

  it.each([
    '$5/week',
    '$5/iteration',
    '€5/run',
    '-5',
    '$1,00/run',
    '5 dollars',
    '',
    -1,
    Number.MAX_SAFE_INTEGER,
    0.000_000_1,
    0.123_456_7,
    '$0.1234567/run',
    true,
    {},
    { usd: 'much' },
    { usd: 5, per: 'week' },
    ['$5/run', '$6/run'],
  ])('written %j is refused: a limit is never guessed', (budget) => {
    expect(parse({ budget })).toMatchObject({ errors: [{ path: expect.stringMatching(/^guardrails\.budget/) }] });
  });
});

describe('a halt condition', () => {
  it.each([
    ['no_progress(2)', 2],
    ['noProgress( 3 )', 3],
    [{ noProgress: 4 }, 4],
    [{ no_progress: 5 }, 5],
    [['no_progress(6)'], 6],
  ])('written %j takes %i rounds without progress', (halt_on, rounds) => {
    expect(parse({ halt_on })).toEqual({ haltOn: [{ kind: 'no_progress', rounds }], warnings: [] });
  });

  it.each(['no_progress', 'no_progress()', 'no_progress(0)', 'no_progress(two)', { noProgress: 1.5 }, 5])(
    'written %j is refused',
    (halt_on) => {
      expect(parse({ halt_on })).toMatchObject({ errors: [{ path: expect.stringMatching(/^guardrails\.halt_on/) }] });
    },
  );

  it('that nobody knows is kept with a warning that it halts nothing', () => {
    expect(parse({ halt_on: ['tests_pass', { spend: { over: 5 } }] })).toMatchObject({
      haltOn: [
        { kind: 'unknown', expression: 'tests_pass' },
        { kind: 'unknown', expression: '{"spend":{"over":5}}' },
      ],
      warnings: [{ path: 'guardrails.halt_on[0]' }, { path: 'guardrails.halt_on[1].spend' }],
    });
  });
});

describe('a maximum duration', () => {
  it.each([
    ['30m', 1800],
    ['1h30m', 5400],
    ['2 hours', 7200],
    ['90s', 90],
    ['PT1H30M', 5400],
    ['P1D', 86_400],
    [600, 600],
  ])('written %j is %i seconds', (max_duration, maxDurationSeconds) => {
    expect(parse({ max_duration })).toEqual({ maxDurationSeconds, warnings: [] });
  });

  it.each(['', 'P', 'PT', '0s', 'soon', '5', '1.5h', '1h 30', 0, -5, 1.5])('written %j is refused', (max_duration) => {
    expect(parse({ max_duration })).toMatchObject({ errors: [{ path: 'guardrails.max_duration' }] });
  });
});

describe('money', () => {
  it('goes through a number and back without drift', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 999_999_999_999_999n }), (micros) => {
        expect(microsOfAmount(formatMicros(micros))).toBe(micros);
        expect(microsOfCost(formatMicros(micros))).toBe(micros);
        expect(microsOfCost(Number(formatMicros(micros)))).toBe(micros);
      }),
    );
  });

  it('takes a sum of doubles for what it means', () => {
    expect(microsOfCost(0.1 + 0.2)).toBe(300_000n);
    expect(microsOfCost('4.9999995')).toBe(5_000_000n);
    expect(microsOfCost(1e-9)).toBe(0n);
    expect(() => microsOfCost(Number.NaN)).toThrow(RangeError);
    expect(() => microsOfCost(-1)).toThrow(RangeError);
  });
});
