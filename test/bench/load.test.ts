import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { Job } from '../../bench/lib/job.ts';
import { run } from '../../bench/lib/load.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

type Received = { readonly url: string; readonly authorization: string | undefined; readonly body: string };

/** A server that answers what `answer` gives for its nth request, from 0. */
async function serve(
  answer: (nth: number, received: Received) => { status?: number; body?: string; afterMs?: number },
) {
  const received: Received[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const nth = received.push({ url: request.url ?? '', authorization: request.headers.authorization, body }) - 1;
    const { status = 200, body: text = '{}', afterMs = 0 } = answer(nth, received[nth]!);
    setTimeout(() => {
      response.writeHead(status, { 'content-length': Buffer.byteLength(text) });
      response.end(text);
    }, afterMs);
  };
  const server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, received };
}

function job(port: number, more: Partial<Job>): Job {
  const rest = { path: '/', headers: {}, body: '{"n":{n}}', connections: 1, seconds: 0.5, warmupSeconds: 0, from: 0 };
  return { ...rest, port, ...more };
}

describe('the load generator', () => {
  it('counts in the open loop from when a request was due, so that a stall is paid for by all it delayed', async () => {
    const { port, received } = await serve((nth) => ({ afterMs: nth === 0 ? 400 : 0 }));
    const measured = await run(job(port, { rate: 100 }));
    expect(received).toHaveLength(50);
    expect(measured.requests).toBe(50);
    // Due at 0, 10, … 490 ms and none answered before 400: the middle one waited 150 ms. From the sending it was 1 ms.
    expect(measured.p50Ms).toBeGreaterThan(100);
    expect(measured.p99Ms).toBeGreaterThan(390);
    expect(measured.lateP99Ms).toBeGreaterThan(350);
  });

  it('ends with the first answer that was not expected, and shows it', async () => {
    const { port } = await serve((nth) => (nth < 3 ? {} : { status: 503, body: '{"code":"unavailable"}' }));
    await expect(run(job(port, { expect: { status: 200 } }))).rejects.toThrow('answered 503: {"code":"unavailable"}');
    await expect(run(job(port, { rate: 100 }))).rejects.toThrow('unavailable');
  });

  it('takes no answer for good that lacks the expected text', async () => {
    const { port } = await serve(() => ({ body: '{"header":{}}' }));
    const expected = { status: 200, text: '"succeeded":true' };
    await expect(run(job(port, { expect: expected }))).rejects.toThrow('{"header":{}}');
  });

  it('sends each number once, with the fields of its connection and item', async () => {
    const { port, received } = await serve(() => ({}));
    const lanes = [{ key: 'a' }, { key: 'b' }];
    const items = [{ lease: 'x' }, { lease: 'y' }, { lease: 'z' }];
    const templates = { path: '/{lease}', headers: { authorization: '{key}' }, body: '{"n":{n},"of":"{i/2%2}"}' };
    const measured = await run(job(port, { ...templates, connections: 2, lanes, items, requests: 6, from: 40 }));
    expect(received.map(({ body }) => body).toSorted()).toEqual([
      '{"n":40,"of":"0"}',
      '{"n":41,"of":"0"}',
      '{"n":42,"of":"1"}',
      '{"n":43,"of":"1"}',
      '{"n":44,"of":"0"}',
      '{"n":45,"of":"0"}',
    ]);
    expect(received.map(({ url }) => url).toSorted()).toEqual(['/x', '/x', '/y', '/y', '/z', '/z']);
    expect(new Set(received.map(({ authorization }) => authorization))).toEqual(new Set(['a', 'b']));
    expect(measured).toMatchObject({ requests: 6, next: 46, answers: { '200': 6 } });
  });

  it('fights for files, counts grants and refusals, and gives everything back', async () => {
    const held = new Map<string, string>();
    const { port, received } = await serve((nth, { url, body }) => {
      const [, id] = /^\/leases\/(.+)\/release$/.exec(url) ?? [];
      if (id !== undefined) return held.delete(id) ? {} : { status: 409, body: '{}' };
      if ([...held.values()].includes(body)) return { status: 409, body: '{"code":"lease_conflict"}' };
      held.set(String(nth), body);
      return { status: 201, body: `{"lease":{"id":"${nth}","fence":${nth}}}` };
    });
    const fight = { files: 8, hold: 2 };
    const arena = { path: '/leases', body: '{"file":{file}}', fight, connections: 3, seconds: 0.2 };
    const { requests, answers } = await run(job(port, arena));
    expect(held.size).toBe(0);
    expect(answers['refused']).toBeGreaterThan(0);
    expect(answers['released']).toBe(answers['granted']);
    expect(received).toHaveLength(answers['granted']! + answers['refused']! + answers['released']!);
    // Those that were on their way when the time was over are not counted.
    expect(requests).toBeLessThanOrEqual(answers['granted']! + answers['refused']!);
    expect(requests).toBeGreaterThanOrEqual(answers['granted']! + answers['refused']! - 3);
  });
});
