import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { captured, post } from '../agent-hooks/claude-code/support.ts';
import { type Checkout, createForge, type Forge, HOOKS, nobodyThere } from './checkout.ts';

// Real git and a process a hook: slow where many tests run at once.
vi.setConfig({ testTimeout: 60_000 });

let server: TestServer;
let forge: Forge;
let org: TestOrg;
let clone: Checkout;
beforeAll(async () => {
  server = await startTestServer({ start: false });
  [forge, org] = await Promise.all([createForge({ 'a.ts': 'A\n' }), server.newOrg()]);
  clone = await forge.clone('clone', {});
});
afterAll(async () => {
  await forge?.remove();
  await server?.close();
});

/** Runs the command as Claude Code does, in a session of that name. */
function start(
  session: string,
  env: Record<string, string>,
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const { PATH = '' } = process.env;
    const script = path.join(HOOKS, 'signalbox', 'session-run.mjs');
    const child = spawn(process.execPath, [script], { cwd: clone.directory, env: { PATH, ...env } });
    let [out, err] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('close', (code) => resolve({ code, out, err }));
    child.stdin.end(JSON.stringify({ hook_event_name: 'SessionStart', session_id: session, source: 'startup' }));
  });
}

async function envFile(name: string): Promise<string> {
  const file = path.join(clone.directory, '.git', name);
  await writeFile(file, '# kept\n');
  return file;
}

describe('a session of Claude Code', () => {
  it.each(['before', 'while'])('has the id of its run in its shell, told %s it is asked for', async (when) => {
    const member = await org.member();
    const begin = () =>
      post(server, captured('session-start', { session_id: `s-${when}` }), {
        secret: member.secret,
        root: clone.directory,
      });
    const file = await envFile(`env-${when}`);
    const env = { SIGNALBOX_URL: server.url, SIGNALBOX_KEY: member.secret, CLAUDE_ENV_FILE: file };
    if (when === 'before') await begin();
    const asked = start(`s-${when}`, env);
    if (when === 'while') await begin();
    expect(await asked).toEqual({ code: 0, out: '', err: '' });
    const { items } = (await member.get('/runs?repo=acme/shop')).body;
    const { id } = items.find(({ sessionId }: { sessionId: string }) => sessionId === `s-${when}`);
    expect(await readFile(file, 'utf8')).toBe(`# kept\nexport SIGNALBOX_RUN='${id}'\n`);
  });

  it('starts without one where that cannot be told, and one line says why', async () => {
    const { secret } = await org.member();
    const file = await envFile('env-none');
    const env = { SIGNALBOX_URL: server.url, SIGNALBOX_KEY: secret, CLAUDE_ENV_FILE: file };
    for (const [more, told] of [
      [{ SIGNALBOX_URL: await nobodyThere() }, 'ECONNREFUSED'],
      [{ SIGNALBOX_KEY: 'sbx_wrong' }, '401'],
      [{ CLAUDE_ENV_FILE: '' }, 'names no CLAUDE_ENV_FILE'],
    ] as const) {
      const { code, out, err } = await start('s-none', { ...env, ...more });
      expect([code, out]).toEqual([0, '']);
      expect(err).toMatch(new RegExp(`^signalbox: SIGNALBOX_RUN was not set: .*${told}.*\\n$`));
    }
    expect(await readFile(file, 'utf8')).toBe('# kept\n');
  });
});
