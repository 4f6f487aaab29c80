import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import {
  type DefinitionInput,
  definitionDigest,
  parseLoopDefinition,
} from '../../../../src/modules/loops/definition/index.ts';

function digestOf(input: DefinitionInput): string {
  const result = parseLoopDefinition(input);
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return definitionDigest(result.definition);
}

const key = fc.stringMatching(/^[a-z_][a-zA-Z_ .-]{0,8}$/);
const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => !/[\p{C}]/u.test(value));
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.double({ min: -1e6, max: 1e6, noNaN: true })),
    fc.array(tie('tree'), { maxLength: 3 }),
    fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
  ),
}));

/** Definitions with known parts and with unknown ones beside and below them. */
const definition = fc.record({
  name: fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
  trigger: fc.constantFrom('manual', 'cron("0 9 * * MON-FRI")', 'on(push)'),
  steps: fc.array(tree, { maxLength: 3 }),
  guardrails: fc.record({ max_iterations: fc.integer({ min: 1, max: 9 }), x_custom: tree }, { requiredKeys: [] }),
  x_custom: tree,
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, inner]) => [name, reversed(inner)]),
  );
}

describe('a definition has one digest', () => {
  it('whatever the order of its keys, its comments and its format', () => {
    fc.assert(
      fc.property(definition, (value) => {
        const digest = digestOf({ value });
        expect(digest).toMatch(/^[0-9a-f]{64}$/);
        expect(digestOf({ value: reversed(value) })).toBe(digest);
        expect(digestOf({ text: JSON.stringify(reversed(value), null, '\t'), format: 'json' })).toBe(digest);
        expect(digestOf({ text: `# why\n${stringify(value)}# end\n`, format: 'yaml' })).toBe(digest);
      }),
    );
  });

  it('whichever spelling and shorthand it uses', () => {
    const short = { name: 'x', scope: 'src/**', guardrails: { budget: '$5/run', halt_on: 'no_progress(2)' } };
    const long = {
      name: 'x',
      owner: 'someone',
      scope: ['src/**'],
      guardrails: { budget: { usd: 5, per: 'run' }, haltOn: [{ noProgress: 2 }] },
    };
    expect(digestOf({ value: short })).toBe(digestOf({ value: long }));
  });

  it('that any difference in what is kept changes', () => {
    const base = { name: 'x', steps: [{ a: 1 }, { b: 2 }], note: { deep: [1, 2] } };
    const others = [
      { ...base, name: 'y' },
      { ...base, steps: [{ b: 2 }, { a: 1 }] },
      { ...base, note: { deep: [1, '2'] } },
      { ...base, note: { deep: [1, 2, null] } },
      { ...base, repo: 'acme/shop' },
      { ...base, '': '' },
    ];
    const digests = [base, ...others].map((value) => digestOf({ value }));
    expect(new Set(digests).size).toBe(digests.length);
  });
});
