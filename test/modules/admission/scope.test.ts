import { describe, expect, it } from 'vitest';
import { judgeRequest } from '../../../src/modules/admission/hot/judgement.ts';
import type { AskOperation } from '../../../src/modules/admission/hot/operation.ts';
import type { Snapshot } from '../../../src/modules/admission/hot/snapshot.ts';
import { EMPTY_POLICY_SET } from '../../../src/modules/governance/policy/index.ts';
import type { RunFacts } from '../../../src/modules/loops/index.ts';
import { workDone } from '../../../src/patterns/index.ts';
import { systemPrincipal } from '../../../src/platform/principal.ts';

const snapshot = {
  now: new Date(),
  halts: [],
  policies: EMPTY_POLICY_SET,
  keys: new Map(),
  repos: new Map([['repo', { name: 'acme/shop', caseSensitive: true }]]),
} as unknown as Snapshot;

const runOf = (scope: readonly string[]) =>
  ({
    loop: { id: 'loop', name: 'loop', labels: {}, scope, guardrails: undefined },
    owner: { id: 'owner' },
    teams: [],
    iteration: 0,
    usage: {},
    startedAt: new Date(),
  }) as unknown as RunFacts;

function rulesFor(scope: readonly string[], paths: readonly string[], patterns: readonly string[] = []) {
  const op = {
    principal: systemPrincipal('org'),
    repo: { id: 'repo', name: 'acme/shop' },
    parts: [{ action: 'path.edit', subjects: paths.map((path) => ({ path })), patterns }],
  } as unknown as AskOperation;
  const before = workDone();
  const { rules } = judgeRequest(snapshot, op, runOf(scope));
  return { rules: rules.filter(({ id }) => id === 'guardrail:out_of_scope'), steps: workDone() - before };
}

const many = (count: number, make: (at: number) => string): string[] =>
  Array.from({ length: count }, (_, at) => make(at));

describe("a loop's scope", () => {
  it('holds paths that one of its patterns matches, and patterns that one of them covers', () => {
    const scope = ['src/**', 'docs/*.md'];
    expect(rulesFor(scope, ['src/a.ts', 'docs/b.md'], ['src/a/', 'docs/x*.md']).rules).toEqual([]);
    expect(rulesFor(scope, ['src/a.ts', 'docs/b.ts'], ['docs/'])).toMatchObject({
      rules: [{ effect: 'deny', reason: "The loop's scope is src/**, docs/*.md.", paths: ['docs/b.ts', 'docs/'] }],
    });
  });

  it('is compared in full where five hundred paths and as many patterns lie in twenty directories', () => {
    const scope = many(20, (at) => `packages/p${at}/**`);
    const paths = many(500, (at) => `packages/p${at % 20}/src/file${at}.ts`);
    const patterns = many(480, (at) => `packages/p${at % 20}/{src,test}/dir${at}/**/*.{ts,tsx}`);
    expect(rulesFor(scope, paths, patterns).rules).toEqual([]);
  });

  it.each([
    [
      'long paths',
      many(100, (at) => `**/*x${'?'.repeat(185 - at)}[yw]`),
      many(10, (at) => `${'x'.repeat(4080)}z${at}`),
      [] as string[],
    ],
    [
      'intricate patterns',
      many(100, (at) => `**/${'*[a-y]'.repeat(75)}${at}?`),
      [],
      many(50, (at) => `**/*[!a]${'*[a-z]'.repeat(60)}${at}?`),
    ],
  ])('denies what it would take too long to compare: %s', (_, scope, paths, patterns) => {
    const { rules } = rulesFor(scope, paths, patterns);
    expect(rules).toMatchObject([{ effect: 'deny', paths: [...paths, ...patterns] }]);
    expect(rules[0]?.reason).toContain('ask for less at once');
    // By now all of them are compiled. What policies say to patterns is a part of it.
    expect(rulesFor(scope, paths, patterns).steps).toBeLessThan(7_000_000);
  });
});
