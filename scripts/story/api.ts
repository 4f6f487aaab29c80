import { expectLike, StoryFailure, show } from './check.ts';

// oxlint-disable-next-line typescript/no-explicit-any -- what a server answers is looked into by `expected`
export type Body = any;

export interface Answer {
  readonly status: number;
  readonly body: Body;
}

/** What an answer has to be: its status, and fields of its body. */
export interface Expected {
  readonly status: number;
  readonly body?: unknown;
}

/** One key at work. Each call throws a StoryFailure unless the answer is as expected. Paths are below /api/v1. */
export interface Caller {
  /** As the timeline calls whoever has the key. */
  readonly name: string;
  readonly secret: string;
  readonly keyId: string;
  get(path: string, expected: Expected): Promise<Body>;
  post(path: string, body: unknown, expected: Expected): Promise<Body>;
  put(path: string, body: unknown, expected: Expected): Promise<Body>;
  delete(path: string, expected: Expected): Promise<Body>;
  /** Without an expectation. */
  send(method: string, path: string, body?: unknown): Promise<Answer>;
}

/** Every text that the server has sent, as it came: to be searched for what should not be in it. */
export type Transcript = string[];

const PATIENCE_MS = 30_000;

export function callerOf(url: string, key: { name: string; secret: string; keyId: string }, heard: Transcript): Caller {
  const send = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key.secret}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).catch((error: unknown) => {
      const { cause, message } = error as Error;
      throw new StoryFailure(`${method} ${path}: no answer: ${cause instanceof Error ? cause.message : message}`);
    });
    const text = await response.text();
    heard.push(text);
    return { status: response.status, body: parse(text) };
  };
  const call = async (method: string, path: string, body: unknown, expected: Expected): Promise<Body> => {
    const answer = await send(method, path, body);
    const what = `${key.name}: ${method} ${path}`;
    if (answer.status !== expected.status)
      throw new StoryFailure(`${what}: expected ${expected.status}, got ${answer.status} ${show(answer.body)}`);
    if (expected.body !== undefined) expectLike(what, answer.body, expected.body);
    return answer.body;
  };
  return {
    ...key,
    send,
    get: (path, expected) => call('GET', path, undefined, expected),
    post: (path, body, expected) => call('POST', path, body, expected),
    put: (path, body, expected) => call('PUT', path, body, expected),
    delete: (path, expected) => call('DELETE', path, undefined, expected),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export const query = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
