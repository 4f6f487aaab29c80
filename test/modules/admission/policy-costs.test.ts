import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { decideBatch } from '../../../src/modules/admission/hot/decide-batch.ts';
import { judgeRequest } from '../../../src/modules/admission/hot/judgement.ts';
import type { AskOperation } from '../../../src/modules/admission/hot/operation.ts';
import type { Snapshot } from '../../../src/modules/admission/hot/snapshot.ts';
import { ClaimTable, type HeldLease } from '../../../src/modules/leases/index.ts';
import { workDone } from '../../../src/patterns/index.ts';
import { systemPrincipal } from '../../../src/platform/principal.ts';
import { policySetOf } from '../governance/policy/support.ts';

const many = (count: number, make: (at: number) => string): string[] =>
  Array.from({ length: count }, (_, at) => make(at));

function asking(
  globs: readonly string[],
  paths: readonly string[],
  { patterns = [] as readonly string[], caseSensitive = true } = {},
) {
  const snapshot = {
    now: new Date(),
    halts: [],
    policyVersion: 1,
    policies: policySetOf({
      name: 'house',
      defaults: { 'path.edit': 'allow' },
      rules: globs.map((glob, at) => ({
        id: `rule-${at}`,
        effect: 'deny',
        actions: ['path.edit'],
        where: { path: { $glob: glob } },
        reason: 'No.',
      })),
    }),
    keys: new Map(),
    kept: new Map(),
    repos: new Map([['repo', { name: 'acme/shop', caseSensitive }]]),
    tables: new Map([['repo', new ClaimTable<HeldLease>({ caseSensitive })]]),
    waiters: new Map(),
    approvals: new Map(),
  } as unknown as Snapshot;
  const op = {
    kind: 'ask',
    principal: systemPrincipal('org'),
    idempotent: null,
    runId: null,
    repo: { id: 'repo', name: 'acme/shop' },
    action: 'path.edit',
    parts: [{ action: 'path.edit', subjects: paths.map((path) => ({ repo: 'acme/shop', path })), patterns }],
    wanted: null,
    waits: false,
    ticketId: null,
  } as unknown as AskOperation;
  return { snapshot, op };
}

/** What policies that deny each of `globs` say, and what it costs in steps to tell: see `workDone`. */
function ask(...asked: Parameters<typeof asking>) {
  const { snapshot, op } = asking(...asked);
  const before = workDone();
  return { ...judgeRequest(snapshot, op, null), steps: workDone() - before };
}

/** Wherever there is an `x`, all that follows may have begun: some thirty thousand steps for a path of 4 KB. */
const COSTLY = many(80, (at) => `**/*x${'?'.repeat(185 - at)}[yw]`);

describe('what it costs to tell what the policies say', () => {
  it('is enough for five hundred paths under a thousand rules that may be anywhere', () => {
    const paths = many(500, (at) => `packages/p${at}/src/handlers/deep/file-${at}.ts`);
    expect(
      ask(
        many(1000, (at) => `**/x${at}/**`),
        paths,
      ).outcome,
    ).toBe('allow');
    expect(
      ask(
        many(1000, (at) => `**/s${at}-*.ts`),
        [...paths.slice(1), 'a/b/s77-c.ts'],
      ),
    ).toMatchObject({
      outcome: 'deny',
      rules: expect.arrayContaining([expect.objectContaining({ id: 'rule-77', paths: ['a/b/s77-c.ts'] })]),
    });
  });

  it('is as much in a repo that does not tell A from a, also at first', () => {
    const paths = many(500, (at) => `Packages/p${at}/src/handlers/deep/file-${at}.ts`);
    const globs = many(60, (at) => `**/{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}-Some-Long-Name-${at}/**`);
    expect(ask(globs, paths, { caseSensitive: false }).outcome).toBe('allow');
  });

  it.each<[string, string[], string[]]>([
    ['long paths', many(20, (at) => `a/${'x'.repeat(4000)}z${at}`), []],
    ['patterns', [], many(500, (at) => `**/*z${'?'.repeat(150 - (at % 100))}[uv]${at}*`)],
  ])('is bounded for %s under costly globs, and what was not told is denied', (_, paths, patterns) => {
    const { steps, ...judgement } = ask(COSTLY, paths, { patterns });
    expect(judgement).toMatchObject({ outcome: 'deny', shadow: { outcome: 'deny' } });
    expect(judgement.rules.find(({ id }) => id === 'guardrail:policies_too_intricate')).toMatchObject({
      effect: 'deny',
      paths: [...paths, ...patterns],
    });
    expect(steps).toBeLessThan(42_000_000);
  });

  it('is bounded for long commands under globs that may begin anywhere', () => {
    const policies = policySetOf({
      name: 'house',
      defaults: { 'command.run': 'allow' },
      rules: many(300, (at) => `*${'a?'.repeat(120)}b${at}*c`).map((glob, at) => ({
        id: `rule-${at}`,
        effect: 'deny',
        actions: ['command.run'],
        where: { command: { $glob: glob } },
        reason: 'No.',
      })),
    });
    const asked = asking([], []);
    const op = {
      ...asked.op,
      parts: [{ action: 'command.run', subjects: [{ repo: 'acme/shop', command: 'a'.repeat(100_000) }] }],
    };
    const before = workDone();
    const { outcome, rules } = judgeRequest({ ...asked.snapshot, policies }, op as unknown as AskOperation, null);
    expect(outcome).toBe('deny');
    expect(rules.map(({ id }) => id)).toContain('guardrail:policies_too_intricate');
    expect(workDone() - before).toBeLessThan(60_000_000);
  });

  it('is bounded for many of them together, too: they are to be decided one by one', async () => {
    const { snapshot, op } = asking(
      COSTLY,
      many(20, (at) => `a/${'x'.repeat(4000)}z${at}`),
    );
    const noDatabase = null as unknown as pg.PoolClient;
    const before = workDone();
    await expect(
      decideBatch(
        noDatabase,
        snapshot,
        Array.from({ length: 10 }, () => op),
      ),
    ).rejects.toMatchObject({ name: 'TooMuchTogether' });
    expect(workDone() - before).toBeLessThan(60_000_000);
    const { results } = await decideBatch(noDatabase, snapshot, [op]);
    expect(results).toMatchObject([{ ok: true, answer: { body: { outcome: 'deny' } } }]);
  });
});
