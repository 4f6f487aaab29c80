import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Caller, startTestServer, type TestServer } from '../../support/server.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
let admin: Caller;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  ({ admin } = await server.newOrg());
});
afterAll(() => server?.close());
afterEach(async () => {
  expect((await admin.get('/org')).status, 'the server still answers').toBe(200);
});

const JSON_TYPE = { 'content-type': 'application/json' };
const YAML = { 'content-type': 'application/yaml' };

interface Told {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors?: { path: string; reason: string }[];
}

/** The problem that an answer tells of; fails unless it is one, in full, and without anything of our insides. */
async function problemOf(response: Response): Promise<Told> {
  const text = await response.text();
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json\b/);
  const body = JSON.parse(text) as Told & { title: string; requestId: string };
  expect(body).toMatchObject({
    title: expect.any(String),
    code: expect.stringMatching(/^[a-z_]+$/),
    status: response.status,
  });
  expect(body.detail).toEqual(expect.any(String));
  expect(body.requestId).toMatch(/^[0-9a-f-]{36}$/);
  expect(text).not.toMatch(/node_modules|\.ts\b|at \w+ \(|[Pp]risma|SELECT|"stack"/);
  return body;
}

const send = async (
  method: string,
  path: string,
  init: { body?: string | Uint8Array; headers?: Record<string, string> } = {},
) =>
  fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${admin.secret}`, ...init.headers },
    ...(init.body === undefined ? {} : { body: init.body }),
  });

const post = async (path: string, body: string | Uint8Array, headers: Record<string, string> = JSON_TYPE) =>
  problemOf(await send('POST', `/api/v1${path}`, { body, headers }));

describe('a body that is no JSON', () => {
  it.each([
    '{',
    '{"name": "x",}',
    "{'name': 'x'}",
    'name=x',
    '\u0000',
    '{"name": "x"} {}',
    'NaN',
    '{"a": 0x1}',
    '[1,',
    '\ufeff{}x',
  ])('like %j is a 400', async (body) => {
    expect(await post('/teams', body)).toMatchObject({ status: 400, code: 'malformed_json' });
  });

  it.each(['{"name":"x","__proto__":{"admin":true}}', '{"name":"x","a":[{"__proto__":1}]}', '{"\\u005f_proto__":1}'])(
    'or names __proto__, like %j, is a 400',
    async (body) => {
      expect(await post('/teams', body)).toMatchObject({ status: 400, code: 'malformed_json' });
      expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    },
  );

  it.each([
    ['POST', '/teams', JSON_TYPE],
    ['POST', '/loops', YAML],
    ['PUT', '/policies/house/draft', JSON_TYPE],
    ['PUT', '/policies/house/draft', YAML],
  ])(
    'is refused in bytes that are no UTF-8 (%s %s): with something put in for them a name is another',
    async (method, path, headers) => {
      const body = Buffer.concat([Buffer.from('{"name": "'), Buffer.from([0xff, 0xfe, 0xc0, 0x80]), Buffer.from('"}')]);
      const told = await problemOf(await send(method, `/api/v1${path}`, { body, headers }));
      expect(told).toMatchObject({ status: 400, code: 'unsupported_encoding' });
    },
  );
});

describe('a body with a character that cannot be stored', () => {
  it.each([
    '{"name":"\\u0000"}',
    '{"name":"a\\u0000b"}',
    '{"name":"\\ud800"}',
    '{"name":"\\udc00\\ud800"}',
    '{"\\u0000":1}',
    '{"name":["\\ud83d"]}',
  ])('like %s is a 422', async (body) => {
    expect(await post('/teams', body)).toMatchObject({ status: 422, code: 'unsupported_character' });
  });

  it('is told from one that can', async () => {
    const response = await send('POST', '/api/v1/teams', {
      body: '{"name":"\\ud83d\\ude00 \\\\u0000"}',
      headers: JSON_TYPE,
    });
    expect([response.status, ((await response.json()) as { name: string }).name]).toEqual([201, '😀 \\u0000']);
  });

  it.each([
    '/api/v1/repos?name=a%00/b',
    '/api/v1/policies/a%00b',
    '/api/v1/leases?repo=a/b&path=%00',
    '/api/v1/loops/%00',
  ])('is refused in the URL too: %s', async (path) => {
    const { status } = await problemOf(await send('GET', path));
    expect([400, 404, 422]).toContain(status);
  });
});

describe('a body of the wrong shape', () => {
  it.each([
    ['/teams', '{"name":7}', ['body.name']],
    ['/teams', '{}', ['body.name']],
    ['/teams', '[]', ['body']],
    ['/teams', 'null', ['body']],
    ['/teams', '"x"', ['body']],
    ['/teams', '', ['body']],
    ['/teams', '{"name":"x","nmae":"y"}', ['body']],
    ['/members', '{"name":"x","email":"x@example.com","teams":["a",7]}', ['body.teams[0]', 'body.teams[1]']],
    [
      '/leases/verify',
      '{"repo":"a/b","paths":["a"],"leases":[{"id":"x","fence":0}]}',
      ['body.leases[0].id', 'body.leases[0].fence'],
    ],
  ])('%s %s is a 422 that names each field', async (path, body, paths) => {
    const told = await post(path, body);
    expect(told).toMatchObject({ status: 422, code: 'invalid_request' });
    expect(told.errors!.map((error) => error.path)).toEqual(paths);
    for (const { reason } of told.errors!) expect(reason.length).toBeGreaterThan(3);
  });

  it('and numbers that JSON can say but nobody means are refused or kept as they are', async () => {
    for (const fence of ['1e400', '-1', '1.5', '9007199254740993', '"1"', 'true', '{}']) {
      const body = `{"repo":"a/b","paths":["a"],"leases":[{"id":"01a1fef3-0000-7000-8000-000000000000","fence":${fence}}]}`;
      expect([fence, (await post('/leases/verify', body)).status]).toEqual([fence, 422]);
    }
  });
});

describe('a body of the wrong size or type', () => {
  it('over the limit is a 413, announced or not', async () => {
    const body = JSON.stringify({ name: 'x'.repeat(1024 * 1024) });
    expect(await post('/teams', body)).toMatchObject({ status: 413, code: 'body_too_large' });
    const chunked = await fetch(`${server.url}/api/v1/teams`, {
      method: 'POST',
      headers: { ...JSON_TYPE, authorization: `Bearer ${admin.secret}` },
      body: new ReadableStream({
        pull: (controller) => {
          controller.enqueue(Buffer.alloc(64 * 1024, 0x20));
        },
      }),
      duplex: 'half',
    }).catch((error: unknown) => error);
    // The server hangs up on a sender who will not stop; whether that one still reads the answer is a race.
    if (chunked instanceof Response) expect(await problemOf(chunked)).toMatchObject({ status: 413 });
  });

  it.each([
    'text/plain',
    'text/html',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'x',
  ])('of type %s is a 415', async (type) => {
    expect(await post('/teams', '{"name":"x"}', { 'content-type': type })).toMatchObject({
      status: 415,
      code: 'unsupported_media_type',
    });
  });

  it('is read as JSON whatever the parameters of the type', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;x=y']) {
      const response = await send('POST', '/api/v1/teams', {
        body: `{"name":"${type}"}`,
        headers: { 'content-type': type },
      });
      expect([type, response.status]).toEqual([type, 201]);
    }
  });
});

describe('depth and growth', () => {
  const nested = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);
  const swift = async <T>(work: () => Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const result = await work();
    expect(performance.now() - startedMs).toBeLessThan(5000);
    return result;
  };

  it.each([200, 2_000, 7_000, 20_000, 250_000, 500_000])(
    'JSON %d deep is refused fast, wherever it is sent',
    async (depth) => {
      for (const value of [
        nested('[', ']', depth),
        nested('{"a":', '}', depth).replace(':}', ':1}'),
        nested('[{"\\u0000":', '}]', depth).replace(':}', ':1}'),
      ]) {
        for (const [method, path, body] of [
          ['POST', '/teams', value],
          ['POST', '/teams', `{"name":${value}}`],
          ['POST', '/loops', `{"name":"x","repo":"a/b","x":${value}}`],
          ['PUT', '/policies/p/draft', value],
          ['POST', '/decisions', `{"action":"push","subject":{"x":${value}}}`],
          ['POST', '/runs/01a1fef3-0000-7000-8000-000000000000/heartbeat', `{"epoch":1,"checkpoint":${value}}`],
        ] as const) {
          const { status } = await swift(async () =>
            problemOf(await send(method, `/api/v1${path}`, { body, headers: JSON_TYPE })),
          );
          expect([path, status]).toEqual([
            path,
            expect.toSatisfy((told) => [400, 404, 413, 422].includes(told as number)),
          ]);
        }
      }
    },
  );

  const bomb = [
    'a: &a ["x","x","x","x","x","x","x","x","x"]',
    ...Array.from({ length: 12 }, (_, i) => {
      const [name, before] = ['bcdefghijklm'[i]!, 'abcdefghijkl'[i]!];
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(',')}]`;
    }),
  ].join('\n');

  it.each([
    ['a bomb of aliases', `${bomb}\nname: x\nrepo: a/b\n`],
    ['an alias of itself', 'name: x\nrepo: a/b\nx: &a [*a]\n'],
    ['flow sequences 100,000 deep', `name: x\nrepo: a/b\nx: ${nested('[', ']', 100_000)}`],
    ['block sequences 20,000 deep', `name: x\nx:\n  ${'- '.repeat(20_000)}1`],
    ['an endless row of merges', `a: &a {x: 1}\nname: x\nb: {${'<<: *a, '.repeat(5_000)}}`],
    ['a custom tag', 'name: !!js/function "function () {}"\nrepo: a/b\n'],
    ['two documents', 'name: x\nrepo: a/b\n---\nname: y\n'],
    ['a megabyte of dashes', '- '.repeat(500_000)],
    ['a megabyte of keys', Array.from({ length: 60_000 }, (_, i) => `key${i}: ${i}`).join('\n')],
    ['a megabyte of anchors', Array.from({ length: 60_000 }, (_, i) => `- &a${i} x`).join('\n')],
    ['NUL', 'name: "\\0"\nrepo: a/b\n'],
    ['a lone surrogate', 'name: "\\ud800"\nrepo: a/b\n'],
    ['__proto__', 'name: x\nrepo: a/b\n__proto__: {admin: true}\n'],
  ])('YAML: %s is refused fast, for a loop and for a policy', async (_name, body) => {
    for (const [method, path] of [
      ['POST', '/loops?repo=a/b'],
      ['PUT', '/policies/p/draft'],
    ] as const) {
      const told = await swift(async () => problemOf(await send(method, `/api/v1${path}`, { body, headers: YAML })));
      expect([path, told.status]).toEqual([
        path,
        expect.toSatisfy((status) => [400, 413, 422].includes(status as number)),
      ]);
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });
});

