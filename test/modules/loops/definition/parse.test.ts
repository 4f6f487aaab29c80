import { describe, expect, it } from 'vitest';
import { type LoopDefinition, parseLoopDefinition } from '../../../../src/modules/loops/definition/index.ts';

const DAILY_TRIAGE = `name: daily-triage
trigger: cron("0 9 * * MON-FRI")
isolation: worktree
steps:
  - discover: { run: scan_ci_failures + open_issues + recent_commits, write_to: state/triage.md }
  - act: { for_each: finding in state/triage.md, spawn: implementer(finding), isolation: worktree }
  - verify: { agent: reviewer, check: tests_pass AND lint_clean AND diff_reasonable }
  - ship: { if: verified, run: open_pr + link_issue + notify_slack }
guardrails: { max_iterations: 3, budget: $5/run, halt_on: no_progress(2) }
`;

function yaml(text: string) {
  return parseLoopDefinition({ text, format: 'yaml' });
}

function accept(value: Record<string, unknown>): LoopDefinition {
  const result = parseLoopDefinition({ value: { name: 'x', ...value } });
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.definition;
}

function reject(value: Record<string, unknown>) {
  const result = parseLoopDefinition({ value: { name: 'x', ...value } });
  if (result.ok) throw new Error(`accepted as ${JSON.stringify(result.definition)}`);
  return result.errors;
}

describe('a definition from the wild', () => {
  it('registers as it stands, without a warning', () => {
    expect(yaml(DAILY_TRIAGE)).toEqual({
      ok: true,
      warnings: [],
      definition: {
        name: 'daily-triage',
        trigger: { kind: 'cron', expression: '0 9 * * MON-FRI' },
        isolation: 'worktree',
        steps: [
          { discover: { run: 'scan_ci_failures + open_issues + recent_commits', write_to: 'state/triage.md' } },
          { act: { for_each: 'finding in state/triage.md', spawn: 'implementer(finding)', isolation: 'worktree' } },
          { verify: { agent: 'reviewer', check: 'tests_pass AND lint_clean AND diff_reasonable' } },
          { ship: { if: 'verified', run: 'open_pr + link_issue + notify_slack' } },
        ],
        guardrails: {
          maxIterations: 3,
          budgets: [{ usd: 5, per: 'run' }],
          haltOn: [{ kind: 'no_progress', rounds: 2 }],
        },
      },
    });
  });

  it('takes its repo from the caller, unless it names one itself', () => {
    const named = parseLoopDefinition({ value: { name: 'x', repo: 'acme/shop' } }, { repo: 'acme/other' });
    const unnamed = parseLoopDefinition({ value: { name: 'x' } }, { repo: 'acme/other' });
    const bad = parseLoopDefinition({ value: { name: 'x' } }, { repo: '../shop' });
    expect(named).toMatchObject({ ok: true, definition: { repo: 'acme/shop' } });
    expect(unnamed).toMatchObject({ ok: true, definition: { repo: 'acme/other' } });
    expect(bad).toMatchObject({ ok: false, errors: [{ path: 'repo' }] });
  });

  it('is understood in snake_case and in camelCase, as one normal form', () => {
    const snake = accept({ guardrails: { max_iterations: 3, halt_on: 'no_progress(2)', max_parallel_runs: 2 } });
    const camel = accept({ guardrails: { maxIterations: 3, haltOn: { noProgress: 2 }, maxParallelRuns: 2 } });
    expect(snake).toEqual(camel);
    expect(reject({ guardrails: { max_iterations: 3, maxIterations: 4 } })).toMatchObject([
      { path: 'guardrails.maxIterations', reason: expect.stringContaining('twice') },
    ]);
  });

  it('reads its own normal form as the same definition', () => {
    const first = accept({
      scope: 'src/**',
      trigger: { cron: '0 9 * * *', tz: 'Europe/Berlin', jitter: '5m' },
      guardrails: {
        budget: ['$5/run', { usd: '20.50', per: 'day', alertAt: 0.8 }],
        halt_on: ['no_progress(2)', { reviewer: 'says so' }],
        max_duration: '1h30m',
        extra: [1],
      },
    });
    expect(accept(first)).toEqual(first);
  });
});

