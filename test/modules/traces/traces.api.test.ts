import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { startRun } from '../loops/support.ts';
import { postOtlp, spanRows } from './support.ts';
import { jsonLogs, jsonSpan, jsonTraces, randomHex } from './wire.ts';

let server: TestServer;
let org: TestOrg;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  org = await server.newOrg();
});
afterAll(() => server?.close());

const BASE = BigInt(Date.now() - 3_600_000) * 1_000_000n;
/** A span that began so many milliseconds after an hour ago. */
const spanAt = (ms: number, overrides: Record<string, unknown> = {}) =>
  jsonSpan({
    startTimeUnixNano: String(BASE + BigInt(ms) * 1_000_000n),
    endTimeUnixNano: String(BASE + BigInt(ms + 1) * 1_000_000n),
    ...overrides,
  });
const send = async (caller: Caller, spans: readonly object[], resource: Record<string, string> = {}) => {
  const reply = await postOtlp(server, caller, 'traces', jsonTraces(spans, resource));
  if (reply.status !== 200 || reply.bytes.length > 0) throw new Error(`${reply.status} ${reply.bytes.toString()}`);
};

describe('one trace', () => {
  it('has its spans as they began, to the last digit', async () => {
    const traceId = randomHex(16);
    const [root, child] = [randomHex(8), randomHex(8)];
    const start = BASE + 1_234_567n;
    await send(
      org.admin,
      [
        jsonSpan({
          traceId,
          spanId: child,
          parentSpanId: root,
          name: 'child',
          startTimeUnixNano: String(start + 1n),
          endTimeUnixNano: String(start + 2n),
          attributes: [
            { key: 'big', value: { intValue: '9223372036854775807' } },
            { key: 'small', value: { intValue: '-5' } },
            { key: 'share', value: { doubleValue: 0.5 } },
            { key: 'whole', value: { doubleValue: 7 } },
            { key: 'huge', value: { doubleValue: 1e300 } },
            { key: 'none', value: { doubleValue: 'NaN' } },
            { key: 'text', value: { stringValue: '12' } },
            { key: 'list', value: { arrayValue: { values: [{ intValue: '1' }, { boolValue: false }] } } },
          ],
          links: [{ traceId: 'cd'.repeat(16), spanId: 'ef'.repeat(8), attributes: [] }],
          flags: 257,
        }),
        jsonSpan({
          traceId,
          spanId: root,
          name: 'root',
          startTimeUnixNano: String(start),
          endTimeUnixNano: String(start + 9n),
        }),
      ],
      { 'service.name': 'agent' },
    );
    const { status, body } = await org.admin.get(`/traces/${traceId.toUpperCase()}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      traceId,
      nextCursor: null,
      spans: [
        {
          spanId: root,
          parentSpanId: null,
          name: 'root',
          startTimeUnixNano: String(start),
          endTimeUnixNano: String(start + 9n),
        },
        {
          spanId: child,
          parentSpanId: root,
          service: 'agent',
          resource: { attributes: { 'service.name': 'agent' } },
          scope: { name: 'test' },
          links: [{ traceId: 'cd'.repeat(16), spanId: 'ef'.repeat(8), attributes: {} }],
          flags: 257,
          dropped: null,
          truncated: null,
        },
      ],
    });
    expect(body.spans[1].attributes).toEqual({
      big: '9223372036854775807',
      small: '-5',
      share: 0.5,
      whole: 7,
      huge: 1e300,
      none: { doubleValue: 'NaN' },
      text: '12',
      list: ['1', false],
    });
  });

  it('is only its own org’s, in the words for what is not there', async () => {
    const other = await server.newOrg();
    const span = spanAt(0);
    await send(org.admin, [span]);
    const foreign = await other.admin.get(`/traces/${String(span['traceId'])}`);
    const nothing = await other.admin.get(`/traces/${randomHex(16)}`);
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, requestId: '' }).toEqual({ ...nothing.body, requestId: '' });
    // The same ids in both: each sees what it sent.
    await send(other.admin, [{ ...span, name: 'theirs' }]);
    const names = async (who: Caller) =>
      (await who.get(`/traces/${String(span['traceId'])}`)).body.spans.map((each: { name: string }) => each.name);
    expect([await names(org.admin), await names(other.admin)]).toEqual([['work'], ['theirs']]);
    expect((await other.admin.get('/traces')).body.items).toHaveLength(1);
  });

  it('over midnight is whole, and comes in pages', async () => {
    const traceId = randomHex(16);
    const day = 86_400_000;
    const midnight = BigInt(Math.floor(Date.now() / day) * day - 3 * day) * 1_000_000n;
    const starts = [-2n, -1n, 0n, 1n].map((offset) => String(midnight + offset));
    for (const start of starts)
      await send(org.admin, [jsonSpan({ traceId, startTimeUnixNano: start, endTimeUnixNano: start })]);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body } = await org.admin.get(`/traces/${traceId}?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...body.spans.map((span: { startTimeUnixNano: string }) => span.startTimeUnixNano));
      cursor = body.nextCursor;
    }
    expect(seen).toEqual(starts);
    expect((await org.admin.get('/traces/xyz')).status).toBe(422);
    expect((await org.admin.get(`/traces/${traceId}?cursor=WyJ4Il0`)).status).toBe(422);
  });
});

