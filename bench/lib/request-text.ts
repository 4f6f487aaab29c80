import type { Answer } from './connection.ts';
import type { Job } from './job.ts';

export function headerLines({ headers }: Job): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `host: 127.0.0.1\r\ncontent-type: application/json\r\n${lines.join('')}`;
}

export function postText(path: string, headers: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

export function unexpected(job: Job, { status, body }: Answer): Error {
  return new Error(`${job.path} answered ${status}: ${body.toString().slice(0, 2000)}`);
}