describe('keys', () => {
  it('that are unknown are kept at every level, each with a warning on its line', () => {
    const result = yaml(
      'name: x\nnodes:\n  - id: a\nguardrails:\n  max_tokens: 9\ntrigger: { manual: true, note: n }\n',
    );
    expect(result).toMatchObject({
      ok: true,
      definition: { nodes: [{ id: 'a' }], guardrails: { max_tokens: 9 }, trigger: { kind: 'manual', note: 'n' } },
    });
    expect(result.ok && result.warnings.map(({ code, path, line }) => [code, path, line])).toEqual([
      ['unknown_key', 'nodes', 2],
      ['unknown_key', 'guardrails.max_tokens', 5],
      ['unknown_key', 'trigger.note', 6],
    ]);
  });

  it('of the owner and of the schema are not kept', () => {
    const result = parseLoopDefinition({ value: { name: 'x', owner: 'mallory', $schema: 'https://example.com/s' } });
    expect(result).toMatchObject({ ok: true, definition: { name: 'x' }, warnings: [{ code: 'ignored_key' }] });
    expect(result.ok && Object.keys(result.definition)).toEqual(['name']);
  });

  it('that are empty count as absent', () => {
    expect(yaml('name: x\nteam:\nscope:\n')).toMatchObject({ ok: true, definition: { name: 'x' }, warnings: [] });
  });
});

describe('errors', () => {
  it('come all at once, each with the path and the line as written', () => {
    const text =
      'name: x\nscope:\n  - src/**\n  - "!a"\nguardrails:\n  max_iterations: 0\n  budget: lots\nlabels: {tier: 1}\n';
    const result = yaml(text);
    expect(!result.ok && result.errors.map(({ path, line }) => [path, line])).toEqual([
      ['scope[1]', 4],
      ['guardrails.max_iterations', 6],
      ['guardrails.budget', 7],
      ['labels.tier', 8],
    ]);
  });

  it.each([
    ['no name', {}, 'name'],
    ['a name with a slash first', { name: '/x' }, 'name'],
    ['a name over 100 characters', { name: 'x'.repeat(101) }, 'name'],
    ['a repo that is a URL', { name: 'x', repo: 'https://github.com/acme/shop' }, 'repo'],
    ['steps that are no list', { name: 'x', steps: { a: 1 } }, 'steps'],
    ['a scope that is a number', { name: 'x', scope: 5 }, 'scope'],
    ['a scope that holds a number', { name: 'x', scope: [5] }, 'scope[0]'],
    ['guardrails that are a list', { name: 'x', guardrails: [] }, 'guardrails'],
    ['a team that is empty', { name: 'x', team: '' }, 'team'],
  ])('name %s', (_, value, path) => {
    expect(parseLoopDefinition({ value })).toMatchObject({ ok: false, errors: [{ path, line: null }] });
  });

  it.each([null, 'text', 5, [], undefined])('refuse %j as a definition', (value) => {
    expect(parseLoopDefinition({ value })).toMatchObject({ ok: false });
  });

  it.each([
    ['__proto__', JSON.parse('{"name": "x", "steps": [{"__proto__": {"admin": true}}]}'), 'steps[0].__proto__'],
    ['a NUL', { name: 'x', note: 'a\u0000b' }, 'note'],
    ['half a surrogate pair', { name: 'x', note: ['\ud800'] }, 'note[0]'],
    ['a number that would change', { name: 'x', id: 2 ** 60 }, 'id'],
    ['what is no number', { name: 'x', id: Number.NaN }, 'id'],
    ['a date', { name: 'x', at: new Date(0) }, 'at'],
  ])('refuse %s, which could not be kept as it is', (_, value, path) => {
    expect(parseLoopDefinition({ value })).toMatchObject({ ok: false, errors: [{ path }] });
  });
});
