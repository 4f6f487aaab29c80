import fc from 'fast-check';
import type { Json } from './oracle.ts';

const REPOS = ['acme/shop', 'acme/blog'];
const PATHS = [
  'a',
  'a/b',
  'a/b/c.ts',
  'A/b/c.ts',
  'a/.env',
  'b/c',
  'b/\u017f.ts',
  'b/s.ts',
  'a/bc',
  'c/\u00e9/x.ts',
  '[x]/y',
  'a/X.TS',
];
const GLOBS = [
  '**',
  'a/**',
  'a/',
  'a/*',
  'a/b/*.ts',
  '**/*.ts',
  '**/*.TS',
  'a/**/c.ts',
  '{a,b}/**',
  '{a/b,b}/c*',
  '?/b',
  'a/b',
  'b/S.ts',
  'a/b*',
];
const WINDOWS: Json[] = [
  { days: ['mon', 'tue', 'wed'], hours: '08:00-18:00', timeZone: 'Europe/Berlin' },
  { hours: '22:00-06:00', timeZone: 'America/New_York' },
  { days: ['sat', 'sun'], timeZone: 'UTC' },
  { days: ['fri'], hours: '22:00-06:00', timeZone: 'Asia/Tokyo' },
];

const texts = (...values: string[]) => fc.constantFrom(...values);
const lists = (values: fc.Arbitrary<unknown>) => fc.array(values, { minLength: 1, maxLength: 3 });
const operator = (name: string, operand: fc.Arbitrary<unknown>) => operand.map((value): Json => ({ [name]: value }));

function equality(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown>[] {
  const single = ['$eq', '$ne'].map((name) => operator(name, values));
  const several = ['$in', '$nin'].map((name) => operator(name, lists(values)));
  return [values, ...single, ...several, operator('$exists', fc.boolean())];
}

const order = (values: fc.Arbitrary<unknown>) => ['$lt', '$lte', '$gt', '$gte'].map((name) => operator(name, values));
const globs = (...values: string[]) => operator('$glob', texts(...values));
const windows = fc.constantFrom(...WINDOWS);

const numbers = fc.constantFrom(0, 1, 2, 5, 10, 50);
const SERVER: Record<string, fc.Arbitrary<unknown>[]> = {
  owner: equality(texts('alice', 'bob')),
  team: [...equality(texts('payments', 'platform')), globs('pay*', '*form')],
  role: equality(texts('loop', 'member')),
  'loop.name': [...equality(texts('nightly', 'release')), globs('*', 'n?ghtly')],
  'loop.labels': equality(texts('x', 'y')),
  'run.iteration': [...equality(numbers), ...order(numbers)],
  at: [operator('$within', windows), operator('$outside', windows)],
};
const repo = { repo: [...equality(texts(...REPOS)), globs('acme/*', '*shop')] };
const path = { path: [...equality(texts(...PATHS)), globs(...GLOBS), globs(...GLOBS)] };

/** The actions that are asked about, in groups with the same fields. */
const GROUPS: { actions: string[]; fields: Record<string, fc.Arbitrary<unknown>[]>; subject: fc.Arbitrary<Json> }[] = [
  {
    actions: ['path.edit', 'path.delete'],
    fields: { ...repo, ...path },
    subject: fc.record({ repo: texts(...REPOS), path: texts(...PATHS) }) as fc.Arbitrary<Json>,
  },
  {
    actions: ['deploy'],
    fields: { ...repo, environment: equality(texts('production', 'staging')) },
    subject: fc.record(
      { repo: texts(...REPOS), service: texts('api'), environment: texts('production', 'staging', 'test') },
      { requiredKeys: ['repo', 'environment'] },
    ),
  },
  {
    actions: ['push'],
    fields: { ...repo, branch: [...equality(texts('main', 'r/1')), globs('r*')], force: equality(fc.boolean()) },
    subject: fc.record(
      { repo: texts(...REPOS), branch: texts('main', 'r/1', 'topic'), remote: texts('origin'), force: fc.boolean() },
      { requiredKeys: ['repo', 'branch', 'remote'] },
    ),
  },
  {
    actions: ['budget.spend'],
    fields: { usd: [...equality(numbers), ...order(numbers)] },
    subject: fc.record({ usd: fc.constantFrom(0, 0.5, 1, 3, 10, 100) }, { requiredKeys: [] }),
  },
];

/** A field's condition: an operator, several at once, or logic over them. */
function fieldCondition(options: fc.Arbitrary<unknown>[]): fc.Arbitrary<unknown> {
  const leaf = fc.oneof(...options);
  return fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.array(tie('node'), { minLength: 1, maxLength: 2 }).map((parts) => ({ $and: parts })),
      fc.array(tie('node'), { minLength: 1, maxLength: 2 }).map((parts) => ({ $or: parts })),
      tie('node').map((part) => ({ $not: part })),
    ),
  })).node;
}

