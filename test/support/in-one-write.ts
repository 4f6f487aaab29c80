import { connect } from 'node:net';
import type { Reply } from './server.ts';

/** A POST, below /api/v1. */
export interface Post {
  readonly secret: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

const ANSWER = /^HTTP\/1\.1 (\d+) [\s\S]*?\r\ncontent-length: (\d+)\r\n[\s\S]*?\r\n\r\n/i;

/** Sends them all in one write of one connection (HTTP pipelining): the server reads them in one turn of its event loop. */
export function inOneWrite(url: string, posts: readonly Post[]): Promise<Pick<Reply, 'status' | 'body'>[]> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server has closed the connection')));
    let received = Buffer.alloc(0);
    const replies: Pick<Reply, 'status' | 'body'>[] = [];
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const [head, status, length] = ANSWER.exec(received.toString('latin1')) ?? [];
        if (head === undefined || received.length < head.length + Number(length)) return;
        const end = head.length + Number(length);
        replies.push({ status: Number(status), body: JSON.parse(received.subarray(head.length, end).toString()) });
        received = received.subarray(end);
        if (replies.length < posts.length) continue;
        resolve(replies);
        return void socket.destroy();
      }
    });
    socket.write(posts.map(textOf).join(''));
  });
}

function textOf({ secret, path, body, headers = {} }: Post): string {
  const content = JSON.stringify(body);
  const lines = {
    host: 'localhost',
    authorization: `Bearer ${secret}`,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(content)),
    ...headers,
  };
  const fields = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /api/v1${path} HTTP/1.1\r\n${fields.join('')}\r\n${content}`;
}
