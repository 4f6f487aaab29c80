import type { ServerResponse } from 'node:http';
import { type Conversation, readConversation } from './conversation.ts';
import { headersOf, listen } from './loopback.ts';
import { toEvents, toMessage } from './sse.ts';
import type { Script } from './turns.ts';

/** The Messages API, played by a script, and everything that it was told. */
export interface ScriptedModel {
  /** What `ANTHROPIC_BASE_URL` is set to. */
  readonly url: string;
  readonly conversations: readonly Conversation[];
  /** Other requests of the client, as `METHOD path`; they are answered with an empty object. */
  readonly others: readonly string[];
  /** Requests that the script could not answer; a test should find none. */
  readonly failures: readonly string[];
  readonly close: () => Promise<void>;
}

/** Starts the model on loopback. A request without tools (a title, a summary) never reaches the script. */
export async function startModel(script: Script): Promise<ScriptedModel> {
  const conversations: Conversation[] = [];
  const others: string[] = [];
  const failures: string[] = [];
  let serial = 0;
  const answer = async (body: string, headers: Record<string, string>, response: ServerResponse) => {
    const conversation = readConversation(JSON.parse(body), headers);
    serial += 1;
    if (conversation.toolNames.length > 0) conversations.push(conversation);
    const turn = conversation.toolNames.length > 0 ? await script(conversation) : { text: 'A title' };
    const message = toMessage(turn, conversation.request.model, String(serial).padStart(20, '0'));
    const streamed = conversation.request.stream === true;
    response.writeHead(200, { 'content-type': streamed ? 'text/event-stream' : 'application/json' });
    response.end(streamed ? toEvents(message) : JSON.stringify(message));
  };
  const server = await listen(async (request, response, body) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method === 'POST' && path === '/v1/messages') {
      try {
        return await answer(body, headersOf(request), response);
      } catch (error) {
        failures.push(String(error));
        throw error;
      }
    }
    others.push(`${request.method} ${path}`);
    const counted = path === '/v1/messages/count_tokens';
    response.writeHead(200, { 'content-type': 'application/json' }).end(counted ? '{"input_tokens":10}' : '{}');
  });
  return { url: server.url, conversations, others, failures, close: server.close };
}