describe('links', () => {
  it('are exact for a key that may speak for the loop, else inferred; what is not known stays an attribute', async () => {
    const own = await server.newOrg();
    const [ada, bob] = [await own.member(), await own.member()];
    const run = await startRun(ada, {}, { sessionId: 'session-1' });
    const made: [Caller, Record<string, string>, unknown][] = [
      [ada, { 'loop.id': run.loopId, 'run.id': run.id }, ['exact', run.loopId, run.id]],
      [bob, { 'loop.id': run.loopId, 'run.id': run.id.toUpperCase() }, ['inferred', run.loopId, run.id]],
      [ada, { 'session.id': 'session-1' }, ['exact', run.loopId, run.id]],
      [bob, { 'conversation.id': 'session-1' }, ['inferred', run.loopId, run.id]],
      [ada, { 'loop.id': run.loopId }, ['exact', run.loopId, null]],
      [ada, { 'loop.id': randomUUID(), 'run.id': 'not a uuid', 'session.id': 'unknown' }, [null, null, null]],
    ];
    for (const [index, [caller, resource]] of made.entries()) {
      await send(caller, [spanAt(index)], resource);
      const record = { timeUnixNano: String(BASE + BigInt(index)), body: { intValue: String(index) } };
      expect((await postOtlp(server, caller, 'logs', jsonLogs([record], resource))).bytes).toHaveLength(0);
    }
    const rows = await spanRows(server, own.id);
    expect(rows.map((row) => [row['link'], row['loop_id'], row['run_id']])).toEqual(
      made.map(([, , expected]) => expected),
    );
    expect(rows.map((row) => row['resource'])).toEqual(made.map(([, resource]) => resource));
    const logs = await server.sql(
      'SELECT link, loop_id, run_id FROM log_record WHERE org_id = $1 ORDER BY time_nanos',
      [own.id],
    );
    expect(logs.map((row) => [row['link'], row['loop_id'], row['run_id']])).toEqual(
      made.map(([, , expected]) => expected),
    );
  });

  it('never go to another org’s loop', async () => {
    const [one, two] = [await server.newOrg(), await server.newOrg()];
    const run = await startRun(one.admin, {}, { sessionId: 'session-2' });
    await send(two.admin, [spanAt(0)], { 'loop.id': run.loopId, 'run.id': run.id, 'session.id': 'session-2' });
    expect((await spanRows(server, two.id)).map((row) => [row['link'], row['loop_id'], row['run_id']])).toEqual([
      [null, null, null],
    ]);
  });

  it('may be named by a span itself', async () => {
    const own = await server.newOrg();
    const run = await startRun(own.admin);
    const attributes = [{ key: 'run.id', value: { stringValue: run.id } }];
    await send(own.admin, [spanAt(0, { attributes }), spanAt(1)], { 'loop.id': randomUUID() });
    expect((await spanRows(server, own.id)).map((row) => row['run_id'])).toEqual([run.id, null]);
  });
});

