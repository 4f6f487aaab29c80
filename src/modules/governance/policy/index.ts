export {
  ACTION_NAMES,
  ACTIONS,
  type ActionName,
} from './actions.ts';
export {
  type ApprovalRequirement,
  compilePolicySet,
  EMPTY_POLICY_SET,
  PolicyCompileError,
  type PolicySet,
  type PublishedPolicy,
} from './compile.ts';
export type { Actor, EvaluationRequest, Subject } from './context.ts';
export type { DocumentIssue, PolicyDocument } from './document.ts';
export { type Evaluation, evaluate, type MatchedRule } from './evaluate.ts';
export { parsePolicyDocument } from './parse.ts';

export { compileGlobs, standInPaths } from './stand-ins.ts';
