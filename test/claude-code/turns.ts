import type { Conversation } from './conversation.ts';

/** One use of a tool that the scripted model asks for; `id` is made up when absent. */
export interface ToolUse {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly id?: string;
}

/** What the scripted model says next: words, uses of tools, or both. Several uses are one message, so run in parallel. */
export interface Turn {
  readonly text?: string;
  readonly tools?: readonly ToolUse[];
}

/** From the conversation so far to the assistant's next turn. */
export type Script = (conversation: Conversation) => Turn | Promise<Turn>;

export const say = (text: string): Turn => ({ text });
export const use = (...tools: ToolUse[]): Turn => ({ tools });
export const write = (filePath: string, content: string): ToolUse => ({
  name: 'Write',
  input: { file_path: filePath, content },
});
export const read = (filePath: string): ToolUse => ({ name: 'Read', input: { file_path: filePath } });
export const edit = (filePath: string, oldString: string, newString: string): ToolUse => ({
  name: 'Edit',
  input: { file_path: filePath, old_string: oldString, new_string: newString },
});
export const bash = (command: string, extra: Record<string, unknown> = {}): ToolUse => ({
  name: 'Bash',
  input: { command, description: 'Run a command', ...extra },
});

/** A subagent that the session waits for; `extra` may hold `isolation: 'worktree'`. */
export const agent = (prompt: string, extra: Record<string, unknown> = {}): ToolUse => ({
  name: 'Agent',
  input: { description: 'A task', prompt, subagent_type: 'general-purpose', run_in_background: false, ...extra },
});

/** Plays the turns in order, by how many the conversation has had; after the last it says "done", so a run ends. */
export function inOrder(...turns: readonly (Turn | Script)[]): Script {
  return (conversation) => {
    const turn = turns[conversation.turns];
    if (turn === undefined) return say('done');
    return typeof turn === 'function' ? turn(conversation) : turn;
  };
}

/** The session plays `main`; a conversation whose opening holds one of the keys plays that script: a subagent's task. */
export function withSubagents(main: Script, subagents: Readonly<Record<string, Script>>): Script {
  return (conversation) => {
    if (conversation.agentId === undefined) return main(conversation);
    const key = Object.keys(subagents).find((task) => conversation.opening.includes(task));
    return (key === undefined ? main : subagents[key]!)(conversation);
  };
}