function whereOf(fields: Record<string, fc.Arbitrary<unknown>[]>): fc.Arbitrary<Json> {
  const entries = Object.entries({ ...SERVER, ...fields });
  const weighted = [...entries, ...Object.entries(fields), ...Object.entries(fields)];
  const single = fc.oneof(
    ...weighted.map(([name, options]) => fieldCondition(options).map((value): Json => ({ [name]: value }))),
  );
  return fc.letrec<{ node: Json }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      single,
      fc.array(single, { minLength: 1, maxLength: 2 }).map((parts): Json => Object.assign({}, ...parts)),
      fc.array(tie('node'), { minLength: 1, maxLength: 2 }).map((parts): Json => ({ $and: parts })),
      fc.array(tie('node'), { minLength: 1, maxLength: 2 }).map((parts): Json => ({ $or: parts })),
      tie('node').map((part): Json => ({ $not: part })),
    ),
  })).node;
}

const effects = fc.constantFrom('allow', 'deny', 'require_approval');

function ruleOf(group: (typeof GROUPS)[number]): fc.Arbitrary<Json> {
  return fc.record(
    {
      effect: effects,
      mode: fc.constantFrom('enforce', 'enforce', 'shadow'),
      actions: fc.subarray(group.actions, { minLength: 1 }),
      where: whereOf(group.fields),
    },
    { requiredKeys: ['effect', 'actions'] },
  );
}

/** A document that must parse: whatever its rules name has a default. */
function documentOf(group: (typeof GROUPS)[number], name: string): fc.Arbitrary<Json> {
  return fc
    .record({ rules: fc.array(ruleOf(group), { maxLength: 5 }), effects: fc.tuple(effects, effects) })
    .map(({ rules, effects: named }) => ({
      name,
      defaults: Object.fromEntries(group.actions.map((action, i) => [action, named[i]])),
      rules: rules.map((rule, index) => ({ id: `r${index}`, reason: 'r', ...rule })),
    }));
}

const actor = fc.record(
  {
    role: texts('loop', 'member'),
    owner: texts('alice', 'bob'),
    teams: fc.subarray(['payments', 'platform']),
    loop: fc.record({ name: texts('nightly', 'release'), labels: fc.subarray(['x', 'y']) }),
  },
  { requiredKeys: ['role', 'teams'] },
);

export const scenario = fc.constantFrom(...GROUPS).chain((group) =>
  fc.record({
    documents: fc.tuple(documentOf(group, 'one'), documentOf(group, 'two')).chain((all) => fc.subarray(all)),
    action: fc.constantFrom(...group.actions),
    subjects: fc.array(group.subject, { minLength: 1, maxLength: 3 }),
    actor,
    iteration: fc.option(numbers, { nil: undefined }),
    at: fc.date({ min: new Date('2026-01-01T00:00Z'), max: new Date('2027-01-01T00:00Z'), noInvalidDate: true }),
    caseSensitive: fc.boolean(),
  }),
);
