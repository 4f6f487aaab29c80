import { expect, it, vi } from 'vitest';
import { held, queue, ticketOf, waitingLine } from './line.ts';
import { endedUnseen, REPO } from './support.ts';

const { pair, crew } = waitingLine();

it.each(['loop', 'repo', 'org'])('no sweep looks at who waits under a halt: %s', async (kind) => {
  const [org, ann, ben] = await crew(2);
  const lease = await held(ann!, { paths: ['a'] });
  const ticket = await queue(ben!, { paths: ['a'] });
  const [repo] = await pair.server.sql<{ id: string }>('SELECT id FROM repo WHERE org_id = $1 AND name = $2', [
    org.id,
    REPO,
  ]);
  const id = { loop: ben!.loopId, repo: repo!.id, org: undefined }[kind];
  const { body: halt } = await org.admin.post('/halts', { scope: { kind, id }, reason: 'x' });
  await endedUnseen(pair.server, lease);
  const { line, hot } = pair.server.signalbox.services;
  await line.sweep(org.id);
  const submitted = vi.spyOn(hot, 'submit');
  for (let sweep = 0; sweep < 2; sweep += 1) await line.sweep(org.id);
  expect(submitted).not.toHaveBeenCalled();
  submitted.mockRestore();
  expect(await ticketOf(ben!, ticket)).toMatchObject({ status: 'waiting' });
  expect((await org.admin.delete(`/halts/${halt.id}`)).status).toBe(200);
  expect(await ticketOf(ben!, ticket, 5)).toMatchObject({ status: 'granted' });
});
