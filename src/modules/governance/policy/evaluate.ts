import { ANY_REPO, keysOf } from './buckets.ts';
import {
  type ApprovalRequirement,
  type CompiledRule,
  compareStrictness,
  type PolicySet,
  strictest,
} from './compile.ts';
import { contextsOf, type EvaluationRequest, type SubjectContext } from './context.ts';
import type { Effect, RuleMode } from './document.ts';

/** A rule that matched, or what stood in for one: `default:<action>`, `missing:<field>`. */
export interface MatchedRule {
  readonly id: string;
  /** Null for `missing:<field>`, which no policy can lift. */
  readonly policy: string | null;
  readonly version: number | null;
  readonly effect: Effect;
  readonly reason: string;
  readonly mode: RuleMode;
  /** The paths it matched, in the order asked; empty for an action without paths. */
  readonly paths: readonly string[];
}

export interface Evaluation {
  readonly outcome: Effect;
  /** No published policy speaks of this action. */
  readonly ungoverned: boolean;
  /** All enforced rules that matched, strictest first, and the defaults that decided where none did. */
  readonly rules: readonly MatchedRule[];
  /** The shadow rules that matched, and the outcome if they were enforced. */
  readonly shadow: { readonly outcome: Effect; readonly rules: readonly MatchedRule[] };
  /** What must be met, all of it, when the outcome is `require_approval`; else empty. */
  readonly requirements: readonly ApprovalRequirement[];
  /** Fields that were required and missing, or of the wrong type. */
  readonly missing: readonly string[];
}

const NO_PATH = [''];

/** What is asked of which policies, and whether to tell has become too much. */
interface Asked {
  readonly set: PolicySet;
  readonly request: EvaluationRequest;
  readonly isIntricate: () => boolean;
}

function collectFrom(
  { set, request, isIntricate }: Asked,
  { context }: SubjectContext,
  byKey: ReadonlyMap<string, string>,
  keys: readonly string[],
  found: CompiledRule[],
): void {
  for (const key of keys) {
    const bucket = byKey.get(key);
    if (bucket === undefined) continue;
    for (const candidate of set.ability.rulesFor(request.action, bucket)) {
      if (isIntricate()) return;
      // Always the whole context: CASL answers checks without an object from the rule's type alone.
      if (!candidate.matchesConditions(context)) continue;
      const rule = set.ruleOf(candidate.origin);
      if (rule) found.push(rule);
    }
  }
}

function rulesMatching(asked: Asked, subject: SubjectContext): CompiledRule[] {
  const found: CompiledRule[] = [];
  const { buckets } = asked.set;
  const keys = subject.path === null ? NO_PATH : keysOf(subject.path);
  const anywhere = buckets.get(ANY_REPO);
  if (anywhere) collectFrom(asked, subject, anywhere, keys, found);
  const here = subject.repo === null ? undefined : buckets.get(subject.repo);
  if (here) collectFrom(asked, subject, here, keys, found);
  return found;
}

/** Collects matches over all subjects: a rule once, with every path it matched. */
class Matches {
  private readonly byRule = new Map<CompiledRule, string[]>();

  add(rule: CompiledRule, path: string | null): void {
    let paths = this.byRule.get(rule);
    if (!paths) this.byRule.set(rule, (paths = []));
    if (path !== null) paths.push(path);
  }

  rules(): MatchedRule[] {
    const entries = [...this.byRule];
    if (entries.length > 1)
      entries.sort(([a], [b]) => compareStrictness(b.effect, a.effect) || a.position - b.position);
    return entries.map(([{ id, policy, version, effect, reason, mode }, paths]) => ({
      id,
      policy,
      version,
      effect,
      reason,
      mode,
      paths,
    }));
  }

  requirements(): ApprovalRequirement[] {
    const rules = [...this.byRule.keys()].toSorted((a, b) => a.position - b.position);
    return rules.flatMap((rule) => rule.requirement ?? []);
  }
}

function missingRules(subjects: readonly SubjectContext[]): MatchedRule[] {
  const byReason = new Map<string, { field: string; paths: string[] }>();
  for (const { missing, path } of subjects) {
    for (const { field, reason } of missing) {
      const found = byReason.get(reason) ?? { field, paths: [] };
      byReason.set(reason, found);
      if (path !== null) found.paths.push(path.text);
    }
  }
  return [...byReason].map(([reason, { field, paths }]) => ({
    id: `missing:${field}`,
    policy: null,
    version: null,
    effect: 'deny',
    reason,
    mode: 'enforce',
    paths,
  }));
}

/**
 * Decides one request under a set of policies. Pure: the time is in the request.
 *
 * For each subject: deny if any enforced deny rule matches, else require_approval, else allow if an allow rule matches,
 * else the strictest default named for the action; an action that no policy speaks of is allowed and `ungoverned`.
 * A subject that lacks a required field is denied whatever the policies say. The strictest subject decides.
 * Once it `isIntricate`, no more rules are looked at: whoever says so must not go by the outcome.
 * Throws `TypeError` for an unknown action or an invalid time, which are the server's own mistakes.
 */
export function evaluate(
  set: PolicySet,
  request: EvaluationRequest,
  isIntricate: () => boolean = () => false,
): Evaluation {
  const asked = { set, request, isIntricate };
  const subjects = isIntricate() ? [] : contextsOf(request);
  const defaults = set.defaults.get(request.action) ?? [];
  const byDefault: Effect = defaults[0]?.effect ?? 'allow';
  const enforced = new Matches();
  const shadowed = new Matches();
  const outcomes: Effect[] = [];
  const shadowOutcomes: Effect[] = [];
  for (const subject of subjects) {
    if (isIntricate()) break;
    if (subject.missing.length > 0) {
      outcomes.push('deny');
      continue;
    }
    const path = subject.path?.text ?? null;
    const matching = rulesMatching(asked, subject);
    const decisive = matching.filter((rule) => rule.mode === 'enforce');
    for (const rule of decisive.length > 0 ? decisive : defaults) enforced.add(rule, path);
    for (const rule of matching) if (rule.mode === 'shadow') shadowed.add(rule, path);
    outcomes.push(strictest(decisive.map((rule) => rule.effect)) ?? byDefault);
    shadowOutcomes.push(strictest(matching.map((rule) => rule.effect)) ?? byDefault);
  }
  const missing = missingRules(subjects);
  const outcome = strictest(outcomes) ?? 'deny';
  const shadowOutcome = missing.length > 0 ? 'deny' : (strictest(shadowOutcomes) ?? 'deny');
  return {
    outcome,
    ungoverned: defaults.length === 0,
    rules: [...missing, ...enforced.rules()],
    shadow: { outcome: shadowOutcome, rules: shadowed.rules() },
    requirements: outcome === 'require_approval' ? enforced.requirements() : [],
    missing: [...new Set(subjects.flatMap((subject) => subject.missing.map(({ field }) => field)))],
  };
}
