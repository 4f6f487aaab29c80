import { Ability, type RawRuleFrom } from '@casl/ability';
import type { Condition } from '@ucast/core';
import { ACTION_NAMES, type ActionName, fieldsOfAll } from './actions.ts';
import { bucketsOf } from './buckets.ts';
import { isLeaf, parseCondition, partsOf } from './conditions.ts';
import type { Effect, PolicyDocument, PolicyRule, RuleMode } from './document.ts';
import { type ConditionTest, compileCondition, type RequestContext } from './matcher.ts';

export interface PublishedPolicy {
  readonly name: string;
  readonly version: number;
  readonly document: PolicyDocument;
}

/** What one rule or default asks for: `count` votes of `team`, or of any member or admin when it is null. */
export interface ApprovalRequirement {
  readonly policy: string;
  readonly ruleId: string;
  readonly team: string | null;
  readonly count: number;
}

/** A rule, or a default as if it were one (`default:path.edit`). */
export interface CompiledRule {
  readonly id: string;
  readonly policy: string;
  readonly version: number;
  readonly effect: Effect;
  readonly mode: RuleMode;
  readonly reason: string;
  readonly requirement: ApprovalRequirement | null;
  /** Where it stands among all rules of the set, in the order of policies and documents; explanations keep it. */
  readonly position: number;
}

interface CompiledCondition {
  readonly ast: Condition;
  readonly test: ConditionTest;
}

type Abilities = [ActionName, string | RequestContext];
type RawRule = RawRuleFrom<Abilities, CompiledCondition>;

/** All published policies of one org, compiled once per policy version and shared by every request. Immutable. */
export interface PolicySet {
  readonly policies: readonly { readonly name: string; readonly version: number }[];
  /** The strictest defaults of each governed action; several when policies agree. */
  readonly defaults: ReadonlyMap<ActionName, readonly CompiledRule[]>;
  readonly ability: Ability<Abilities, CompiledCondition>;
  /** Repo to path key (see buckets.ts) to the subject type under which CASL keeps those rules. */
  readonly buckets: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly ruleOf: (origin: unknown) => CompiledRule | undefined;
  /** Whether any rule looks at the time. */
  readonly readsClock: boolean;
}

/** A stored document that does not compile: keep the set that was in force. */
export class PolicyCompileError extends Error {
  override readonly name = 'PolicyCompileError';
}

const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, require_approval: 1, deny: 2 };

/** Negative when `a` is laxer than `b`. */
export function compareStrictness(a: Effect, b: Effect): number {
  return STRICTNESS[a] - STRICTNESS[b];
}

export function strictest(effects: Iterable<Effect>): Effect | null {
  let found: Effect | null = null;
  for (const effect of effects) if (found === null || compareStrictness(effect, found) > 0) found = effect;
  return found;
}

function compileRule(
  policy: PublishedPolicy,
  rule: PolicyRule,
  position: number,
): { rule: CompiledRule; condition: CompiledCondition } {
  const { condition, issues } = parseCondition(rule.where ?? {}, fieldsOfAll(rule.actions));
  if (!condition) {
    const [issue] = issues;
    const where = `policy ${policy.name} version ${policy.version}, rule ${rule.id}`;
    throw new PolicyCompileError(`${where}: ${issue?.path.join('.')}: ${issue?.reason}`);
  }
  const { team = null, count = 1 } = rule.approvers ?? {};
  const approval = rule.effect === 'require_approval';
  return {
    condition: { ast: condition, test: compileCondition(condition, rule.effect) },
    rule: {
      id: rule.id,
      policy: policy.name,
      version: policy.version,
      effect: rule.effect,
      mode: rule.mode,
      reason: rule.reason ?? `Rule ${rule.id} of policy ${policy.name}.`,
      requirement: approval ? { policy: policy.name, ruleId: rule.id, team, count } : null,
      position,
    },
  };
}

