import { WebSocket } from 'ws';
import type { TestServer } from '../../support/server.ts';

export interface Message {
  readonly seq: number;
  readonly kind: string;
  readonly data: Record<string, unknown>;
}

/** One live feed as a client sees it. */
export interface Feed {
  readonly socket: WebSocket;
  readonly messages: Message[];
  /** The code and reason with which the server closed it. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Waits until an event of this seq or a later one has arrived. */
  until(seq: number): Promise<void>;
}

export function openFeed({ url }: TestServer, secret: string, query = 'after=0'): Feed {
  const headers = { authorization: `Bearer ${secret}` };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/events?${query}`, { headers });
  const messages: Message[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data: Buffer) => {
    messages.push(JSON.parse(data.toString()) as Message);
    for (const check of waiting) check();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve, reject) => {
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    socket.on('error', reject);
  });
  closed.catch(() => undefined);
  const until = (seq: number) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if ((messages.at(-1)?.seq ?? 0) >= seq) resolve();
      };
      waiting.add(check);
      check();
      closed.then(({ code }) => reject(new Error(`closed with ${code} before event ${seq}`)), reject);
    });
  return { socket, messages, closed, until };
}

/** The status with which an upgrade is refused, and the body that tells why; 101 when it is not refused. */
export function upgrade(url: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace('http', 'ws'), { headers });
    socket.on('open', () => {
      socket.terminate();
      resolve({ status: 101, body: '' });
    });
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
  });
}
