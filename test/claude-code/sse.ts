import type { Turn } from './turns.ts';

const USAGE = { input_tokens: 10, output_tokens: 5, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };

type ContentBlock =
  | { type: 'text'; text: string }
  | { type: 'tool_use'; id: string; name: string; input: Readonly<Record<string, unknown>> };

/** A whole answer of the Messages API. Source: the Messages API's reference. */
export interface Message {
  readonly id: string;
  readonly type: 'message';
  readonly role: 'assistant';
  readonly model: string;
  readonly content: readonly ContentBlock[];
  readonly stop_reason: 'tool_use' | 'end_turn';
  readonly stop_sequence: null;
  readonly usage: typeof USAGE;
}

/** Turns a scripted turn into the message that the API would answer; `serial` makes its ids unique. */
export function toMessage(turn: Turn, model: string, serial: string): Message {
  const tools = turn.tools ?? [];
  const words: ContentBlock[] = turn.text === undefined ? [] : [{ type: 'text', text: turn.text }];
  const uses = tools.map((tool, index): ContentBlock => {
    const id = tool.id ?? `toolu_${serial}${index}`;
    return { type: 'tool_use', id, name: tool.name, input: tool.input };
  });
  return {
    id: `msg_${serial}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [...words, ...uses],
    stop_reason: tools.length > 0 ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: USAGE,
  };
}

/** The same message as the server-sent events of a streaming answer. */
export function toEvents(message: Message): string {
  const { content, stop_reason, ...head } = message;
  const events: Record<string, unknown>[] = [
    { type: 'message_start', message: { ...head, content: [], stop_reason: null } },
    ...content.flatMap((block, index) => blockEvents(block, index)),
    { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 5 } },
    { type: 'message_stop' },
  ];
  return events.map((event) => `event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

function blockEvents(block: ContentBlock, index: number): Record<string, unknown>[] {
  const start = block.type === 'text' ? { ...block, text: '' } : { ...block, input: {} };
  const delta =
    block.type === 'text'
      ? { type: 'text_delta', text: block.text }
      : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) };
  return [
    { type: 'content_block_start', index, content_block: start },
    { type: 'content_block_delta', index, delta },
    { type: 'content_block_stop', index },
  ];
}
