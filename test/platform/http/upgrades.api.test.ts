import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Caller, startTestServer, type TestServer } from '../../support/server.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 20_000 });

let server: TestServer;
let admin: Caller;
const sockets: Socket[] = [];
beforeAll(async () => {
  server = await startTestServer({ start: false });
  ({ admin } = await server.newOrg());
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(() => server?.close());

/** A connection that is written to as it is. */
function dial() {
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  let text = '';
  socket.on('error', () => undefined);
  socket.on('data', (part) => (text += part.toString()));
  return {
    send: (...parts: string[]) => void socket.write(parts.join('')),
    answered: () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1])),
    text: () => text,
    /** Waits for so many answers in all. */
    async answers(count: number): Promise<number[]> {
      while (this.answered().length < count) await once(socket, 'data');
      return this.answered();
    },
    closed: () => once(socket, 'close'),
  };
}

const head = (line: string, ...headers: string[]) =>
  [`${line} HTTP/1.1`, 'Host: x', `Authorization: Bearer ${admin.secret}`, ...headers, '', ''].join('\r\n');
const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA'];
const WEBSOCKET = ['Connection: keep-alive, Upgrade', 'Upgrade: WebSocket'];
const SOUND = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

function newTeam(name: string, ...headers: string[]) {
  const body = JSON.stringify({ name });
  return (
    head('POST /api/v1/teams', ...headers, 'Content-Type: application/json', `Content-Length: ${body.length}`) + body
  );
}
const teamNames = async () =>
  (await admin.get('/teams?limit=500')).body.items.map(({ name }: { name: string }) => name);

describe('an offer of a protocol that the server does not speak', () => {
  it('is passed over: what was asked is answered, with its body, again and again on the same connection', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    const line = dial();
    for (let n = 1; n <= 24; n += 2) {
      line.send(head('GET /api/v1/org', ...H2C));
      expect((await line.answers(n)).at(-1)).toBe(200);
      line.send(newTeam(`offered ${n}`, ...H2C));
      expect((await line.answers(n + 1)).at(-1)).toBe(201);
    }
    line.send(head('GET /api/v1/org'));
    expect((await line.answers(25)).at(-1)).toBe(200);
    expect(await teamNames()).toContain('offered 23');
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
  });

  it.each([
    ['another name', ['Connection: upgrade', 'Upgrade: TLS/1.0, HTTP/2.0']],
    ['one of several', ['Connection: Upgrade', 'Upgrade: h2c, websocket']],
    ['none', ['Connection: Upgrade', 'Upgrade:']],
    ['a POST to become a WebSocket', [...WEBSOCKET, ...SOUND]],
  ])('is passed over for a body, too: %s', async (name, headers) => {
    const line = dial();
    line.send(newTeam(name, ...headers));
    expect(await line.answers(1)).toEqual([201]);
    expect(await teamNames()).toContain(name);
  });

  it('is passed over in a body that comes later, in chunks, or only when it is asked for', async () => {
    const line = dial();
    const common = [...H2C, 'Content-Type: application/json'];
    line.send(head('POST /api/v1/teams', ...common, 'Transfer-Encoding: chunked'));
    line.send('f\r\n{"name":"chunks\r\n');
    line.send('2\r\n"}\r\n0\r\n\r\n');
    expect(await line.answers(1)).toEqual([201]);
    line.send(head('POST /api/v1/teams', ...common, 'Expect: 100-continue', 'Content-Length: 16'));
    expect(await line.answers(2)).toEqual([201, 100]);
    line.send('{"name":"waits"}');
    expect(await line.answers(3)).toEqual([201, 100, 201]);
    expect(await teamNames()).toEqual(expect.arrayContaining(['chunks', 'waits']));
  });

  it('in the middle of requests that are sent at once: all are answered, in order', async () => {
    const line = dial();
    line.send(
      newTeam('first'),
      head('GET /api/v1/nothing', ...H2C),
      head('GET /api/v1/org'),
      newTeam('second', ...H2C, 'Connection: close'),
    );
    await line.closed();
    expect(line.answered()).toEqual([201, 404, 200, 201]);
    expect(line.text()).not.toContain('101 Switching');
  });

  it('hides neither a request that is none nor headers that are too many', async () => {
    for (const [text, status] of [
      [head('POST /api/v1/teams', ...H2C, 'Content-Length: 2', 'Transfer-Encoding: chunked') + '{}', 400],
      [head('GET /api/v1/org', ...H2C, ...Array.from({ length: 1100 }, () => 'a:')), 431],
    ] as const) {
      const line = dial();
      line.send(text);
      await line.closed();
      expect([line.answered(), line.text()]).toEqual([[status], expect.stringContaining('application/problem+json')]);
    }
  });

  it.skipIf(!isThere('curl'))('does not keep curl --http2 from a page and from a change', async () => {
    const curl = async (...args: string[]) => {
      const show = ['-sS', '-m', '20', '--http2', '-w', '%{http_code}', '-o', '/dev/null'];
      const key = ['-H', `Authorization: Bearer ${admin.secret}`, '-H', 'Content-Type: application/json'];
      return (await promisify(execFile)('curl', [...show, ...key, ...args])).stdout;
    };
    const big = JSON.stringify({ name: 'x'.repeat(100_000) });
    const url = `${server.url}/api/v1`;
    expect(await curl(`${url}/org`)).toBe('200');
    expect(await curl(`${url}/teams`, '-d', '{"name":"curled"}')).toBe('201');
    // More than one packet.
    expect(await curl(`${url}/teams`, '-d', big)).toBe('422');
    expect(await teamNames()).toContain('curled');
  });
});

