/** Each way in which a policy engine built on CASL goes wrong in silence, and that this one does not. */
import { describe, expect, it } from 'vitest';
import {
  compilePolicySet,
  evaluate,
  PolicyCompileError,
  type PolicyDocument,
} from '../../../../src/modules/governance/policy/index.ts';
import { ACTOR, decide, documentOf, errorsOf, policySetOf, requestOf, whereErrors } from './support.ts';

const edit = (path: string, repo = 'acme/shop') => ({ action: 'path.edit', subjects: [{ repo, path }] }) as const;
const deploy = (environment: string) =>
  ({ action: 'deploy', subjects: [{ repo: 'acme/shop', service: 'api', environment }] }) as const;

describe('an operator that is not known', () => {
  it('is refused with the one that was meant, at every depth', () => {
    expect(whereErrors({ path: { $glbo: 'x' } })).toEqual(['path.$glbo: no operator $glbo (did you mean "$glob"?)']);
    expect(whereErrors({ $or: [{ $not: { path: { $and: [{ $regex: 'x' }] } } }] })).toEqual([
      expect.stringContaining('$or[0].$not.path.$and[0].$regex: no operator $regex'),
    ]);
    expect(whereErrors({ $nor: [{ repo: 'a' }] })).toEqual([expect.stringContaining('no operator $nor')]);
    expect(whereErrors({ $eq: 'a' })).toEqual(['$eq: $eq belongs under a field']);
  });

  it.each([
    ['a field', { environment: { $not: { $in: ['staging', 'test'] } } }],
    ['the top', { $not: { environment: { $in: ['staging', 'test'] } } }],
    ['an $or at the top', { $or: [{ environment: 'production' }, { environment: 'canary' }] }],
    ['an $or under a field', { environment: { $or: [{ $eq: 'production' }, { $glob: 'can*' }] } }],
    ['an $and at the top', { $and: [{ service: 'api' }, { environment: { $nin: ['staging', 'test'] } }] }],
    ['nested', { $and: [{ $not: { $or: [{ environment: 'staging' }, { environment: { $eq: 'test' } }] } }] }],
  ])('a logical operator at %s evaluates as it reads', (_, where) => {
    const outcome = (environment: string) => decide({ effect: 'deny', where }, 'allow', deploy(environment)).outcome;
    expect(['production', 'canary', 'staging', 'test'].map(outcome)).toEqual(['deny', 'deny', 'allow', 'allow']);
  });
});

describe('a value that is missing', () => {
  it.each([undefined, null, Number.NaN, '5', -1, Number.POSITIVE_INFINITY])('usd %s is denied, not cheap', (usd) => {
    const evaluation = decide({ effect: 'allow', where: { usd: { $lt: 10 } } }, 'allow', {
      action: 'budget.spend',
      subjects: [{ usd }],
    });
    expect(evaluation).toMatchObject({ outcome: 'deny', missing: ['usd'], shadow: { outcome: 'deny' } });
    expect(evaluation.rules).toEqual([expect.objectContaining({ id: 'missing:usd', policy: null, effect: 'deny' })]);
  });

  it('does not make $ne and $nin hold in an allow', () => {
    for (const environment of [{ $ne: 'production' }, { $nin: ['production'] }]) {
      const evaluation = decide({ effect: 'allow', where: { environment } }, 'allow', {
        action: 'deploy',
        subjects: [{ repo: 'acme/shop', service: 'api' }],
      });
      expect(evaluation).toMatchObject({ outcome: 'deny', missing: ['environment'] });
    }
    const ownerless = decide({ effect: 'allow', where: { owner: { $ne: 'bob' } } }, 'deny', edit('a'));
    expect(ownerless.outcome).toBe('deny');
  });

  it('is denied without any policy as well, and without any subject', () => {
    const set = policySetOf();
    expect(evaluate(set, requestOf({ action: 'path.edit', subjects: [] }))).toMatchObject({
      outcome: 'deny',
      missing: ['repo', 'path'],
    });
  });
});

