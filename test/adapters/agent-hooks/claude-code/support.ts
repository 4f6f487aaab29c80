import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestServer } from '../../../support/server.ts';

type Json = Record<string, unknown>;

/** A payload captured from the real client, with what a test changes in it. */
export interface Call {
  readonly body: Json;
  /** As the client sent it. */
  readonly root: string;
}

let calls = 0;

/**
 * The captured call of that name; `change` overrides members of the body, `input` those of the tool's input. Every call
 * has a tool use id of its own, as from a real client, unless `change` names one.
 */
export function captured(name: string, change: Json = {}, input: Json = {}): Call {
  const file = fileURLToPath(new URL(`../../../fixtures/claude-code/${name}.json`, import.meta.url));
  const { headers, body } = JSON.parse(readFileSync(file, 'utf8')) as { headers: Record<string, string>; body: Json };
  const own = 'tool_use_id' in body ? { tool_use_id: `toolu_test_${(calls += 1)}` } : {};
  const toolInput = 'tool_input' in body ? { tool_input: { ...(body['tool_input'] as Json), ...input } } : {};
  return { body: { ...body, ...own, ...toolInput, ...change }, root: headers['x-signalbox-root'] ?? '' };
}

export interface HookReply {
  readonly status: number;
  readonly type: string | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a server answers is for the test to look into
  readonly body: any;
}

export interface Sent {
  readonly secret?: string | null;
  readonly query?: string;
  readonly root?: string | null;
  readonly raw?: string;
  readonly headers?: Record<string, string>;
}

/** Posts a call as Claude Code does. */
export async function post(server: TestServer, call: Call, sent: Sent = {}): Promise<HookReply> {
  const root = sent.root === undefined ? call.root : sent.root;
  const response = await fetch(`${server.url}/hooks/claude-code${sent.query ?? '?repo=acme/shop'}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(sent.secret == null ? {} : { authorization: `Bearer ${sent.secret}` }),
      ...(root === null ? {} : { 'x-signalbox-root': root }),
      ...sent.headers,
    },
    body: sent.raw ?? JSON.stringify(call.body),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    body: JSON.parse(await response.text()),
  };
}

/** A session of one developer: the same key and session id on every call. */
export function session(server: TestServer, secret: string, sessionId: string, query = '?repo=acme/shop') {
  return async (name: string, change: Json = {}, input: Json = {}, sent: Sent = {}): Promise<HookReply['body']> => {
    const call = captured(name, { session_id: sessionId, ...change }, input);
    const reply = await post(server, call, { secret, query, ...sent });
    if (reply.status !== 200) throw new Error(`${name}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  };
}

/** What the model reads of a refusal; undefined if there is none. */
export function refusal(body: HookReply['body']): string | undefined {
  const output = body.hookSpecificOutput;
  return output?.permissionDecision === 'deny' ? output.permissionDecisionReason : undefined;
}
