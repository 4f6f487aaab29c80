import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../../support/server.ts';
import { captured, post, refusal, type Sent, session } from './support.ts';

/** Whatever goes wrong, the answer is 200 with valid JSON in the dialect: by anything else the agent goes on unasked. */
let server: TestServer;
let org: TestOrg;
let secret: string;

beforeAll(async () => {
  server = await startTestServer();
  org = await server.newOrg();
  ({ secret } = await org.member());
});
afterAll(() => server.close());

const body = (change: Record<string, unknown>) => JSON.stringify({ ...captured('pre-write').body, ...change });
const large = 'x'.repeat(9 * 1024 * 1024);

describe('a question that cannot be read is refused', () => {
  it.each<[string, Sent, string]>([
    ['no key', { secret: null }, 'key'],
    ['an empty bearer, as from an unset variable', { secret: null, headers: { authorization: 'Bearer' } }, 'key'],
    ['a key that is none', { secret: 'sbx_fixture' }, 'not known'],
    ['no repo', { query: '' }, '?repo=owner/name'],
    ['a repo that is none', { query: '?repo=shop' }, '?repo=owner/name'],
    ['two repos', { query: '?repo=acme/shop&repo=acme/other' }, '?repo=owner/name'],
    ['an empty body', { raw: ' ' }, 'not JSON'],
    ['half a JSON', { raw: '{"hook_event_name":"PreToolUse",' }, 'not JSON'],
    ['a list', { raw: '[]' }, 'hook_event_name'],
    ['null', { raw: 'null' }, 'hook_event_name'],
    ['a number for the event', { raw: '{"hook_event_name":7}' }, 'hook_event_name'],
    ['no session', { raw: JSON.stringify({ hook_event_name: 'PreToolUse', tool_name: 'Write' }) }, 'session_id'],
    ['a number for the tool', { raw: body({ tool_name: 7 }) }, 'tool_name'],
    ['a list for the input', { raw: body({ tool_input: [] }) }, 'tool_input'],
    ['no path', { raw: body({ tool_input: {} }) }, 'file_path'],
    ['a number for the path', { raw: body({ tool_input: { file_path: 7 } }) }, 'file_path'],
    ['a path with NUL', { raw: body({ tool_input: { file_path: '/home/dev/alice/a\0b' } }) }, 'control character'],
    [
      'a body that is too large',
      { raw: body({ tool_input: { file_path: '/home/dev/alice/a', content: large } }) },
      'bytes',
    ],
    ['a content type that is none', { headers: { 'content-type': '/' } }, 'could not be read'],
  ])('%s', async (_name, sent, words) => {
    const reply = await post(server, captured('pre-write'), { secret, ...sent });
    expect(reply).toMatchObject({ status: 200, type: 'application/json; charset=utf-8' });
    expect(reply.body.hookSpecificOutput.hookEventName).toBe('PreToolUse');
    expect(refusal(reply.body)).toContain(words);
  });

  it.each(['viewer', 'sre'] as const)('a key of the role %s runs no loop', async (role) => {
    const reply = await post(server, captured('pre-write'), { secret: (await org.key(role)).secret });
    expect(refusal(reply.body)).toContain(`role ${role}`);
  });

  it('a revoked key', async () => {
    const key = await org.key('member');
    expect((await post(server, captured('pre-write'), { secret: key.secret })).body).toEqual({});
    expect((await org.admin.delete(`/api-keys/${key.keyId}`)).status).toBeLessThan(300);
    const reply = await post(server, captured('pre-write'), { secret: key.secret });
    expect(reply.status).toBe(200);
    expect(refusal(reply.body)).toContain('revoked');
  });

  it('a key that is bound to another loop', async () => {
    const owner = await org.member();
    const { body: loop } = await owner.post('/loops', { name: 'nightly', repo: 'acme/shop' });
    const bound = await org.key('loop', { loopId: loop.id });
    const reply = await post(server, captured('pre-write'), {
      secret: bound.secret,
      query: '?repo=acme/shop&loop=other',
    });
    expect(refusal(reply.body)).toContain('bound to another loop');
  });
});

describe('no opinion', () => {
  it('on what only tells, should it be unreadable or its key refused', async () => {
    for (const name of ['post-write', 'failure-bash', 'stop', 'subagent-stop', 'session-end', 'session-start']) {
      expect(await post(server, captured(name), { secret: 'sbx_fixture' })).toMatchObject({ status: 200, body: {} });
      expect(await post(server, captured(name, { session_id: 7 }), { secret })).toMatchObject({
        status: 200,
        body: {},
      });
    }
    const told = JSON.stringify(captured('post-write', { tool_response: large }).body);
    expect(await post(server, captured('post-write'), { secret, raw: told })).toMatchObject({ status: 200, body: {} });
  });

  it('on events and tools that are not known', async () => {
    const dev = session(server, secret, 'unknown-1', '?repo=acme/unknown');
    expect(await dev('pre-write', { hook_event_name: 'Notification' })).toEqual({});
    expect(await dev('pre-write', { tool_name: 'Telepathy' })).toEqual({});
    expect(await dev('subagent-start')).toEqual({});
  });
});

it('what an agent writes is no reason to refuse: lone surrogates, NUL, a member named __proto__, a byte order mark', async () => {
  const raw = `\ufeff${body({ session_id: 's\ud800' }).replace('"tool_input":{', '"tool_input":{"__proto__":{},')}`;
  expect((await post(server, captured('pre-write'), { secret, raw, query: '?repo=acme/odd' })).body).toEqual({});
  const dev = session(server, secret, 'odd-1');
  expect(await dev('user-prompt-submit', { prompt: 'a\0b \ud800' })).toEqual({});
  expect(await dev('pre-bash-append', { agent_id: 'a\0' }, { command: "printf 'a\0\ud800'" })).toEqual({});
  expect(await dev('post-bash-append', { tool_use_id: 't\0\ud800' })).toEqual({});
  expect(await dev('stop-with-crons-and-tasks', { session_crons: 'none' })).toEqual({});
});

describe('without a database', () => {
  it('a question is refused, unless the org is known to let agents go on; the rest is no opinion', async () => {
    const own = await startTestServer();
    try {
      const [closed, open] = [await own.newOrg(), await own.newOrg()];
      await open.admin.patch('/org/settings', { hooksFailOpen: true });
      const sessions = await Promise.all(
        [closed, open].map(async (one) => session(own, (await one.member()).secret, 'dev-1')),
      );
      for (const dev of sessions) await dev('user-prompt-submit');
      await own.pools.end();
      expect(refusal(await sessions[0]!('pre-write'))).toContain('could not decide');
      expect(await sessions[1]!('pre-write')).toEqual({});
      for (const dev of sessions) expect(await dev('post-write')).toEqual({});
    } finally {
      await own.close().catch(() => undefined);
    }
  });
});