describe('the search', () => {
  let own: TestOrg;
  let run: { id: string; loopId: string };
  const ids: Record<string, string> = {};
  beforeAll(async () => {
    own = await server.newOrg();
    run = await startRun(own.admin);
    for (const name of ['linked', 'slow', 'tagged', 'double']) ids[name] = randomHex(16);
    const traceId = (name: string) => ({ traceId: ids[name] });
    await send(
      own.admin,
      [spanAt(10, traceId('linked')), spanAt(11, { ...traceId('linked'), parentSpanId: randomHex(8) })],
      {
        'run.id': run.id,
        'service.name': 'agent',
      },
    );
    await send(own.admin, [
      spanAt(20, { ...traceId('slow'), name: 'chat', endTimeUnixNano: String(BASE + 5_000_000_000n) }),
    ]);
    const attributes = [
      { key: 'tool', value: { stringValue: 'a=b' } },
      { key: 'count', value: { intValue: '3' } },
    ];
    await send(own.admin, [spanAt(30, { ...traceId('tagged'), attributes })], { host: 'h1' });
    // One that matches, and a newer span that does not.
    await send(own.admin, [
      spanAt(5, { ...traceId('double'), name: 'chat' }),
      spanAt(6, { ...traceId('double'), name: 'chat' }),
      spanAt(40, { ...traceId('double'), name: 'tool' }),
    ]);
  });

  const search = async (query: string) => {
    const { status, body } = await own.admin.get(`/traces?${query}`);
    expect([query, status]).toEqual([query, 200]);
    return body.items.map((item: { traceId: string }) => Object.keys(ids).find((name) => ids[name] === item.traceId));
  };
  const iso = (ms: number) => encodeURIComponent(new Date(Number(BASE / 1_000_000n) + ms).toISOString());

  it('finds each trace once, newest first', async () => {
    expect(await search('')).toEqual(['double', 'tagged', 'slow', 'linked']);
  });

  it('finds by what was asked, and by all of it', async () => {
    expect(await search(`loopId=${run.loopId}`)).toEqual(['linked']);
    expect(await search(`runId=${run.id}`)).toEqual(['linked']);
    expect(await search('service=agent')).toEqual(['linked']);
    expect(await search('name=chat')).toEqual(['slow', 'double']);
    expect(await search('minDurationMs=1000')).toEqual(['slow']);
    expect(await search('attribute=tool=a=b')).toEqual(['tagged']);
    expect(await search('attribute=count=3&attribute=host=h1')).toEqual(['tagged']);
    expect(await search('attribute=count=3&attribute=host=h2')).toEqual([]);
    expect(await search(`from=${iso(20)}&to=${iso(40)}`)).toEqual(['tagged', 'slow']);
    expect(await search('name=chat&minDurationMs=1000')).toEqual(['slow']);
    expect(await search(`loopId=${randomUUID()}`)).toEqual([]);
  });

  it('tells the newest match, its trace’s time and its root', async () => {
    const { items } = (await own.admin.get('/traces?name=chat&limit=2')).body;
    expect(items[1]).toMatchObject({
      traceId: ids['double'],
      startTimeUnixNano: String(BASE + 5_000_000n),
      endTimeUnixNano: String(BASE + 41_000_000n),
      durationMs: 36,
      root: { name: 'chat', service: null },
      match: { name: 'chat', startTimeUnixNano: String(BASE + 6_000_000n), durationMs: 1 },
    });
  });

  it('comes in pages without a gap or a double', async () => {
    const all: string[] = [];
    let cursor = '';
    for (let page = 0; page < 10; page += 1) {
      const { body } = await own.admin.get(`/traces?limit=1${cursor}`);
      all.push(...body.items.map((item: { traceId: string }) => item.traceId));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(all).toEqual(['double', 'tagged', 'slow', 'linked'].map((name) => ids[name]));
  });

  it.each([
    'limit=0',
    'loopId=x',
    'attribute=nothing',
    'from=yesterday',
    'minDurationMs=-1',
    'cursor=x',
    'attribute=%00=1',
  ])('refuses %s', async (query) => {
    expect((await own.admin.get(`/traces?${query}`)).status).toBe(422);
  });
});

describe('row-level security', () => {
  it('holds on every partition by its own name, and nobody creates tables but through the function', async () => {
    await send(org.admin, [spanAt(0)]);
    const client = await server.pools.ordinary.connect();
    try {
      const { rows } = await client.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'span'::regclass`,
      );
      expect(rows.length).toBeGreaterThan(0);
      for (const { name } of rows) {
        expect((await client.query(`SELECT * FROM ${name}`)).rows).toEqual([]);
        await expect(client.query(`COPY ${name} FROM STDIN`)).rejects.toThrow(/row-level security/);
      }
      await expect(client.query('CREATE TABLE mine (n int)')).rejects.toThrow(/permission denied/);
      for (const day of ["'1970-01-01'", 'current_date + 30'])
        await expect(client.query(`SELECT ensure_span_partition(${day})`)).rejects.toThrow(/too far from today/);
      await expect(client.query(`SELECT guard_telemetry('org', 'ALL')`)).rejects.toThrow(/permission denied/);
    } finally {
      client.release();
    }
  });
});
