import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Caller, type Reply, startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  second = await startTestServer({ database: server.database, start: false });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const outcome = ({ status, body }: Reply) => [status, body.code];
const kindsOf = (events: { kind: string }[]) => events.map(({ kind }) => kind).slice(2);

async function all(caller: Caller, path: string, limit: number): Promise<{ id: string; name: string }[]> {
  const items = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${cursor}`;
    const { status, body } = await caller.get(`${path}?limit=${limit}${query}`);
    expect(status).toBe(200);
    expect(body.items.length).toBeLessThanOrEqual(limit);
    items.push(...body.items);
    cursor = body.nextCursor;
  } while (cursor !== null);
  return items;
}

describe('members', () => {
  it('join with their teams, each told in the log', async () => {
    const org = await server.newOrg();
    const [red, blue] = [await org.team('red'), await org.team('blue')];
    const body = { name: 'Ann', email: 'Ann@Example.com', teams: [red, blue, red.toUpperCase()] };
    const made = await org.admin.post('/members', body);
    expect(made).toMatchObject({ status: 201, body: { name: 'Ann', email: 'ann@example.com' } });
    const teams = (await org.admin.get('/teams')).body.items;
    expect(teams.map((team: { memberIds: string[] }) => team.memberIds)).toEqual([[made.body.id], [made.body.id]]);
    expect(kindsOf(await org.events())).toEqual([
      'team.created',
      'team.created',
      'member.created',
      'team.member_added',
      'team.member_added',
    ]);
  });

  it('have an address of their own in the org, whatever its case, also when two arrive at once', async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const add = (caller: Caller, email: string) => caller.post('/members', { name: 'x', email });
    const replies = await Promise.all([
      add(org.admin, 'ann@example.com'),
      add(second.caller(org.admin.secret), 'ANN@example.com'),
    ]);
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    expect(outcome(await add(org.admin, 'Ann@Example.Com'))).toEqual([409, 'email_taken']);
    expect((await add(other.admin, 'ann@example.com')).status).toBe(201);
  });

  it('are not created with a team that is not there, or by half', async () => {
    const org = await server.newOrg();
    const red = await org.team('red');
    const body = { name: 'Ann', email: 'ann@example.com', teams: [red, randomUUID()] };
    expect(outcome(await org.admin.post('/members', body))).toEqual([404, 'not_found']);
    expect((await org.admin.get('/members')).body).toEqual({ items: [], nextCursor: null });
    expect((await org.admin.get('/teams')).body.items[0].memberIds).toEqual([]);
    expect(kindsOf(await org.events())).toEqual(['team.created']);
  });

  it.each([
    [{ name: 'x', email: 'nobody' }, 'body.email'],
    [{ name: '', email: 'a@example.com' }, 'body.name'],
    [{ name: 'x'.repeat(201), email: 'a@example.com' }, 'body.name'],
    [{ name: 'x', email: 'a@example.com', teams: ['red'] }, 'body.teams[0]'],
    [{ name: 'x', email: 'a@example.com', teams: 'red' }, 'body.teams'],
    [{ email: 'a@example.com' }, 'body.name'],
  ])('are refused as %j', async (body, path) => {
    const { admin } = await server.newOrg();
    const refused = await admin.post('/members', body);
    expect(outcome(refused)).toEqual([422, 'invalid_request']);
    expect(refused.body.errors[0].path).toBe(path);
  });

  it('are listed page by page, all of them once', async () => {
    const org = await server.newOrg();
    for (let i = 0; i < 7; i += 1) await org.admin.post('/members', { name: `m${i}`, email: `m${i}@example.com` });
    const names = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6'];
    for (const limit of [1, 3, 7, 500])
      expect((await all(org.admin, '/members', limit)).map(({ name }) => name)).toEqual(names);
  });
});

describe('teams', () => {
  it('have a name of their own in the org', async () => {
    const org = await server.newOrg();
    const add = (caller: Caller) => caller.post('/teams', { name: 'red' });
    const replies = await Promise.all([add(org.admin), add(second.caller(org.admin.secret))]);
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    expect(outcome(await add(org.admin))).toEqual([409, 'name_taken']);
    expect((await add((await server.newOrg()).admin)).status).toBe(201);
  });

  it('take a member and let them go again; doing it twice is the same and told once', async () => {
    const org = await server.newOrg();
    const red = await org.team('red');
    const { memberId } = await org.member();
    const path = `/teams/${red}/members/${memberId}`;
    for (const caller of [org.admin, second.caller(org.admin.secret)])
      expect(await caller.put(path)).toMatchObject({ status: 200, body: { id: red, memberIds: [memberId] } });
    for (const caller of [org.admin, second.caller(org.admin.secret)])
      expect(await caller.delete(path)).toMatchObject({ status: 200, body: { id: red, memberIds: [] } });
    const told = (await org.events()).filter(({ subject }) => subject.kind === 'team').map(({ kind }) => kind);
    expect(told).toEqual(['team.created', 'team.member_added', 'team.member_removed']);
  });

  it('do not take who is not there', async () => {
    const org = await server.newOrg();
    const red = await org.team('red');
    const { memberId } = await org.member();
    for (const path of [`/teams/${red}/members/${randomUUID()}`, `/teams/${randomUUID()}/members/${memberId}`]) {
      expect(outcome(await org.admin.put(path))).toEqual([404, 'not_found']);
      expect(outcome(await org.admin.delete(path))).toEqual([404, 'not_found']);
    }
    expect((await org.admin.put(`/teams/${red}/members/me`)).status).toBe(422);
  });

  it('are listed page by page with their members', async () => {
    const org = await server.newOrg();
    for (let i = 0; i < 5; i += 1) await org.member({ teams: [await org.team(`t${i}`)] });
    const teams = (await all(org.admin, '/teams', 2)) as unknown as { name: string; memberIds: string[] }[];
    expect(teams.map(({ name }) => name)).toEqual(['t0', 't1', 't2', 't3', 't4']);
    expect(teams.map(({ memberIds }) => memberIds.length)).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('a cursor', () => {
  const cursorOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  it.each([
    ['nonsense', '%21%21'],
    ['empty', ''],
    ['no list', cursorOf('x')],
    ['too long a list', cursorOf([randomUUID(), 1])],
    ['a list of objects', cursorOf([{ gt: '' }])],
    ['no id', cursorOf(['x'])],
    ['a number', cursorOf([7])],
    ['NUL', cursorOf(['\0'])],
  ])('that is %s is a 422 that says so', async (_name, cursor) => {
    const { admin } = await server.newOrg();
    for (const path of ['/members', '/teams', '/api-keys'])
      expect(outcome(await admin.get(`${path}?cursor=${cursor}`))).toEqual([422, 'cursor_invalid']);
  });
});
