import { describe, expect, it } from 'vitest';
import {
  ACTION_NAMES,
  ACTIONS,
  compilePolicySet,
  parsePolicyDocument,
} from '../../../../src/modules/governance/policy/index.ts';
import { errorsOf, whereErrors } from './support.ts';

const DESIGN_EXAMPLE = `name: house
defaults: { path.edit: allow, path.delete: allow, command.run: allow, deploy: allow }
rules:
  - id: payments-need-a-human
    effect: require_approval            # allow | deny | require_approval
    actions: [path.edit, path.delete]
    where: { repo: acme/shop, path: { $glob: "services/payments/**" } }
    approvers: { team: payments, count: 1 }
    reason: Payments code moves money; a person looks first.
  - id: no-night-deploys
    effect: deny
    mode: enforce                       # or shadow
    actions: [deploy]
    where: { environment: production, at: { $outside: { days: mon-fri, hours: "08:00-18:00", timeZone: Europe/Berlin } } }
    reason: Nobody is awake to roll back.
`;

/** `[line, column, path]` of each error. */
function places(text: string, format: 'yaml' | 'json' = 'yaml'): unknown[] {
  const parsed = parsePolicyDocument(text, format);
  return parsed.ok ? [] : parsed.errors.map(({ line, column, path }) => [line, column, path]);
}

describe('a good document', () => {
  it('is the one of the design, without a warning', () => {
    const parsed = parsePolicyDocument(DESIGN_EXAMPLE, 'yaml');
    expect(parsed).toMatchObject({ ok: true, warnings: [] });
  });

  it('says the same in JSON, and again from its own stored form', () => {
    const yaml = parsePolicyDocument(DESIGN_EXAMPLE, 'yaml');
    if (!yaml.ok) throw new Error('refused');
    for (const space of [undefined, 2, '\t']) {
      expect(parsePolicyDocument(JSON.stringify(yaml.document, null, space), 'json')).toEqual(yaml);
    }
    expect(() => compilePolicySet([{ name: 'house', version: 1, document: yaml.document }])).not.toThrow();
  });

  it('fills in what may be left out', () => {
    const text =
      'name: a\ndefaults: { deploy: deny }\nrules: [{ id: r, effect: require_approval, actions: [deploy], approvers: {}, reason: x }]';
    expect(parsePolicyDocument(text, 'yaml')).toMatchObject({
      document: { rules: [{ mode: 'enforce', approvers: { count: 1 } }] },
    });
    expect(parsePolicyDocument('name: a', 'yaml')).toMatchObject({ document: { defaults: {}, rules: [] } });
  });

  it('takes every action, with each of its fields', () => {
    const examples = { text: 'x', path: 'a/b', command: 'x', number: 1, boolean: true, list: 'x' } as const;
    for (const action of ACTION_NAMES) {
      const { required, optional } = ACTIONS[action];
      const fields: Record<string, keyof typeof examples> = { ...required, ...optional };
      const where = Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, examples[type]]));
      expect(whereErrors(where, [action]), action).toEqual([]);
    }
  });
});

