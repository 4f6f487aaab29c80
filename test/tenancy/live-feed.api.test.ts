import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startTestServer, type TestServer } from '../support/server.ts';
import { populate, type World } from './world.ts';

// A machine that does much else is slow, not wrong.
vi.setConfig({ testTimeout: 120_000 });

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({ database: server.database });
});
afterAll(async () => {
  await second?.close();
  await server?.close();
});

const LAST = 'the last team';

/** Everything that a feed of the org carries until the team that is made last. */
async function follow({ url }: TestServer, { org }: World): Promise<string[]> {
  const headers = { authorization: `Bearer ${org.admin.secret}` };
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/events?after=0`, { headers });
  const messages: string[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.on('message', (data: Buffer) => {
      messages.push(data.toString());
      if (messages.at(-1)!.includes(LAST)) resolve();
    });
    socket.on('close', (code) => reject(new Error(`closed ${code}`)));
    socket.on('error', reject);
  });
  socket.terminate();
  return messages;
}

async function writeMuch({ owner, names, org }: World): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    const wish = { repo: names.repoName, runId: names.run };
    await Promise.all([
      owner.post('/leases', { ...wish, paths: [`f${i}`] }),
      owner.post('/admissions', { ...wish, action: 'path.edit', paths: [`g${i}`] }),
      org.admin.post('/teams', { name: `${names.teamName} ${i}` }),
    ]);
  }
}

it('a live feed carries every event of its org and none of another, while both write on both servers', async () => {
  const worlds = [await populate(server, 'alpha'), await populate(second, 'bravo')];
  const feeds = Promise.all(worlds.flatMap((world) => [follow(server, world), follow(second, world)]));
  await Promise.all(worlds.map(writeMuch));
  for (const { org } of worlds) await org.admin.post('/teams', { name: LAST });
  const [alphaHere, alphaThere, bravoHere, bravoThere] = await feeds;
  expect(alphaThere).toEqual(alphaHere);
  expect(bravoThere).toEqual(bravoHere);
  for (const [messages, world, other] of [
    [alphaHere!, worlds[0]!, worlds[1]!],
    [bravoHere!, worlds[1]!, worlds[0]!],
  ] as const) {
    const { items } = (await world.org.admin.get('/events?limit=500')).body;
    expect(items.length).toBeGreaterThan(70);
    expect(messages.map((message) => JSON.parse(message) as unknown)).toEqual(items);
    const text = messages.join('\n');
    for (const foreign of Object.values(other.names)) expect(text).not.toContain(foreign);
  }
});
