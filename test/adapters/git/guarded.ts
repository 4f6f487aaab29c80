import { afterAll, afterEach, beforeAll, expect, vi } from 'vitest';
import { newRunner, REPO, type Runner } from '../../modules/leases/support.ts';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { type Checkout, createForge, type Forge, type Ran } from './checkout.ts';

/** Who works in a clone, as the hooks there read it. */
const envOf = (server: TestServer, runner: Runner) => ({
  SIGNALBOX_URL: server.url,
  SIGNALBOX_KEY: runner.caller.secret,
  SIGNALBOX_RUN: runner.runId,
});

export interface Scene {
  readonly forge: Forge;
  readonly org: TestOrg;
  readonly ann: Runner;
  readonly bob: Runner;
  /** Ann's clone, and as they are needed Bob's, and one of somebody who works without Signalbox. */
  readonly hers: Checkout;
  his(): Promise<Checkout>;
  theirs(): Promise<Checkout>;
}

/** A guarded remote, two developers with a run and a clone each, and a third one without either. */
async function guardedScene(
  server: TestServer,
  config: Record<string, string> = {},
  files: Record<string, string> = { 'a.ts': 'A\n', 'b.ts': 'B\n' },
  format?: 'sha256',
): Promise<Scene> {
  const [forge, org] = await Promise.all([createForge(files, format), server.newOrg()]);
  const [ann, bob, gate] = await Promise.all([newRunner(org), newRunner(org), org.key('viewer')]);
  const guarding = forge.guard(gate.secret, { url: server.url, repo: REPO, ...config });
  const [hers] = await Promise.all([forge.clone('hers', envOf(server, ann)), guarding]);
  return {
    forge,
    org,
    ann,
    bob,
    hers,
    his: () => forge.clone('his', envOf(server, bob)),
    theirs: () => forge.clone('theirs', {}),
  };
}

type How = Parameters<typeof guardedScene> extends [TestServer, ...infer Rest] ? Rest : never;

/** Sets up a server for the tests of a file, and scenes on it; what a scene has made is gone after its test. */
export function guarded() {
  // Real git and a process a hook: slow where many tests run at once.
  vi.setConfig({ testTimeout: 120_000 });
  const there = {} as { server: TestServer };
  const forges: Forge[] = [];
  beforeAll(async () => {
    there.server = await startTestServer({ start: false });
  });
  afterEach(async () => {
    for (const forge of forges.splice(0)) await forge.remove();
  });
  afterAll(() => there.server?.close());

  async function scene(...how: How): Promise<Scene> {
    const made = await guardedScene(there.server, ...how);
    forges.push(made.forge);
    return made;
  }

  return { there: there as { readonly server: TestServer }, scene };
}

/** Its time is up, lock delay and all. */
export async function runOut(server: TestServer, { runId }: Runner): Promise<void> {
  await server.sql(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 hour' WHERE run_id = $1`, [runId]);
}

/** Past the pusher's own hook: what the remote itself says. */
export const push = (from: Checkout, ...args: string[]) => from.run('push', '-q', '--no-verify', 'origin', ...args);

export function expectRefused(ran: Ran, told: RegExp): void {
  expect(ran.code, ran.err).toBe(1);
  expect(ran.err).toMatch(/^remote: signalbox: push refused: /m);
  expect(ran.err).toMatch(told);
  expect(ran.err).not.toMatch(/no-verify|hooksPath|pushFailOpen|unleased|report mode|bypass|skip/i);
}

export function expectPushed(ran: Ran): void {
  expect(ran.err).not.toContain('signalbox');
  expect(ran.code, ran.err).toBe(0);
}
