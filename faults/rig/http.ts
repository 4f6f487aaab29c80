import { Agent, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface Request {
  readonly port: number;
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below /api/v1. */
  readonly path: string;
  readonly secret: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string | null;
  readonly timeoutMs: number;
}

/** Sends one request. Null: no whole reply came, so whether it took effect is not known. */
export function send(
  agent: Agent,
  { port, method, path, secret, body, idempotencyKey, timeoutMs }: Request,
): Promise<Reply | null> {
  const text = body === undefined ? null : JSON.stringify(body);
  const headers: Record<string, string | number> = { authorization: `Bearer ${secret}` };
  if (text !== null) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = Buffer.byteLength(text);
  }
  if (idempotencyKey != null) headers['idempotency-key'] = idempotencyKey;
  return new Promise((resolve) => {
    const call = request({ agent, host: '127.0.0.1', port, method, path: `/api/v1${path}`, headers });
    const timer = setTimeout(() => call.destroy(), timeoutMs);
    const settle = (reply: Reply | null) => {
      clearTimeout(timer);
      resolve(reply);
    };
    call.on('error', () => settle(null));
    call.on('close', () => settle(null));
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('error', () => settle(null));
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => settle(response.complete ? read(response.statusCode ?? 0, chunks) : null));
    });
    call.end(text ?? undefined);
  });
}

function read(status: number, chunks: readonly Buffer[]): Reply | null {
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return { status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
  } catch {
    return { status, body: { text } };
  }
}