describe('what does not exist', () => {
  it.each([
    ['GET', '/api/v1/nothing'],
    ['GET', '/'],
    ['GET', '/api/v2/org'],
    ['DELETE', '/api/v1/org'],
    ['PATCH', '/api/v1/org'],
    ['OPTIONS', '/api/v1/org'],
    ['GET', '/api/v1/org/'],
    ['GET', '/api/v1/../v1/nothing'],
    ['GET', '/api/v1/%2e%2e/org'],
  ])('%s %s is a 404 and a problem, with and without a key', async (method, path) => {
    for (const headers of [{}, { authorization: 'Bearer none' }])
      expect(await problemOf(await send(method, path, { headers }))).toMatchObject({ status: 404, code: 'not_found' });
  });

  it.each(['/api/v1/%', '/api/v1/loops/%zz', '/api/v1/loops/%c3%28', '/%80'])(
    '%s, which is no URL, is a 400',
    async (path) => {
      expect(await problemOf(await send('GET', path))).toMatchObject({ status: 400, code: 'bad_request' });
    },
  );
});

it.each(['/api/v1/leases?repo=a/b&path=a%FF', '/api/v1/leases?path=%', '/readyz?%zz', '/api/v1/repos?name=%c3%28/b'])(
  '%s, whose query can be read as nothing, is a 400, and not what it spells',
  async (path) => {
    expect(await problemOf(await send('GET', path))).toMatchObject({ status: 400, code: 'bad_request' });
  },
);

