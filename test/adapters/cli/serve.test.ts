import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { built, type Running, start } from '../../main/process.ts';
import { createEmptyDatabase, type TestDatabase } from '../../support/database.ts';
import { signalbox } from './process.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

let database: TestDatabase;
let running: (Running & { readonly url: string }) | undefined;
beforeAll(async () => {
  database = await createEmptyDatabase();
});
afterAll(async () => {
  running?.signal('SIGKILL');
  await running?.exited;
  await database.drop();
});

it('signalbox serve is the server, to its end', async () => {
  running = await start({ DATABASE_URL: database.url }, [process.execPath, built('cli.js'), 'serve']);
  const ready = await fetch(`${running.url}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }]);
  running.signal('SIGTERM');
  expect(await running.exited).toEqual({ code: 0, signal: null });
});

it('tells a mistake in its settings as the server does', async () => {
  const { code, stdout, stderr } = await signalbox(['serve'], { env: { PORT: 'http' } });
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^signalbox: PORT is "http"[^\n]*\n$/);
});

it.each([
  [['--help'], /^signalbox COMMAND[^]* serve [^]* status [^]* approvals /],
  [['serve', '--help'], /^signalbox serve\n/],
  [['status', '-h'], /^signalbox status [^]*--repo[^]*--json/],
  [['approvals', '--help'], /^signalbox approvals [^]*--comment/],
  [['--version'], /^\d+\.\d+\.\d+\n$/],
])('%j says what there is', async (args, text) => {
  const { code, stdout, stderr } = await signalbox(args);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(text);
});

it.each([[[]], [['nothing']], [['--json', 'status']], [['serve', 'now']], [['approvals', 'approve', 'x']]])(
  '%j is not understood: a line and exit 2',
  async (args) => {
    const { code, stdout, stderr } = await signalbox(args, { env: { SIGNALBOX_KEY: 'sbx_x' } });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^signalbox: [^\n]+ \(signalbox --help\)\n$/);
  },
);