describe('errors', () => {
  it('are all of them, each with its line, column, path and reason', () => {
    const text = `name: house
nmae: x
defaults: { path.edit: alow, pat.edit: deny }
rules:
  - id: a
    effect: allow
    actions: [path.edit, deplo]
    where:
      repo: acme/shop
      path: { $glbo: "x" }
      at: { $outside: { days: mon-fry, zone: x } }
      loop: { nme: x }
    approvers: {}
  - id: a
    effect: dny
    extra: 1
`;
    expect(places(text)).toEqual([
      [2, 1, 'nmae'],
      [3, 24, 'defaults["path.edit"]'],
      [3, 30, 'defaults["pat.edit"]'],
      [7, 26, 'rules[0].actions[1]'],
      [10, 15, 'rules[0].where.path.$glbo'],
      [11, 23, 'rules[0].where.at.$outside'],
      [11, 31, 'rules[0].where.at.$outside.days'],
      [11, 46, 'rules[0].where.at.$outside.zone'],
      [12, 15, 'rules[0].where.loop.nme'],
      [13, 5, 'rules[0].approvers'],
      [14, 5, 'rules[1].actions'],
      [14, 9, 'rules[1].id'],
      [15, 13, 'rules[1].effect'],
      [16, 5, 'rules[1].extra'],
    ]);
  });

  it('have their places in JSON too', () => {
    const text = `{\n  "name": "house",\n  "defaults": {"deploy": "allow"},\n  "rules": [\n    {"id": "r", "effect": "deny", "actions": ["deploy"],\n     "where": {"$or": [{"environment": {"$exits": true}}]}}\n  ]\n}`;
    expect(places(text, 'json')).toEqual([[6, 41, 'rules[0].where.$or[0].environment.$exits']]);
  });

  it.each([
    ['an action without a default', 'rules: [{ id: r, effect: deny, actions: [deploy] }]', 'deploy needs a default'],
    [
      'an action named twice',
      'defaults: { deploy: deny }\nrules: [{ id: r, effect: deny, actions: [deploy, deploy] }]',
      'twice',
    ],
    ['no actions', 'rules: [{ id: r, effect: deny, actions: [] }]', 'rules[0].actions'],
    [
      'an id that cannot be told from a default',
      'rules: [{ id: "default:x", effect: deny, actions: [] }]',
      'rules[0].id',
    ],
    [
      'too few approvers',
      'defaults: { deploy: deny }\nrules: [{ id: r, effect: require_approval, actions: [deploy], approvers: { count: 0 } }]',
      'count',
    ],
    [
      'an approvers key',
      'defaults: { deploy: deny }\nrules: [{ id: r, effect: require_approval, actions: [deploy], approvers: { teams: a } }]',
      'did you mean "team"',
    ],
    [
      'an empty where',
      'defaults: { deploy: deny }\nrules: [{ id: r, effect: deny, actions: [deploy], where: }]',
      'takes a map',
    ],
    ['rules that are no list', 'rules: {}', 'rules: takes array'],
    [
      'a mode',
      'defaults: { deploy: deny }\nrules: [{ id: r, effect: deny, actions: [deploy], mode: shadwo }]',
      'did you mean "shadow"',
    ],
  ])('%s', (_, rest, reason) => {
    expect(errorsOf(`name: house\n${rest}`).join('\n')).toContain(reason);
  });

  it.each([
    ['', 'takes a map'],
    ['- 1', 'takes a map'],
    ['name: a\nname: b', 'this key is there twice'],
    ['name: a\n---\nname: b', 'multiple documents'],
    ['name: !!js/function x', 'Unresolved tag'],
    ['name: &a x\ndescription: *a', 'aliases are refused'],
    ['name: x\ndefaults: &a { b: *a }', 'aliases are refused'],
    ['? [a]\n: b', 'a key must be a plain text'],
    ['name: [', 'Flow sequence'],
  ])('YAML %j', (text, reason) => {
    const errors = errorsOf(text);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.join('\n')).toContain(reason);
  });

  it('nesting without end is an error, and so is a document without end', () => {
    expect(errorsOf('['.repeat(20_000)).length).toBeGreaterThan(0);
    expect(errorsOf('['.repeat(20_000), 'json').length).toBeGreaterThan(0);
    expect(errorsOf(`name: x # ${'x'.repeat(300_000)}`)).toEqual([': is larger than 256 KiB']);
  });

  it('an alias bomb costs nothing', () => {
    const levels = Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}*a${i}]`);
    expect(errorsOf(`a0: &a0 x\n${levels.join('\n')}`).join()).toContain('aliases are refused');
  });

  it.each([
    ['{"name": "a", "name": "b"}', 'this key is there twice'],
    ['{"name": "a", "n\\u0061me": "b"}', 'this key is there twice'],
    ['{"name": "a",}', 'is not JSON'],
    ['name: a', 'is not JSON'],
    ['{"name": "a", "__proto__": {}}', 'no key "__proto__" here'],
    ['{"name": "a", "defaults": {"__proto__": "allow"}}', 'no action "__proto__"'],
    ['{"name": "a", "defaults": {"constructor": "allow"}}', 'no action "constructor"'],
  ])('JSON %s', (text, reason) => {
    expect(errorsOf(text, 'json').join('\n')).toContain(reason);
  });

  it('stop at a hundred', () => {
    const keys = Array.from({ length: 5_000 }, (_, i) => `key${i}: 1`);
    expect(errorsOf(keys.join('\n'))).toHaveLength(100);
  });
});

describe('a condition', () => {
  it.each([
    [{ pth: 'a' }, 'pth: "pth" is not a field of every action of this rule (did you mean "path"?)'],
    [{ path: 3 }, 'path: takes a text: quote it'],
    [{ repo: ['a', 'b'] }, 'repo: takes one text; for any of several write $in'],
    [{ repo: null }, 'repo: takes a text, not an empty one'],
    [{ repo: {} }, 'repo: is empty'],
    [{ repo: { $in: [] } }, 'repo.$in: takes a list with at least one value'],
    [{ repo: { $in: ['a', 3] } }, 'repo.$in[1]: takes a text: quote it'],
    [{ repo: { $exists: 'yes' } }, 'repo.$exists: takes true or false'],
    [{ repo: { $lt: 'b' } }, 'repo.$lt: $lt does not apply to repo; it takes $eq, $ne, $in, $nin, $exists, $glob'],
    [{ repo: { $glob: 'acme/{a,b}' } }, 'repo.$glob: has no meaning for "{" here'],
    [{ path: { $glob: '/abs/**' } }, 'path.$glob: '],
    [{ path: { $glob: '!a' } }, 'path.$glob: '],
    [{ path: './a' }, 'path: '],
    [{ role: 'amdin' }, 'role: "amdin" is none of admin, member, loop, sre, viewer (did you mean "admin"?)'],
    [{ loop: 'nightly' }, 'loop: takes one of its parts: loop.id, loop.name, loop.labels'],
    [{ loop: { $eq: 'nightly' } }, 'loop: takes one of its parts'],
    [{ 'run.iteration': { $gt: 'three' } }, 'takes a number that is not negative'],
    [{ $or: [] }, '$or: takes a list that is not empty'],
    [{ $and: { repo: 'a' } }, '$and: takes a list that is not empty'],
    [{ $or: [{}] }, '$or[0]: is empty'],
    [{ $not: {} }, '$not: is empty'],
    [{ $not: 'x' }, '$not: takes fields, $and, $or and $not'],
    [{ path: { $not: {} } }, 'path.$not: is empty'],
    [{ environment: 'x' }, 'environment: "environment" is not a field of every action'],
  ])('%j', (where, reason) => {
    expect(whereErrors(where).join('\n')).toContain(reason);
  });

  it('may look only at what every action of its rule has', () => {
    expect(whereErrors({ repo: 'a' }, ['path.edit', 'deploy'])).toEqual([]);
    expect(whereErrors({ path: 'a' }, ['path.edit', 'deploy'])).toHaveLength(1);
    expect(whereErrors({ usd: { $gt: 1 } }, ['path.edit'])).toHaveLength(1);
  });

  it('may nest, but not without end', () => {
    const nest = (depth: number): object => (depth === 0 ? { repo: 'a' } : { $not: nest(depth - 1) });
    expect(whereErrors(nest(40))).toEqual([]);
    expect(whereErrors(nest(200)).join()).toContain('nested deeper');
  });
});

describe('warnings', () => {
  const warningsOf = (rule: object): string[] => {
    const document = {
      name: 'a',
      defaults: { commit: 'allow' },
      rules: [{ id: 'r', actions: ['commit'], reason: 'x', ...rule }],
    };
    const parsed = parsePolicyDocument(JSON.stringify(document), 'json');
    return parsed.ok ? parsed.warnings.map(({ path, reason }) => `${path}: ${reason}`) : ['refused'];
  };

  it('tell how a negation goes for a request without the field', () => {
    expect(warningsOf({ effect: 'allow', where: { owner: { $ne: 'bob' } } })).toEqual([
      expect.stringContaining('rules[0].where: a request without owner: the negated comparison does not hold'),
    ]);
    expect(warningsOf({ effect: 'deny', where: { $not: { loop: { name: 'x' } } } })).toEqual([
      expect.stringContaining('a request without loop.name: the negated comparison holds'),
    ]);
  });

  it('are silent where the rule speaks of absence, and of fields that are never absent', () => {
    expect(warningsOf({ effect: 'allow', where: { owner: { $ne: 'bob', $exists: true } } })).toEqual([]);
    expect(warningsOf({ effect: 'allow', where: { repo: { $ne: 'a' }, team: { $nin: ['b'] } } })).toEqual([]);
    expect(warningsOf({ effect: 'allow', where: { $not: { $not: { owner: 'bob' } } } })).toEqual([]);
  });

  it('ask for a reason where somebody is stopped', () => {
    expect(warningsOf({ effect: 'deny', reason: undefined })).toEqual([expect.stringContaining('has no reason')]);
    expect(warningsOf({ effect: 'allow', reason: undefined })).toEqual([]);
  });
});
