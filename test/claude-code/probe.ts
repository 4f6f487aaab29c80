import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type ClaudeOptions, type ClaudeRun, runClaude } from './claude.ts';
import type { ToolResult } from './conversation.ts';
import { type HookAnswer, type HookCall, startHookRecorder } from './hooks.ts';
import { claudeSettings, type HookSettings } from './settings.ts';
import { gitShop } from './shop.ts';
import { inOrder, type Script, use, write } from './turns.ts';

/** What one answer of a hook did to a session that wants to write one file. */
export interface Probe {
  readonly written: boolean;
  readonly run: ClaudeRun;
  readonly events: readonly string[];
  readonly calls: readonly HookCall[];
  /** What the model was told in place of the tool's output; undefined when it was told nothing. */
  readonly toolResult: ToolResult | undefined;
  /** The messages of the last request that hold `text`, as `role: content`. */
  heard(text: string): readonly string[];
}

export interface ProbeOptions {
  /** Answers for one event; the others get an empty 200. */
  readonly on?: string;
  readonly answer?: HookAnswer | ((call: HookCall) => HookAnswer | undefined);
  /** Nobody listens at the hook's address. */
  readonly down?: boolean;
  readonly settings?: Partial<HookSettings>;
  readonly claude?: Partial<ClaudeOptions>;
  readonly script?: (root: string) => Script;
}

/** Runs one session in the worktree `alice` of a new shop; its hooks fail open unless `settings` say otherwise. */
export async function probe(options: ProbeOptions): Promise<Probe> {
  const { on = 'PreToolUse', answer } = options;
  const reply = (call: HookCall) => (typeof answer === 'function' ? answer(call) : answer);
  const recorder = await startHookRecorder((call) => (call.event === on ? reply(call) : undefined));
  if (options.down === true) await recorder.close();
  const settings = claudeSettings({ url: recorder.url, repo: 'acme/shop', onFailure: 'allow', ...options.settings });
  const shop = await gitShop(settings);
  try {
    const [root] = shop.worktrees;
    const file = join(root, 'src/new.ts');
    const script = options.script?.(root) ?? inOrder(use(write(file, 'export const fresh = true;\n')));
    const env = { SIGNALBOX_KEY: 'sbx_made_up' };
    const run = await runClaude({ cwd: root, prompt: 'Do the work', env, script, ...options.claude });
    return report(run, existsSync(file), recorder.calls);
  } finally {
    if (options.down !== true) await recorder.close();
    await shop.remove();
  }
}

/** The answer of a PreToolUse hook, in Claude Code's dialect. */
export function preToolUse(output: Readonly<Record<string, unknown>>): HookAnswer {
  return { json: { hookSpecificOutput: { hookEventName: 'PreToolUse', ...output } } };
}

function report(run: ClaudeRun, written: boolean, calls: readonly HookCall[]): Probe {
  const last = run.model.conversations.at(-1);
  const messages = (last?.request.messages ?? []).map(
    (message) => `${message.role}: ${JSON.stringify(message.content)}`,
  );
  return {
    written,
    run,
    calls,
    events: calls.map((call) => call.event),
    toolResult: last?.toolResults[0],
    heard: (text) => messages.filter((message) => message.includes(text)),
  };
}
