import { normalisePath } from '../shell/field.ts';
import type { ToolCall } from './payload.ts';

/** What a tool call does, as far as its input says. */
export type Intent =
  | { readonly kind: 'edit'; readonly path: string }
  | { readonly kind: 'shell'; readonly command: string }
  /** A tool whose effect its input does not tell: it reads, or it belongs to an MCP server. */
  | { readonly kind: 'tool' }
  /** A tool that writes, with an input that does not say where. */
  | { readonly kind: 'unclear'; readonly why: string };

const PATH_FIELDS: Readonly<Record<string, string>> = {
  Edit: 'file_path',
  MultiEdit: 'file_path',
  Write: 'file_path',
  NotebookEdit: 'notebook_path',
};

/** The longest command that is read; the shell analyser's own limit. */
const COMMAND_CHARACTERS = 65_536;

export function intentOf({ tool_name: tool, tool_input: input, cwd }: ToolCall): Intent {
  const field = Object.hasOwn(PATH_FIELDS, tool) ? PATH_FIELDS[tool] : undefined;
  if (field !== undefined) {
    const path = input?.[field];
    if (typeof path !== 'string' || path === '') return { kind: 'unclear', why: `${tool} names no ${field}.` };
    if (path.startsWith('/')) return { kind: 'edit', path: normalisePath(path) };
    if (cwd?.startsWith('/') === true) return { kind: 'edit', path: normalisePath(`${cwd}/${path}`) };
    return { kind: 'unclear', why: `${field} is not absolute.` };
  }
  if (tool !== 'Bash') return { kind: 'tool' };
  const command = input?.['command'];
  if (typeof command !== 'string' || command.trim() === '') return { kind: 'unclear', why: 'Bash names no command.' };
  if (command.length > COMMAND_CHARACTERS)
    return { kind: 'unclear', why: `the command has more than ${COMMAND_CHARACTERS} characters.` };
  return { kind: 'shell', command };
}

/** What the agent says of a call, for people. */
export function descriptionOf({ tool_input: input }: ToolCall): string | null {
  const description = input?.['description'];
  return typeof description === 'string' && description.trim() !== '' ? description : null;
}

/** Where Claude Code keeps plans, to-dos and memories; not its settings, whose hooks are what asks here. */
export function ownDirectoriesOf(transcriptPath: string | null | undefined): string[] {
  const config = /^(\/.+)\/projects\/[^/]+\/[^/]+\.jsonl$/.exec(transcriptPath ?? '')?.[1];
  if (config === undefined) return [];
  return ['plans', 'todos', 'tasks', 'projects', 'file-history'].map((name) => `${config}/${name}`);
}

/** The home directory, if Claude Code keeps its files where it usually does. */
export function homeOf(transcriptPath: string | null | undefined): string | undefined {
  return /^(\/.+)\/\.claude\/projects\//.exec(transcriptPath ?? '')?.[1];
}
