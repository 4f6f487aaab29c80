import { Ability } from '@casl/ability';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type EvaluationRequest, evaluate } from '../../../../src/modules/governance/policy/index.ts';
import { scenario } from './generators.ts';
import { type Asked, type Json, missingFields, ruleMatches } from './oracle.ts';
import { policySetOf } from './support.ts';

type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

const STRICT = ['allow', 'require_approval', 'deny'];
const strictest = (effects: readonly string[]): string =>
  effects.reduce((found, effect) => (STRICT.indexOf(effect) > STRICT.indexOf(found) ? effect : found), 'allow');

function askedOf({ action, subjects, actor, iteration, at, caseSensitive }: Scenario): Asked[] {
  const server = {
    owner: actor.owner,
    team: actor.teams,
    role: actor.role,
    'loop.name': actor.loop?.name,
    'loop.labels': actor.loop?.labels,
    'run.iteration': iteration,
    at,
  };
  return subjects.map((subject) => ({ action, subject, server, at, caseSensitive }));
}

function requestOf({ action, subjects, actor, iteration, at, caseSensitive }: Scenario): EvaluationRequest {
  const { owner, loop } = actor;
  return {
    action: action as EvaluationRequest['action'],
    subjects,
    actor: {
      principalId: 'p',
      role: actor.role,
      teams: actor.teams,
      ...(owner === undefined ? {} : { owner }),
      ...(loop === undefined ? {} : { loop: { id: 'l', ...loop } }),
    },
    ...(iteration === undefined ? {} : { run: { id: 'run', iteration, status: 'running' } }),
    at,
    caseSensitive,
  };
}

const rulesOf = ({ documents }: Scenario): Json[] => documents.flatMap((document) => document['rules'] as Json[]);
const defaultsOf = ({ documents, action }: Scenario): string[] =>
  documents.map((document) => String((document['defaults'] as Json)[action]));

/** A plain CASL ability in which approvals are allowed (`hard`) or denied (`autonomous`). The last rule wins there. */
function plainAbility(rules: Json[], byDefault: string, approvals: 'allow' | 'deny') {
  const plain = (effect: unknown) => (effect === 'require_approval' ? approvals : effect);
  const ordered = STRICT.flatMap((effect) => rules.filter((rule) => rule['effect'] === effect));
  const raw = [
    { action: 'ask', subject: 'request', inverted: plain(byDefault) === 'deny' },
    ...ordered.map((rule) => ({
      action: 'ask',
      subject: 'request',
      inverted: plain(rule['effect']) === 'deny',
      conditions: rule,
    })),
  ];
  return new Ability<[string, string | Asked], Json>(raw, {
    conditionsMatcher: (rule) => (asked) => ruleMatches(rule, asked as Asked),
    detectSubjectType: () => 'request',
  });
}

/** Not hard: deny. Autonomous: allow. Between the two: a human. */
function outcomeByAbilities(rules: Json[], byDefault: string, asked: Asked): string {
  if (missingFields(asked).length > 0) return 'deny';
  if (!plainAbility(rules, byDefault, 'allow').can('ask', asked)) return 'deny';
  return plainAbility(rules, byDefault, 'deny').can('ask', asked) ? 'allow' : 'require_approval';
}

/** A few seconds by default; `PROPERTY_RUNS=15000` takes as long as it takes. */
const LONG = Number(process.env['PROPERTY_RUNS'] ?? 0);
const runs = LONG > 0 ? { numRuns: LONG } : { numRuns: 800, interruptAfterTimeLimit: 8_000 };
const TIMEOUT_MS = LONG > 0 ? 600_000 : 30_000;

it(
  'decides as two plain abilities over the document itself, enforced and in shadow',
  () => {
    fc.assert(
      fc.property(scenario, (drawn) => {
        const evaluation = evaluate(policySetOf(...drawn.documents), requestOf(drawn));
        const byDefault = strictest(defaultsOf(drawn));
        const all = rulesOf(drawn);
        const enforced = all.filter((rule) => rule['mode'] !== 'shadow');
        const asked = askedOf(drawn);
        const outcome = (rules: Json[]) => strictest(asked.map((one) => outcomeByAbilities(rules, byDefault, one)));
        expect(evaluation.outcome).toBe(outcome(enforced));
        expect(evaluation.shadow.outcome).toBe(outcome(all));
        expect(evaluation.ungoverned).toBe(drawn.documents.length === 0);
      }),
      runs,
    );
  },
  TIMEOUT_MS,
);

it(
  'explains every rule that matched and no other, and asks for the union',
  () => {
    fc.assert(
      fc.property(scenario, (drawn) => {
        const evaluation = evaluate(policySetOf(...drawn.documents), requestOf(drawn));
        const answerable = askedOf(drawn).filter((one) => missingFields(one).length === 0);
        const matched = (mode: 'enforce' | 'shadow') =>
          drawn.documents.flatMap((document) =>
            (document['rules'] as Json[])
              .filter((rule) => (rule['mode'] ?? 'enforce') === mode)
              .map((rule) => ({ rule, paths: answerable.filter((one) => ruleMatches(rule, one)) }))
              .filter(({ paths }) => paths.length > 0)
              .map(({ rule, paths }) => ({
                key: `${String(document['name'])}/${String(rule['id'])}`,
                effect: rule['effect'],
                paths: paths.flatMap((one) => (one.subject['path'] as string | undefined) ?? []),
              })),
          );
        const explained = (rules: typeof evaluation.rules) =>
          rules
            .filter(({ id }) => !id.includes(':'))
            .map(({ policy, id, effect, paths }) => ({ key: `${policy}/${id}`, effect, paths }))
            .toSorted((a, b) => a.key.localeCompare(b.key));
        const enforced = matched('enforce');
        expect(explained(evaluation.rules)).toEqual(enforced);
        expect(explained(evaluation.shadow.rules)).toEqual(matched('shadow'));
        const asking = enforced.filter(({ effect }) => effect === 'require_approval').map(({ key }) => key);
        const required = evaluation.requirements.map(({ policy, ruleId }) => `${policy}/${ruleId}`);
        const expected = evaluation.outcome === 'require_approval' ? asking : [];
        expect(required.filter((key) => !key.includes(':')).toSorted()).toEqual(expected.toSorted());
        expect(evaluation.missing.length > 0).toBe(answerable.length < drawn.subjects.length);
      }),
      runs,
    );
  },
  TIMEOUT_MS,
);