function compileDefault(policy: PublishedPolicy, action: ActionName, effect: Effect): CompiledRule {
  const { name, version } = policy;
  const id = `default:${action}`;
  const requirement = effect === 'require_approval' ? { policy: name, ruleId: id, team: null, count: 1 } : null;
  const reason = `No rule matched; policy ${name} names ${effect} as the default of ${action}.`;
  return { id, policy: name, version, effect, mode: 'enforce', reason, requirement, position: 0 };
}

function strictestDefaults(policies: readonly PublishedPolicy[]): Map<ActionName, readonly CompiledRule[]> {
  const defaults = new Map<ActionName, readonly CompiledRule[]>();
  for (const action of ACTION_NAMES) {
    const named = policies.flatMap((policy) => {
      const effect = Object.hasOwn(policy.document.defaults, action) ? policy.document.defaults[action] : undefined;
      return effect ? [compileDefault(policy, action, effect)] : [];
    });
    const effect = strictest(named.map((rule) => rule.effect));
    if (effect)
      defaults.set(
        action,
        named.filter((rule) => rule.effect === effect),
      );
  }
  return defaults;
}

function mentions(condition: Condition, field: string): boolean {
  return isLeaf(condition) ? condition.field === field : partsOf(condition).some((part) => mentions(part, field));
}

/** CASL takes the closure that is already made; `ast` is there for whoever analyses the rules. */
function conditionsMatcher({ ast, test }: CompiledCondition) {
  return Object.assign((context: object) => test(context as RequestContext), { ast }) as never;
}

/** CASL compiles a rule's condition when it is first needed; a bad one must fail here, not in a decision. */
function compileEagerly(ability: Ability<Abilities, CompiledCondition>, subjectTypes: Iterable<string>): void {
  for (const subjectType of subjectTypes) {
    for (const action of ACTION_NAMES) {
      for (const rule of ability.rulesFor(action, subjectType)) {
        if (!(rule.ast instanceof Object)) throw new PolicyCompileError('a rule without a compiled condition');
      }
    }
  }
}

/**
 * Compiles all published policies of an org into one set.
 * Rules go to CASL in the order allow < require_approval < deny, since there the last one wins; evaluate.ts walks all
 * that match. Throws `PolicyCompileError` for a document that `parsePolicyDocument` would refuse, before anything is
 * replaced: the caller keeps the last good set.
 */
export function compilePolicySet(policies: readonly PublishedPolicy[]): PolicySet {
  const names = policies.map((policy) => policy.name);
  if (new Set(names).size !== names.length) throw new PolicyCompileError('two policies of one name');
  const buckets = new Map<string, Map<string, string>>();
  const rules = new Map<unknown, CompiledRule>();
  const raw: RawRule[] = [];
  const authored = policies.flatMap((policy) => policy.document.rules.map((rule) => ({ policy, rule })));
  const compiled = authored.map(({ policy, rule }, position) => ({
    ...compileRule(policy, rule, position),
    actions: [...rule.actions],
  }));
  compiled.sort((a, b) => compareStrictness(a.rule.effect, b.rule.effect));
  for (const { rule, condition, actions } of compiled) {
    const subject: string[] = [];
    for (const { repo, key } of bucketsOf(condition.ast)) {
      const byKey = buckets.get(repo) ?? new Map<string, string>();
      buckets.set(repo, byKey);
      const name = byKey.get(key) ?? `${repo}\n${key}`;
      byKey.set(key, name);
      subject.push(name);
    }
    const origin: RawRule = { action: actions, subject, conditions: condition, inverted: rule.effect !== 'allow' };
    raw.push(origin);
    rules.set(origin, rule);
  }
  const ability = new Ability<Abilities, CompiledCondition>(raw, { conditionsMatcher });
  compileEagerly(ability, new Set(raw.flatMap((rule) => rule.subject)));
  return {
    policies: policies.map(({ name, version }) => ({ name, version })),
    defaults: strictestDefaults(policies),
    ability,
    buckets,
    ruleOf: (origin) => rules.get(origin),
    readsClock: compiled.some(({ condition }) => mentions(condition.ast, 'at')),
  };
}

/** What an org without a policy has: everything is allowed, and recorded as ungoverned. */
export const EMPTY_POLICY_SET: PolicySet = compilePolicySet([]);
