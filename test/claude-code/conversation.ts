import { z } from 'zod';

/**
 * What the client sends to `POST /v1/messages`, as far as a script needs it. Source: the Messages API's reference, and
 * the requests of Claude Code 2.1.329.
 */
const Block = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  id: z.string().optional(),
  name: z.string().optional(),
  input: z.unknown().optional(),
  tool_use_id: z.string().optional(),
  is_error: z.boolean().optional(),
  content: z.unknown().optional(),
});

const Content = z.union([z.string().transform((text) => [{ type: 'text', text }]), z.array(Block)]);

export const MessagesRequest = z.looseObject({
  model: z.string(),
  stream: z.boolean().optional(),
  system: z.unknown().optional(),
  tools: z.array(z.looseObject({ name: z.string().optional() })).optional(),
  messages: z.array(z.object({ role: z.string(), content: Content })),
});
export type MessagesRequest = z.infer<typeof MessagesRequest>;

/** What a tool answered, as the model reads it. */
export interface ToolResult {
  readonly toolUseId: string;
  readonly name: string;
  readonly text: string;
  readonly isError: boolean;
}

/** One request of the client, as a script sees it and as a test asserts it. */
export interface Conversation {
  readonly request: MessagesRequest;
  readonly headers: Readonly<Record<string, string>>;
  /** Which agent asks: undefined for the session itself, the client's id of it for a subagent. */
  readonly agentId: string | undefined;
  /** The first words of the conversation: the session's prompt, or the task of a subagent. */
  readonly opening: string;
  /** How many turns the assistant has had. */
  readonly turns: number;
  readonly toolResults: readonly ToolResult[];
  /** Every text that a user message carries, hooks' additional context included. */
  readonly told: string;
  readonly toolNames: readonly string[];
}

/** Reads a request; throws a ZodError when it is not a Messages API request. */
export function readConversation(body: unknown, headers: Readonly<Record<string, string>>): Conversation {
  const request = MessagesRequest.parse(body);
  const users = request.messages.filter((message) => message.role !== 'assistant');
  return {
    request,
    headers,
    agentId: headers['x-claude-code-agent-id'],
    opening: textOf(users[0]?.content ?? []),
    turns: request.messages.filter((message) => message.role === 'assistant').length,
    toolResults: readToolResults(request),
    told: users.map((message) => textOf(message.content)).join('\n'),
    toolNames: (request.tools ?? []).map((tool) => tool.name ?? ''),
  };
}

function readToolResults(request: MessagesRequest): ToolResult[] {
  const blocks = request.messages.flatMap((message) => message.content as z.infer<typeof Block>[]);
  const names = new Map(blocks.filter((block) => block.type === 'tool_use').map((block) => [block.id, block.name]));
  return blocks
    .filter((block) => block.type === 'tool_result')
    .map((block) => ({
      toolUseId: block.tool_use_id ?? '',
      name: names.get(block.tool_use_id) ?? '',
      text: textOf(Content.safeParse(block.content).data ?? []),
      isError: block.is_error === true,
    }));
}

function textOf(content: readonly { type: string; text?: string | undefined }[]): string {
  return content.flatMap((block) => block.text ?? []).join('\n');
}