describe('a WebSocket that cannot be had', () => {
  it.each([
    ['at an address without one', '/api/v1/leases', [...WEBSOCKET, ...SOUND], 400],
    ['at no address', '/api/v1/nothing', [...WEBSOCKET, ...SOUND], 404],
    ['without its key', '/api/v1/events', [...WEBSOCKET, 'Sec-WebSocket-Version: 13'], 400],
    ['of a version of long ago', '/api/v1/events', [...WEBSOCKET, SOUND[1]!, 'Sec-WebSocket-Version: 7'], 400],
    ['with protocols that are none', '/api/v1/events', [...WEBSOCKET, ...SOUND, 'Sec-WebSocket-Protocol: ;'], 400],
    ['after nowhere', '/api/v1/events?after=x', [...WEBSOCKET, ...SOUND], 422],
  ])('%s is refused with a problem, and hung up on', async (_what, path, headers, status) => {
    const line = dial();
    line.send(head(`GET ${path}`, ...headers));
    await line.closed();
    const [top = '', body = ''] = line.text().split('\r\n\r\n');
    expect(top).toMatch(/^content-type: application\/problem\+json/im);
    expect(top).toMatch(/^connection: close/im);
    expect(line.answered()).toEqual([status]);
    expect(JSON.parse(body)).toMatchObject({ status, code: expect.any(String), requestId: expect.any(String) });
  });

  it('is plain HTTP to HTTP/1.0, which knows no upgrades', async () => {
    const line = dial();
    line.send(head('GET /api/v1/org', ...WEBSOCKET, ...SOUND).replace('HTTP/1.1', 'HTTP/1.0'));
    expect(await line.answers(1)).toEqual([200]);
  });
});

it('a server that ends tells those who listen that it goes away', async () => {
  const ending = await startTestServer({ start: false });
  const { admin: listener } = await ending.newOrg();
  const headers = { authorization: `Bearer ${listener.secret}` };
  const socket = new WebSocket(`${ending.url.replace('http', 'ws')}/api/v1/events?after=0`, { headers });
  await once(socket, 'open');
  const closed = once(socket, 'close');
  await ending.close();
  expect((await closed)[0]).toBe(1001);
});

function isThere(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