it('of several paths one denied is enough, wherever it stands', () => {
  const rule = { effect: 'deny', where: { path: { $glob: 'secrets/**' } } };
  const paths = ['a.ts', 'secrets/key', 'b.ts'];
  for (const order of [paths, paths.toReversed()]) {
    const subjects = order.map((path) => ({ repo: 'acme/shop', path }));
    const evaluation = decide(rule, 'allow', { action: 'path.edit', subjects });
    expect(evaluation.outcome).toBe('deny');
    expect(evaluation.rules.map(({ id, paths: matched }) => [id, matched.toSorted()])).toEqual([
      ['rule', ['secrets/key']],
      ['default:path.edit', ['a.ts', 'b.ts']],
    ]);
  }
});

it('a list under a negation is not matched by any one of its elements', () => {
  const rule = { effect: 'allow', where: { team: { $ne: 'contractors' } } };
  const actor = { ...ACTOR, teams: ['payments', 'contractors'] };
  expect(decide(rule, 'deny', { ...edit('a'), actor }).outcome).toBe('deny');
});

it('a rule is never decided by its type alone: its condition must hold', () => {
  const where = { path: { $glob: 'docs/**' } };
  expect(decide({ effect: 'allow', where }, 'deny', edit('src/a.ts')).outcome).toBe('deny');
  expect(decide({ effect: 'deny', where }, 'allow', edit('docs/a.md')).outcome).toBe('deny');
});

it('the order of rules and of policies does not matter: a later allow opens nothing', () => {
  const rules = [
    { id: 'deny', effect: 'deny', where: { path: { $glob: 'a/**' } } },
    { id: 'ask', effect: 'require_approval', where: { path: { $glob: '**/*.ts' } } },
    { id: 'allow', effect: 'allow' },
  ].map((rule) => ({ ...rule, actions: ['path.edit'], reason: 'r' }));
  const orders = [rules, rules.toReversed(), [rules[1], rules[0], rules[2]]];
  for (const order of orders) {
    const one = policySetOf({ name: 'one', defaults: { 'path.edit': 'allow' }, rules: order });
    const many = policySetOf(
      ...order.map((rule, index) => ({ name: `p${index}`, defaults: { 'path.edit': 'allow' }, rules: [rule] })),
    );
    for (const set of [one, many]) {
      const ids = (path: string) => evaluate(set, requestOf(edit(path))).rules.map(({ id }) => id);
      expect(ids('a/x.ts')).toEqual(['deny', 'ask', 'allow']);
      expect(ids('b/x.ts')).toEqual(['ask', 'allow']);
      expect(evaluate(set, requestOf(edit('a/x.ts'))).outcome).toBe('deny');
      expect(evaluate(set, requestOf(edit('b/x.ts'))).outcome).toBe('require_approval');
    }
  }
});

it('a caller cannot set what the server sets, nor choose its own subject type', () => {
  const smuggled = {
    repo: 'acme/shop',
    path: 'a.ts',
    __caslSubjectType__: 'acme/shop\ndocs/',
    at: '2026-11-20T12:00:00Z',
    owner: 'alice',
    team: ['admins'],
    role: 'admin',
    'loop.name': 'release',
    loop: { name: 'release' },
    run: { status: 'running' },
    constructor: 'x',
  };
  const asked = { action: 'path.edit', subjects: [smuggled] } as const;
  for (const where of [
    { owner: 'alice' },
    { team: 'admins' },
    { role: 'admin' },
    { loop: { name: { $exists: true } } },
    { run: { status: 'running' } },
    { at: { $lt: '2026-11-20T12:30:00Z' } },
  ]) {
    const at = new Date('2026-11-20T23:00:00Z');
    expect(decide({ effect: 'allow', where }, 'deny', { ...asked, at }).outcome, JSON.stringify(where)).toBe('deny');
  }
  const inherited = Object.create({ repo: 'acme/shop', path: 'a.ts' }) as Record<string, unknown>;
  expect(decide({ effect: 'allow' }, 'allow', { action: 'path.edit', subjects: [inherited] }).missing).toEqual([
    'repo',
    'path',
  ]);
});

