export {
  ACTION_NAMES,
  ACTIONS,
  type ActionName,
  type FieldType,
  isAction,
  type SubjectOf,
} from './actions.ts';
export {
  type ApprovalRequirement,
  compilePolicySet,
  EMPTY_POLICY_SET,
  PolicyCompileError,
  type PolicySet,
  type PublishedPolicy,
} from './compile.ts';
export type { Actor, EvaluationRequest, RunState, Subject } from './context.ts';
export type { Approvers, DocumentIssue, Effect, PolicyDocument, PolicyRule, RuleMode, Where } from './document.ts';
export { type Evaluation, evaluate, type MatchedRule } from './evaluate.ts';
export { type ParseResult, parsePolicyDocument } from './parse.ts';
export type { DocumentFormat } from './source.ts';
export { standInPaths } from './stand-ins.ts';