it.each(['/api/v1/lease-tickets', '/api/v1/approvals'])(
  '%s/… is held open for a minute at most, and says so by its own code',
  async (path) => {
    for (const seconds of ['-1', '61', '1e9']) {
      const reply = await send('GET', `${path}/019c0000-0000-7000-8000-000000000000?waitSeconds=${seconds}`);
      expect(await problemOf(reply)).toMatchObject({ status: 422, code: 'wait_out_of_range' });
    }
    const reply = await send('GET', `${path}/019c0000-0000-7000-8000-000000000000?waitSeconds=x`);
    expect(await problemOf(reply)).toMatchObject({ status: 422, code: 'invalid_request' });
  },
);

it.each(['/leases', '/admissions', '/teams', '/policies/p/publish'])('%s takes no YAML', async (path) => {
  const reply = await send('POST', `/api/v1${path}`, { body: 'name: x', headers: YAML });
  expect(await problemOf(reply)).toMatchObject({ status: 415, code: 'unsupported_media_type' });
});

it('a part of the path that is too long for any name is a 414', async () => {
  const reply = await send('GET', `/api/v1/loops/${'x'.repeat(5000)}`);
  expect(await problemOf(reply)).toMatchObject({ status: 414, code: 'url_too_long' });
});

describe('below HTTP', () => {
  /** Sends bytes as they are and gives back the status and the problem that come, if any. */
  async function raw(
    text: string,
  ): Promise<{ status: number; body: { code?: string; requestId?: string }; type: string }> {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => undefined);
    socket.write(text.replaceAll('\n', '\r\n'));
    await once(socket, 'close');
    const answer = Buffer.concat(parts).toString();
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    return {
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0),
      type: /content-type: ([^\r]*)/i.exec(head)?.[1] ?? '',
      body: body.startsWith('{') ? JSON.parse(body) : {},
    };
  }
  const request = (...lines: string[]) => `${lines.join('\n')}\n\n`;
  const host = 'Host: x\nConnection: close';

  it.each([
    ['no HTTP', 'hello\n\n', 400],
    ['two lengths', request('POST /api/v1/teams HTTP/1.1', host, 'Content-Length: 2', 'Content-Length: 3') + '{}', 400],
    [
      'a length and chunks',
      request('POST /api/v1/teams HTTP/1.1', host, 'Content-Length: 2', 'Transfer-Encoding: chunked') + '0\n\n',
      400,
    ],
    ['a header of 100 kB', request('GET /api/v1/org HTTP/1.1', host, `X: ${'x'.repeat(100_000)}`), 431],
    ['a header with a line break', request('GET /api/v1/org HTTP/1.1', host, 'X : y'), 400],
    ['no host', request('GET /readyz HTTP/1.1', 'Connection: close'), 400],
    ['an expectation', request('GET /readyz HTTP/1.1', host, 'Expect: the-unexpected'), 417],
  ])('%s is refused with a problem', async (_name, text, status) => {
    const answer = await raw(text);
    expect([answer.status, answer.type]).toEqual([status, expect.stringMatching(/^application\/problem\+json/)]);
    expect(answer.body).toMatchObject({ code: expect.any(String), status, requestId: expect.any(String) });
  });

  it('takes the first of two keys, the stricter of two Idempotency-Keys, and neither of two that differ in case', async () => {
    const twoKeys = await raw(
      request('GET /api/v1/org HTTP/1.1', host, 'Authorization: Bearer none', `Authorization: Bearer ${admin.secret}`),
    );
    expect(twoKeys.status).toBe(401);
    const body = '{"name":"doubled"}';
    const common = [
      'POST /api/v1/teams HTTP/1.1',
      host,
      `Authorization: Bearer ${admin.secret}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ];
    const doubled = await raw(request(...common, 'Idempotency-Key: a', 'idempotency-key: b') + body);
    expect([doubled.status, doubled.body.code]).toEqual([422, 'idempotency_key_invalid']);
  });
});