it('paths are conditions: `fields` is no part of a rule', () => {
  const rule = { id: 'rule', effect: 'deny', actions: ['path.edit'], fields: [], reason: 'r' };
  const errors = errorsOf(JSON.stringify({ name: 'house', defaults: { 'path.edit': 'allow' }, rules: [rule] }), 'json');
  expect(errors).toEqual([expect.stringContaining('rules[0].fields: no key "fields" here')]);
});

it.each(['.env', 'a/.env', '.github/workflows/ci.yml', 'a/.b/.c'])('** reaches the dotfile %s', (path) => {
  expect(decide({ effect: 'deny', where: { path: { $glob: '**' } } }, 'allow', edit(path)).outcome).toBe('deny');
});

it.each(['./secrets/key', 'secrets//key', 'a/../secrets/key', '/secrets/key', 'secrets/key\u0000', ''])(
  'a path that has another spelling is not asked about: %j',
  (path) => {
    const evaluation = decide({ effect: 'deny', where: { path: { $glob: 'secrets/**' } } }, 'allow', edit(path));
    expect(evaluation).toMatchObject({ outcome: 'deny', missing: ['path'] });
  },
);

it('two Unicode spellings are one path', () => {
  const rule = { effect: 'deny', where: { path: { $glob: 'caf\u00e9/**' } } };
  expect(decide(rule, 'allow', edit('cafe\u0301/menu')).outcome).toBe('deny');
});

it('a case-insensitive repo compares paths so under every operator', () => {
  for (const path of [
    { $glob: 'Secrets/**' },
    'secrets/KEY',
    { $in: ['x', 'SECRETS/key'] },
    { $not: { $ne: 'secrets/Key' } },
  ]) {
    const rule = { effect: 'deny', where: { path } };
    expect(decide(rule, 'allow', { ...edit('sEcrets/key'), caseSensitive: false }).outcome).toBe('deny');
    expect(decide(rule, 'allow', edit('sEcrets/key')).outcome).toBe('allow');
  }
});

it('the end of a path is compared as the repo compares it, however long it is', () => {
  const long = `x.${'q'.repeat(60)}`;
  for (const [glob, path] of [
    ['**/*.SQL', 'db/a.sql'],
    ['**/*.sql', 'db/A.Sql'],
    [`**/${long.toUpperCase()}`, long],
  ]) {
    const rule = { effect: 'deny', where: { path: { $glob: glob } } };
    expect(decide(rule, 'allow', { ...edit(path ?? ''), caseSensitive: false }).outcome).toBe('deny');
    expect(decide(rule, 'allow', edit(path ?? '')).outcome).toBe('allow');
    expect(
      decide({ effect: 'deny', where: { path: { $glob: `**/${path?.split('/').at(-1)}` } } }, 'allow', edit(path ?? ''))
        .outcome,
    ).toBe('deny');
  }
});

it('a rule that is found in several ways is explained once', () => {
  const where = { $or: [{ path: { $glob: 'a/b/**' } }, { path: { $glob: 'a/**' } }, { path: 'a/b/c' }] };
  expect(decide({ effect: 'deny', where }, 'allow', edit('a/b/c')).rules).toEqual([
    expect.objectContaining({ id: 'rule', paths: ['a/b/c'] }),
  ]);
});

it('no expression runs for longer than its text: there is no $regex, and many stars stay cheap', () => {
  expect(whereErrors({ path: { $regex: '(a+)+$' } })).toHaveLength(1);
  const glob = '*a'.repeat(200);
  const command = `${'a'.repeat(100_000)}b`;
  const started = process.cpuUsage();
  const subjects = [{ repo: 'acme/shop', command }];
  decide({ effect: 'deny', where: { command: { $glob: glob } } }, 'allow', { action: 'command.run', subjects });
  const { user } = process.cpuUsage(started);
  expect(user / 1_000).toBeLessThan(500);
});

