import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GuardrailInput, guardrailSignal, type IterationFacts } from '../../../src/modules/loops/progress.ts';

const startedAt = new Date('2026-01-01T00:00:00Z');
const idle: GuardrailInput = {
  guardrails: {},
  iterations: [],
  usage: { costUsd: 0, tokens: 0 },
  startedAt,
  now: startedAt,
};

function signal(input: Partial<GuardrailInput>) {
  const { signal: value, reasons } = guardrailSignal({ ...idle, ...input });
  return [value, ...reasons.map(({ code }) => code)];
}

const at = (ms: number) => new Date(startedAt.getTime() + ms);
const trees = (...hashes: string[]): IterationFacts[] => hashes.map((treeHash, i) => ({ number: i + 1, treeHash }));
const failing = (...sets: string[][]): IterationFacts[] =>
  sets.map((failingChecks, i) => ({ number: i + 1, treeHash: `t${i}`, failingChecks }));

describe('without guardrails', () => {
  it('a run goes on', () => {
    const usage = { costUsd: 1e6, tokens: 1e12 };
    const iterations = trees('a', 'a', 'a', 'a');
    expect(signal({ guardrails: undefined, usage, iterations })).toEqual(['continue']);
    expect(signal({ usage, iterations })).toEqual(['continue']);
  });
});

describe('max_iterations', () => {
  it('stops the round after the last one', () => {
    const guardrails = { maxIterations: 3 };
    expect(signal({ guardrails, iterations: [{ number: 3 }, { number: 2 }] })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: [{ number: 4 }, { number: 2 }] })).toEqual([
      'stop',
      'max_iterations_exceeded',
    ]);
  });
});

describe('max_duration', () => {
  it('stops when it is reached', () => {
    const guardrails = { maxDurationSeconds: 60 };
    expect(signal({ guardrails, now: at(59_999) })).toEqual(['continue']);
    expect(signal({ guardrails, now: at(60_000) })).toEqual(['stop', 'max_duration_reached']);
  });
});

describe('a budget per run', () => {
  const guardrails = { budgets: [{ usd: 0.3, per: 'run' as const }] };

  it('pauses when it is reached, to the micro-dollar', () => {
    expect(signal({ guardrails, usage: { costUsd: 0.1 + 0.2, tokens: 0 } })).toEqual(['pause', 'run_budget_reached']);
    expect(signal({ guardrails, usage: { costUsd: '0.300000', tokens: 0 } })).toEqual(['pause', 'run_budget_reached']);
    expect(signal({ guardrails, usage: { costUsd: '0.299999', tokens: 0 } })).toEqual(['continue']);
    expect(signal({ guardrails, usage: { costUsd: 0.299_999, tokens: 0 } })).toEqual(['continue']);
  });

  it('is not a budget per day or month', () => {
    const others = {
      budgets: [
        { usd: 1, per: 'day' as const },
        { usd: 1, per: 'month' as const },
      ],
    };
    expect(signal({ guardrails: others, usage: { costUsd: 50, tokens: 0 } })).toEqual(['continue']);
  });

  it('tells its reason beside a stop, which decides', () => {
    const both = { ...guardrails, maxIterations: 1 };
    const input = { guardrails: both, usage: { costUsd: 5, tokens: 0 }, iterations: [{ number: 2 }] };
    expect(signal(input)).toEqual(['stop', 'max_iterations_exceeded', 'run_budget_reached']);
    expect(guardrailSignal({ ...idle, ...input }).reasons[1]?.detail).toBe('spent 5 USD of 0.3 USD for a run');
  });
});

describe('no_progress(2)', () => {
  const guardrails = { haltOn: [{ kind: 'no_progress' as const, rounds: 2 }] };
  const stopped = ['stop', 'no_progress'];

  it('stops after two rounds in a row that left the tree as it was', () => {
    expect(signal({ guardrails, iterations: trees('a', 'a') })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: trees('a', 'a', 'a') })).toEqual(stopped);
    expect(signal({ guardrails, iterations: trees('b', 'a', 'a') })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: trees('a', 'a', 'a', 'b') })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: trees('a', 'a', 'b', 'b', 'b') })).toEqual(stopped);
  });

  it('stops when the same checks fail, however the tree changes', () => {
    expect(signal({ guardrails, iterations: failing(['x', 'y'], ['y', 'x'], ['x', 'y', 'x']) })).toEqual(stopped);
    expect(signal({ guardrails, iterations: failing(['x', 'y'], ['x'], ['x']) })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: failing(['x'], [], ['x']) })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: failing([], [], [], []) })).toEqual(['continue']);
  });

  it('counts rounds, in their order, and not reports', () => {
    const repeated = [...trees('a', 'a'), { number: 2, treeHash: 'a' }, { number: 2, treeHash: 'a' }];
    expect(signal({ guardrails, iterations: repeated })).toEqual(['continue']);
    expect(signal({ guardrails, iterations: trees('b', 'a', 'a', 'a').toReversed() })).toEqual(stopped);
    expect(signal({ guardrails, iterations: trees('a', 'a', 'a', 'b').toReversed() })).toEqual(['continue']);
  });

  it('is not got around by rounds that report nothing', () => {
    expect(signal({ guardrails, iterations: [...trees('a', 'a', 'a'), { number: 4 }] })).toEqual(stopped);
    expect(signal({ guardrails, iterations: [1, 2, 3, 4].map((number) => ({ number })) })).toEqual(['continue']);
  });

  it('takes a digest of the checkpoint where there is no tree', () => {
    const iterations = [1, 2, 3].map((number) => ({ number, checkpointDigest: 'same' }));
    expect(signal({ guardrails, iterations })).toEqual(stopped);
  });

  it('stops exactly when the last n + 1 trees are equal', () => {
    const hashes = fc.array(fc.constantFrom('a', 'b'), { maxLength: 8 });
    fc.assert(
      fc.property(hashes, fc.integer({ min: 1, max: 4 }), (history, rounds) => {
        const last = history.slice(-(rounds + 1));
        const stuck = last.length === rounds + 1 && new Set(last).size === 1;
        const halt = { haltOn: [{ kind: 'no_progress' as const, rounds }] };
        expect(signal({ guardrails: halt, iterations: trees(...history) })[0]).toBe(stuck ? 'stop' : 'continue');
      }),
    );
  });

  it('is only one of the conditions, and unknown ones halt nothing', () => {
    const haltOn = [{ kind: 'unknown' as const, expression: 'tests_pass' }];
    expect(signal({ guardrails: { haltOn }, iterations: trees('a', 'a', 'a', 'a') })).toEqual(['continue']);
  });
});
