import { expect, it } from 'vitest';
import {
  compilePolicySet,
  type PolicyDocument,
  parsePolicyDocument,
  standInPaths,
} from '../../../../src/modules/governance/index.ts';
import { compilePattern, matches, type Pattern, parsePath } from '../../../../src/patterns/index.ts';

const mode = { caseSensitive: true };

function pattern(text: string): Pattern {
  const read = compilePattern(text);
  if (!read.ok) throw new Error(read.problem.detail);
  return read.pattern;
}

function policySet(...wheres: object[]) {
  const rules = wheres.map((where, index) => ({ id: `r${index}`, effect: 'deny', actions: ['path.delete'], where }));
  const source = JSON.stringify({ name: 'house', defaults: { 'path.delete': 'allow' }, rules });
  const parsed = parsePolicyDocument(source, 'json');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed));
  return compilePolicySet([{ name: 'house', version: 1, document: parsed.document satisfies PolicyDocument }]);
}

it('a pattern is stood in for by a path in each glob and of each name that it reaches, and by one of its own', () => {
  const set = policySet(
    { path: { $glob: 'services/payments/**' } },
    { $or: [{ path: 'services/a.ts' }, { $not: { path: { $in: ['services/b.ts', 'lib/c.ts'] } } }] },
    { path: { $glob: 'lib/**' }, repo: 'acme/shop' },
  );
  const services = pattern('services/');
  const paths = standInPaths(set, services, { ...mode, isIntricate: () => false });
  expect(paths).toContain('services/a.ts');
  expect(paths).toContain('services/b.ts');
  expect(paths.some((path) => path.startsWith('services/payments/'))).toBe(true);
  expect(paths.some((path) => path.startsWith('lib/'))).toBe(false);
  for (const path of paths) {
    const read = parsePath(path);
    expect(read.ok && matches(services, read.path, mode)).toBe(true);
  }
});

it('without a rule about paths there is its own alone', () => {
  expect(
    standInPaths(policySet({ repo: 'acme/shop' }), pattern('docs/*.md'), { ...mode, isIntricate: () => false }),
  ).toHaveLength(1);
});
