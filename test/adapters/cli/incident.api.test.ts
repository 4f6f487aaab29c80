import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { deploy, land, open } from '../../modules/incidents/support.ts';
import { newRunner } from '../../modules/leases/support.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { signalbox } from './process.ts';

// Each command is a process that compiles its sources first.
vi.setConfig({ testTimeout: 90_000 });

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

it('shows the report, the suspects as JSON, and the server’s no', async () => {
  const org = await server.newOrg();
  const { id, commit } = await land(await newRunner(org), ['src/pay.ts'], { intent: 'a\u{1b}[2Jb' });
  await deploy(org.admin, { commit });
  const { body } = await open(org.admin, {});
  const cli = (...args: string[]) =>
    signalbox(args, { env: { SIGNALBOX_URL: server.url, SIGNALBOX_KEY: org.admin.secret }, directory: tmpdir() });
  const shown = await cli('incident', body.id);
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toBe((await org.admin.get(`/incidents/${body.id}/report`)).body);
  expect(shown.stdout).not.toContain('\u{1b}');
  expect(JSON.parse((await cli('incident', body.id, '--json')).stdout).items).toMatchObject([{ change: { id } }]);
  expect(await cli('incident', id)).toMatchObject({ code: 1, stderr: expect.stringContaining('No such incident') });
  expect((await cli('incident', 'x')).code).toBe(2);
});
