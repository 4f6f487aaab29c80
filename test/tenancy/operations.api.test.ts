import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Operation, operationsOf, type Schema } from '../modules/identity/operations.ts';
import { type Caller, startTestServer, type TestServer } from '../support/server.ts';
import { type Ask, FENCES, NAMES_NOTHING, REQUESTS } from './requests.ts';
import { type Names, nothing, populate, stored, type World } from './world.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
let operations: Operation[];
let alpha: World;
let bravo: World;
let random: Names;
let idsOfBravo: string[];
beforeAll(async () => {
  server = await startTestServer({ start: false });
  operations = operationsOf(server.signalbox.app);
  [alpha, bravo] = [await populate(server, 'alpha'), await populate(server, 'bravo')];
  random = nothing('nowhere');
  const rows = Object.values(await stored(server, bravo.org.id)).flat();
  idsOfBravo = [...new Set(rows.flatMap((row) => row.match(UUID) ?? []))].filter((id) => !/^0{8}-/.test(id));
});
afterAll(() => server?.close());

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Whether something of an org can be named in an operation: by an id anywhere, a path parameter, or a repo's name. */
function canName(operation: Operation): boolean {
  const inSchema = (schema: Schema): boolean =>
    schema.format === 'uuid' ||
    [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.items ? [schema.items] : [])].some(inSchema) ||
    Object.entries(schema.properties ?? {}).some(([name, part]) => name === 'repo' || inSchema(part));
  const { parameters, body } = operation;
  return (
    parameters.some((one) => one.in === 'path' || one.name === 'repo' || inSchema(one.schema)) ||
    (body !== null && inSchema(body))
  );
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function send(operation: Operation, caller: Pick<Caller, 'secret'>, ask: Ask): Promise<Answer> {
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(ask.params![name]!));
  const query = new URLSearchParams(ask.query ?? {}).toString();
  const response = await fetch(`${server.url}${path}${query === '' ? '' : `?${query}`}`, {
    method: operation.method,
    headers: {
      authorization: `Bearer ${caller.secret}`,
      ...(ask.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
  });
  return { status: response.status, text: await response.text() };
}

/**
 * An answer with what was asked for replaced by what it is, be it there or not, and without what differs between any two
 * requests. A success also holds new ids, times and fences.
 */
function normal({ status, text }: Answer): string {
  let shown = text.replace(/"requestId":"[^"]*"/, '"requestId":"…"');
  for (const names of [bravo.names, random])
    for (const [name, value] of Object.entries(names)) shown = shown.replaceAll(value, `<${name}>`);
  if (status >= 300) return `${status} ${shown}`;
  shown = shown
    .replaceAll(UUID, '<id>')
    .replaceAll(/\b[0-9a-f]{32,64}\b/g, '<hash>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replaceAll(/"fence":\d+/g, '"fence":0');
  return `${status} ${shown}`;
}

describe('the table of requests', () => {
  it('has every operation of the document, and no other', () => {
    const known = [...Object.keys(REQUESTS), ...NAMES_NOTHING].toSorted((a, b) => (a < b ? -1 : 1));
    expect(known).toEqual(operations.map(({ id }) => id));
  });

  it("guesses the fence of the other org's lease, too", async () => {
    const { body } = await bravo.owner.get(`/leases/${bravo.names.lease}`);
    expect(FENCES).toContain(body.fence);
  });

  it('calls none harmless in which something can be named', () => {
    const able = operations.filter(canName).map(({ id }) => id);
    expect(able.filter((id) => NAMES_NOTHING.includes(id))).toEqual([]);
  });
});

describe('what belongs to another org', () => {
  it.each(['admin', 'owner'] as const)(
    'is answered to the %s like what does not exist, in every operation',
    async (who) => {
      const own = await populate(server, `own-${who}`);
      const caller = who === 'admin' ? own.org.admin : own.owner;
      const before = await stored(server, bravo.org.id);
      const told: string[] = [];
      for (const [id, asks] of Object.entries(REQUESTS)) {
        const operation = operations.find((one) => one.id === id)!;
        const absent = asks(random, own.names);
        for (const [i, ask] of asks(bravo.names, own.names).entries()) {
          const answer = await send(operation, caller, ask);
          const expected = await send(operation, caller, absent[i]!);
          if (answer.status >= 500 || normal(answer) !== normal(expected))
            told.push(`${id}[${i}]:\n  ${normal(answer)}\n  ${normal(expected)}`);
          if (answer.status < 300 && namesMoreOfBravoThan(ask, answer)) told.push(`${id}[${i}] leaks: ${answer.text}`);
        }
      }
      expect(told).toEqual([]);
      expect(await stored(server, bravo.org.id)).toEqual(before);
    },
  );

  it('is found by its own org, so that the requests above ask for what is there', async () => {
    const gets = operations.filter(({ id, method }) => method === 'GET' && id in REQUESTS);
    for (const operation of gets) {
      for (const ask of REQUESTS[operation.id]!(bravo.names, bravo.names)) {
        const { status, text } = await send(operation, bravo.org.admin, ask);
        expect([operation.id, status, text]).toEqual([operation.id, 200, expect.any(String)]);
      }
    }
  });

  it('is in no list', async () => {
    const lists = operations.filter(({ method, success }) => method === 'GET' && success?.properties?.['items']);
    expect(lists.length).toBeGreaterThan(8);
    for (const operation of lists) {
      // Of its own run, policy, trace: whatever the path asks for.
      const { params = {} } = REQUESTS[operation.id]?.(alpha.names, alpha.names)[0] ?? {};
      const { status, text } = await send(operation, alpha.org.admin, { params, query: { limit: '500' } });
      expect([operation.id, status]).toEqual([operation.id, 200]);
      const { items } = JSON.parse(text) as { items: unknown[] };
      expect([operation.id, items.length]).not.toEqual([operation.id, 0]);
      expect([operation.id, idsOfBravo.filter((id) => text.includes(id))]).toEqual([operation.id, []]);
    }
  });

  it('does not answer to an Idempotency-Key that the other org used', async () => {
    const headers = { 'idempotency-key': 'the-same' };
    const create = (caller: Caller) => caller.post('/teams', { name: 'same' }, headers);
    const [first, second] = [await create(bravo.org.admin), await create(alpha.org.admin)];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body.id).not.toBe(first.body.id);
    const wish = (world: World) => ({ repo: 'same/repo', runId: world.names.run, paths: ['same'] });
    const lease = async (world: World) => world.owner.post('/leases', wish(world), headers);
    const [theirs, ours] = [await lease(bravo), await lease(alpha)];
    expect([theirs.status, ours.status]).toEqual([201, 201]);
    expect(ours.body.lease.id).not.toBe(theirs.body.lease.id);
  });
});

/** Whether an answer names something of bravo's that the request did not. */
function namesMoreOfBravoThan(ask: Ask, { text }: Answer): boolean {
  const asked = JSON.stringify(ask) + Buffer.from(ask.query?.['cursor'] ?? '', 'base64url').toString();
  return idsOfBravo.some((id) => text.includes(id) && !asked.includes(id));
}
