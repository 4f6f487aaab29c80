import { once } from 'node:events';
import fc from 'fast-check';
import fastify from 'fastify';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createLogger, loggerOptions } from '../../../src/platform/logger.ts';
import { createScrubber, redactQuery } from '../../../src/platform/redaction.ts';

const KEY = 'sbx_live_0197f5b2c4_Zm9vYmFyYmF6cXV4';
const ROOT_KEY = 'root-key-with-"quotes"-and-$ymbols/0123456789';
const PASSWORD = 'hunter22%/x';

/** A logger that writes into memory: `text()` is all of it, `lines()` parses each line, so a broken one fails the test. */
function recorded(secrets: string[] = [ROOT_KEY, PASSWORD]) {
  let written = '';
  const stream = { write: (line: string) => void (written += line) };
  return {
    stream,
    log: createLogger({ level: 'trace', secrets }, stream),
    text: () => written,
    lines: () =>
      written
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe('a log line', () => {
  it('is JSON with a time, a level by name and the message', () => {
    const { log, lines } = recorded();
    log.warn({ org: 'acme' }, 'hello');
    expect(lines()).toEqual([{ level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), org: 'acme', msg: 'hello' }]);
  });

  const secrets: [string, (log: ReturnType<typeof createLogger>) => void, string][] = [
    ['an API key in a message', (log) => log.info(`key ${KEY} was refused`), KEY],
    ['an API key in a field of any name', (log) => log.info({ deep: { list: [KEY] } }, 'x'), KEY],
    ['an API key as a field name', (log) => log.info({ [KEY]: 1 }, 'x'), KEY],
    ['an API key in format arguments', (log) => log.info('got %s and %j', KEY, { k: KEY }), KEY],
    ['an API key in a child binding', (log) => log.child({ caller: KEY }).info('x'), KEY],
    [
      'an authorization header',
      (log) => log.info({ headers: { Authorization: 'Bearer abc.def-ghi' } }, 'x'),
      'abc.def',
    ],
    ['credentials in a message', (log) => log.info('sent authorization: Basic dXNlcjpwYXNz'), 'dXNlcjpwYXNz'],
    ['a cookie', (log) => log.info({ headers: { cookie: 'sid=opaque"quoted"' } }, 'x'), 'opaque'],
    ['several set cookies', (log) => log.info({ 'set-cookie': ['a=opaque1', 'b=opaque2'] }, 'x'), 'opaque'],
    ['an x-api-key header', (log) => log.info({ headers: { 'X-API-Key': 'opaque' } }, 'x'), 'opaque'],
    ['a numeric password', (log) => log.info({ password: 48151623 }, 'x'), '48151623'],
    ['a password with quotes', (log) => log.info({ password: 'a"b\\"opaque' }, 'x'), 'opaque'],
    ['JSON inside a field', (log) => log.info({ body: '{"secret": "say \\"opaque\\" twice", "n": 1}' }, 'x'), 'opaque'],
    ['the root key in a message', (log) => log.info(`configured with ${ROOT_KEY}`), 'quotes'],
    ['the root key inside JSON inside a field', (log) => log.info({ b: JSON.stringify({ v: ROOT_KEY }) }), 'quotes'],
    ['a database URL', (log) => log.info({ url: 'postgres://app:pa@ss:word@db/x' }, 'x'), 'ss:word'],
    ['a database password by itself', (log) => log.info(`auth failed with ${PASSWORD}`), 'hunter22'],
    ['a libpq connection string', (log) => log.info("host=db password='op aque' user=x"), 'aque'],
    ['a query in a message', (log) => log.info('GET /x?access_token=opaque&limit=1'), 'opaque'],
    ['an error message', (log) => log.error(new Error(`bad key ${KEY}`)), KEY],
    ['an error cause', (log) => log.error({ err: new Error('x', { cause: new Error(KEY) }) }), KEY],
    ['an error among several', (log) => log.error(new AggregateError([new Error(KEY)], 'x')), KEY],
    ['an error that is a string', (log) => log.error({ err: `failed with ${KEY}` }, 'x'), KEY],
  ];
  it.each(secrets)('never holds %s', (_name, write, secret) => {
    const { log, text, lines } = recorded();
    write(log);
    expect(text()).not.toContain(secret);
    expect(text()).toContain('[redacted]');
    expect(lines()).toHaveLength(1);
  });

  it('keeps of an error what helps, and nothing that a driver hung onto it', () => {
    const { log, text, lines } = recorded();
    const error = Object.assign(new pg.DatabaseError('duplicate key', 10, 'error'), {
      code: '23505',
      constraint: 'members_email_key',
      detail: 'Failing row contains (private@example.com)',
      client: { connectionParameters: { host: 'db' } },
      parameters: ['private@example.com'],
    });
    log.error(error);
    expect(text()).not.toContain('private@example.com');
    expect(text()).not.toContain('connectionParameters');
    expect(lines()[0]).toMatchObject({
      err: { message: 'duplicate key', code: '23505', constraint: 'members_email_key' },
    });
  });

  it('survives an error that is its own cause', () => {
    const { log, lines } = recorded();
    const error = new Error('round and round');
    error.cause = error;
    log.error(error);
    expect(lines()).toHaveLength(1);
  });

  it('does not leak the password that a real driver was given', async () => {
    const { log, text } = recorded([PASSWORD]);
    const client = new pg.Client({ connectionString: `postgres://app:${encodeURIComponent(PASSWORD)}@127.0.0.1:1/x` });
    const error: unknown = await client.connect().catch((failure: unknown) => failure);
    log.error({ err: error, client }, 'no database');
    expect(text()).toContain('ECONNREFUSED');
    expect(text()).not.toContain('hunter22');
  });
});

describe('the scrubber', () => {
  it('leaves ordinary lines alone', () => {
    const scrub = createScrubber([ROOT_KEY]);
    for (const line of [
      '{"msg":"a bearer of news","tokens":12,"url":"http://127.0.0.1:80/x","sbx":"sbx_"}',
      '{"msg":"postgres://app@db:5432/x is reachable","inputTokens":5}',
      '{"path":"src/token/x","email":"a@b.c","note":"a://b and c@d"}',
    ]) {
      expect(scrub(line)).toBe(line);
    }
  });

  it('keeps a line valid JSON, and without the secret, wherever the secret stands in it', () => {
    const scrub = createScrubber([ROOT_KEY]);
    const place = fc.constantFrom(KEY, ROOT_KEY, `Bearer ${KEY}`, 'postgres://u:opaque-pw@h/d', 'password=opaque-pw');
    const text = fc
      .tuple(fc.string(), place, fc.constantFrom('', ' ', '"', '\\', '\n', "'"))
      .map(([a, b, c]) => `${a} ${b}${c}`);
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        text,
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 3 }),
      ),
    })).value;
    fc.assert(
      fc.property(value, fc.boolean(), (subject, nested) => {
        const line = JSON.stringify({ subject: nested ? JSON.stringify(subject) : subject });
        const scrubbed = scrub(line);
        JSON.parse(scrubbed);
        for (const secret of [KEY, 'root-key-with', 'opaque-pw']) expect(scrubbed).not.toContain(secret);
      }),
      { numRuns: 500 },
    );
  });

  it('takes linear time on hostile input', () => {
    const scrub = createScrubber([ROOT_KEY]);
    const started = performance.now();
    for (const part of [
      'a://',
      '"password":"',
      '\\"password\\":\\"',
      'x:',
      'a.',
      'Bearer ',
      'password=',
      "password='",
    ]) {
      scrub(`${part.repeat(20_000)} a://`);
    }
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe('redactQuery', () => {
  it.each([
    ['/api/v1/leases?repo=acme/shop&limit=5', '/api/v1/leases?repo=acme/shop&limit=5'],
    ['/x?access_token=abc&limit=5', '/x?access_token=[redacted]&limit=5'],
    ['/x?access%5Ftoken=abc', '/x?access%5Ftoken=[redacted]'],
    ['/x?abc', '/x?[redacted]'],
    ['/x?a=b?c=d', '/x?a=[redacted]'],
    ['/x', '/x'],
  ])('%s is logged as %s', (url, logged) => {
    expect(redactQuery(url)).toBe(logged);
  });
});

describe('Fastify with these options', () => {
  it('logs requests without headers, query secrets or bodies', async () => {
    const { stream, text, lines } = recorded();
    const app = fastify({ logger: { ...loggerOptions({ level: 'info', secrets: [ROOT_KEY] }), stream } });
    app.post('/echo', (request) => {
      request.log.info({ req: request, headers: request.headers, body: request.body }, 'handling');
      throw new Error(`cannot accept ${KEY}`);
    });
    const address = await app.listen({ host: '127.0.0.1', port: 0 });
    const closed = once(app.server, 'close');
    await fetch(`${address}/echo?access_token=opaque-1&limit=3`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ROOT_KEY}`, cookie: 'sid=opaque-2', 'content-type': 'application/json' },
      body: JSON.stringify({ password: 'opaque-3' }),
    });
    await Promise.all([app.close(), closed]);
    expect(text()).not.toMatch(/opaque-[123]/);
    expect(text()).not.toContain(KEY);
    expect(text()).not.toContain('ymbols');
    const incoming = lines().find((line) => line['msg'] === 'incoming request');
    expect(incoming).toMatchObject({
      level: 'info',
      req: { method: 'POST', url: '/echo?access_token=[redacted]&limit=3', remoteAddress: '127.0.0.1' },
    });
  });
});
