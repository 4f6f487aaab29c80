import type { Verdict } from '../agent-gate.ts';

/** An answer as Claude Code reads it. `{}` is no opinion: the user's own permission rules decide. */
export type Answer = Readonly<Record<string, unknown>>;

export const NO_OPINION: Answer = {};

/**
 * The answer to PreToolUse. Never `permissionDecision: allow`: it would skip the question that the user's own settings
 * ask. A halt needs the deny besides, since `continue: false` alone lets this very tool run.
 */
export function beforeTool(verdict: Verdict): Answer {
  const hookEventName = 'PreToolUse';
  switch (verdict.kind) {
    case 'proceed':
      if (verdict.context === null) return NO_OPINION;
      return { hookSpecificOutput: { hookEventName, additionalContext: verdict.context } };
    case 'refuse':
      return { hookSpecificOutput: denial(verdict.reason) };
    case 'halt':
      return { continue: false, stopReason: verdict.reason, hookSpecificOutput: denial(verdict.reason) };
  }
}

/** The answer to PostToolUse. */
export function afterTool(context: string | null): Answer {
  if (context === null) return NO_OPINION;
  return { hookSpecificOutput: { hookEventName: 'PostToolUse', additionalContext: context } };
}

function denial(reason: string): Answer {
  return { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: reason };
}

/** The answer to UserPromptSubmit: a session that is halted is not even asked. */
export function onPrompt(verdict: Verdict): Answer {
  if (verdict.kind === 'proceed') {
    if (verdict.context === null) return NO_OPINION;
    return { hookSpecificOutput: { hookEventName: 'UserPromptSubmit', additionalContext: verdict.context } };
  }
  return { decision: 'block', reason: verdict.reason };
}

/** The answer to a failure. Only a tool that has not run yet can be refused; one whose event is not known may be such. */
export function onFailure(event: string | null, reason: string): Answer {
  if (event === null || event === 'PreToolUse') return beforeTool({ kind: 'refuse', reason });
  return NO_OPINION;
}
