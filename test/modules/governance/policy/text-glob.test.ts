import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTextGlob } from '../../../../src/modules/governance/policy/text-glob.ts';
import { decide } from './support.ts';

function matches(glob: string, text: string): boolean {
  const parsed = parseTextGlob(glob);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.test(text);
}

/** The same language as a regular expression. */
function asRegExp(glob: string): RegExp {
  const source = glob.replace(/\\?[^]/gu, (unit) => {
    if (unit === '*') return '[^]*';
    if (unit === '?') return '[^]';
    return [...(unit.length > 1 && unit.startsWith('\\') ? unit.slice(1) : unit)]
      .map((point) => `\\u{${(point.codePointAt(0) ?? 0).toString(16)}}`)
      .join('');
  });
  return new RegExp(`^${source}$`, 'u');
}

describe('a glob over a text', () => {
  it.each([
    ['npm *', 'npm run build -- --watch', true],
    ['npm *', 'npm', false],
    ['*rm -rf*', 'cd /tmp && rm -rf ./x/y', true],
    ['*', '', true],
    ['release/*', 'release/1/2', true],
    ['a*b*c', 'a/x\nb//c', true],
    ['a*b*c', 'acb', false],
    ['aba*aba', 'aba', false],
    ['*ab', 'aab', true],
    ['a?c', 'a\u{1f600}c', true],
    ['a?c', 'ac', false],
    ['\\*', '*', true],
    ['\\*', 'x', false],
    ['a\\{b\\}', 'a{b}', true],
  ])('%j on %j is %j', (glob, text, expected) => {
    expect(matches(glob, text)).toBe(expected);
  });

  it('agrees with the regular expression that says the same', () => {
    const glob = fc.array(fc.constantFrom('a', 'b', '*', '?', '\\*', '\\?', '\u{1f600}', '/', '.'), {
      minLength: 1,
      maxLength: 8,
    });
    const text = fc.array(fc.constantFrom('a', 'b', '*', '?', '\u{1f600}', '/', '\n', '.'), { maxLength: 10 });
    fc.assert(
      fc.property(glob, text, (units, points) => {
        const [g, t] = [units.join(''), points.join('')];
        expect(matches(g, t), `${g} on ${t}`).toBe(asRegExp(g).test(t));
      }),
      { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 5_000) },
    );
  });

  it.each(['', 'a\\', '{a,b}', '[ab]', 'x'.repeat(513)])('refuses %j', (glob) => {
    expect(parseTextGlob(glob).ok).toBe(false);
  });
});

it('a command is compared with its white space evened out', () => {
  const outcome = (where: object, command: string) =>
    decide({ effect: 'deny', where }, 'allow', { action: 'command.run', subjects: [{ repo: 'r', command }] }).outcome;
  expect(outcome({ command: { $glob: 'git push *--force*' } }, '  git\t push   origin\n --force')).toBe('deny');
  expect(outcome({ command: 'git  push' }, 'git push ')).toBe('deny');
  expect(outcome({ command: { $in: ['ls', 'git push'] } }, 'git \\\n push')).toBe('allow');
});
