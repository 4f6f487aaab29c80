import { describe, expect, it } from 'vitest';
import { parseLoopDefinition } from '../../../../src/modules/loops/definition/index.ts';

function refusal(text: string, format: 'yaml' | 'json' = 'yaml') {
  const result = parseLoopDefinition({ text, format });
  if (result.ok) throw new Error('accepted');
  return result.errors[0];
}

const BOMB = [
  'name: x',
  'a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]',
  ...'bcdefghi'
    .split('')
    .map((key, i) => `${key}: &${key} [${Array.from({ length: 9 }, () => `*${'abcdefgh'[i]}`).join(', ')}]`),
].join('\n');

describe('a YAML text', () => {
  it.each([
    ['the same key twice', 'name: x\nname: y', 2, /unique/],
    ['several documents', 'name: x\n---\nname: y', 2, /more than one document/],
    ['a number as a key', 'name: x\nlabels:\n  1: a', 3, /no string/],
    ['a boolean as a key', 'name: x\ntrue: a', 2, /no string/],
    ['a list as a key', 'name: x\n? [a]\n: b', 2, /no string/],
    ['an unknown tag', 'name: !secret x', 1, /tag/i],
    ['a YAML 1.1 boolean as a key', '%YAML 1.1\n---\nname: x\non: push', 4, /no string/],
    ['a syntax error', 'name: x\nsteps: [a', 2, /./],
  ])('is refused for %s', (_, text, line, reason) => {
    expect(refusal(text)).toMatchObject({ line, reason: expect.stringMatching(reason) });
  });

  it.each([
    ['nothing in it', '# a comment', /mapping/],
    ['more than 256 KiB', `name: x\ndescription: "${'a'.repeat(257 * 1024)}"`, /256 KiB/],
    ['aliases that multiply', BOMB, /alias/i],
    ['an alias of itself', 'name: x\na: &a [*a]', /nested deeper/],
  ])('is refused for %s', (_, text, reason) => {
    expect(refusal(text)?.reason).toMatch(reason);
  });

  // Without the limits below the composer, the first of these ended the process, and the last took 20 s.
  it.each([
    ['open brackets', '['.repeat(200_000)],
    ['open mappings', '{a: '.repeat(50_000)],
    ['lists in lists', '- '.repeat(5000)],
    ['keys in keys', '? '.repeat(5000)],
    ['indentation', Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
    ['a deep key', `? ${'['.repeat(100)}${']'.repeat(100)}\n: b`],
    ['many keys', Array.from({ length: 30_000 }, (_, i) => `k${i}:`).join('\n')],
    ['many anchors', '&a '.repeat(80_000)],
  ])('made to exhaust the parser with %s is refused at once', (_, text) => {
    const started = performance.now();
    expect(refusal(text)?.reason).toMatch(/nested deeper than|holds more than/);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('may share parts through anchors and merge keys', () => {
    const text = 'name: x\nbase: &base { max_iterations: 3 }\nguardrails: { <<: *base, budget: $5/run }';
    expect(parseLoopDefinition({ text, format: 'yaml' })).toMatchObject({
      ok: true,
      definition: { guardrails: { maxIterations: 3, budgets: [{ usd: 5, per: 'run' }] } },
    });
  });
});

describe('a JSON text', () => {
  it('is read as JSON, with lines', () => {
    const text = '{\n\t"name": "x",\n\t"guardrails": {\n\t\t"maxIterations": 0\n\t}\n}';
    expect(refusal(text, 'json')).toMatchObject({ path: 'guardrails.maxIterations', line: 4 });
  });

  it.each([
    ['YAML', 'name: x', /JSON/],
    ['a trailing comma', '{"name": "x",}', /JSON/],
    ['an open end', '{"name": "x"', /JSON/],
    ['the same key twice', '{"name": "x",\n"name": "y"}', /same key twice/],
    ['__proto__', '{"name": "x", "__proto__": {"a": 1}}', /cannot|can be kept/],
    ['brackets to exhaust the parser', '['.repeat(100_000) + ']'.repeat(100_000), /holds more than/],
  ])('is refused for %s', (_, text, reason) => {
    expect(refusal(text, 'json')?.reason).toMatch(reason);
  });

  it('takes a merge key as any other key', () => {
    const result = parseLoopDefinition({ text: '{"name": "x", "<<": {"team": "a"}}', format: 'json' });
    expect(result).toMatchObject({
      ok: true,
      definition: { '<<': { team: 'a' } },
      warnings: [{ code: 'unknown_key' }],
    });
  });
});