it('a document that does not compile fails when it is compiled, by name, and not in a decision', () => {
  const good = documentOf({ name: 'house', defaults: { deploy: 'allow' } });
  const rule = { id: 'bad', effect: 'deny', mode: 'enforce', actions: ['deploy'], where: { path: 'a' } } as const;
  const bad: PolicyDocument = { ...good, rules: [rule] };
  const compile = () => compilePolicySet([{ name: 'house', version: 7, document: bad }]);
  expect(compile).toThrow(PolicyCompileError);
  expect(compile).toThrow(/house version 7, rule bad/);
});

it('every match keeps its id, policy, version and reason, of an allow as of a deny', () => {
  const rule = { id: 'mine', effect: 'allow', actions: ['path.edit'], reason: 'Because.' };
  const set = policySetOf({ name: 'house', defaults: { 'path.edit': 'deny' }, rules: [rule] });
  expect(evaluate(set, requestOf(edit('a'))).rules).toEqual([
    { id: 'mine', policy: 'house', version: 1, effect: 'allow', reason: 'Because.', mode: 'enforce', paths: ['a'] },
  ]);
});

describe('time', () => {
  it('in a document is text and in a request a clock, and they compare', () => {
    const rule = { effect: 'deny', where: { at: { $gte: '2026-12-24T00:00:00+01:00', $lt: '2026-12-25T00:00:00Z' } } };
    const outcomeAt = (at: string) => decide(rule, 'allow', { ...deploy('production'), at: new Date(at) }).outcome;
    expect(outcomeAt('2026-12-23T22:59:59Z')).toBe('allow');
    expect(outcomeAt('2026-12-23T23:00:00Z')).toBe('deny');
    expect(outcomeAt('2026-12-25T00:00:00Z')).toBe('allow');
  });

  it('that is none is refused on both sides', () => {
    expect(whereErrors({ at: { $gte: '2026-12-24' } })).toEqual([
      expect.stringContaining('at.$gte: takes a time like'),
    ]);
    expect(whereErrors({ at: '2026-12-24T00:00:00Z' })).toEqual([expect.stringContaining('$eq does not apply to at')]);
    const at = new Date(Number.NaN);
    expect(() => decide({ effect: 'deny' }, 'allow', { ...edit('a'), at })).toThrow(TypeError);
  });
});

it('one set serves every actor', () => {
  const rule = { id: 'r', effect: 'allow', actions: ['path.edit'], where: { team: 'payments' }, reason: 'r' };
  const set = policySetOf({ name: 'house', defaults: { 'path.edit': 'deny' }, rules: [rule] });
  const as = (teams: string[]) => evaluate(set, requestOf({ ...edit('a'), actor: { ...ACTOR, teams } })).outcome;
  expect([as(['payments']), as([]), as(['payments', 'x']), as(['x'])]).toEqual(['allow', 'deny', 'allow', 'deny']);
});

it('an action that is not in the list is refused in a document, with the one that was meant', () => {
  const document = (action: string) =>
    JSON.stringify({
      name: 'house',
      defaults: { [action]: 'deny' },
      rules: [{ id: 'r', effect: 'deny', actions: [action] }],
    });
  expect(errorsOf(document('path.edti'), 'json')).toEqual([
    'defaults["path.edti"]: no action "path.edti" (did you mean "path.edit"?)',
    'rules[0].actions[0]: no action "path.edti" (did you mean "path.edit"?)',
  ]);
  for (const name of ['manage', 'toString', '__proto__', 'all']) {
    expect(errorsOf(document(name), 'json').length, name).toBeGreaterThan(0);
  }
  const set = policySetOf();
  expect(() => evaluate(set, requestOf({ action: 'path.edti' as 'path.edit', subjects: [{}] }))).toThrow(TypeError);
});
