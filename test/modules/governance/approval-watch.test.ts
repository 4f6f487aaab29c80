import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApprovalWatch } from '../../../src/modules/governance/index.ts';
import { CommitSignal } from '../../../src/platform/database/commit-signal.ts';
import { Database } from '../../../src/platform/database/database.ts';
import { newId } from '../../../src/platform/ids.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { ManualClock } from '../../support/clock.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

function newWatch() {
  const clock = new ManualClock();
  const signal = new CommitSignal(server.pools.listener, server.pools.ordinary, createLogger({ level: 'fatal' }));
  return {
    clock,
    signal,
    watch: new ApprovalWatch({ db: new Database(server.pools.ordinary, signal), signal, clock }),
  };
}

describe('waiting for an approval', () => {
  it('ends with the time, and leaves nothing behind', async () => {
    const { id: orgId } = await server.newOrg();
    const { clock, watch } = newWatch();
    const waiting = watch.settled(orgId, newId(), 5000, new AbortController().signal);
    await clock.advance(4999);
    expect(watch.waiting).toBe(1);
    await clock.advance(1);
    await waiting;
    expect(watch.waiting).toBe(0);
    await drained(clock);
  });

  it('ends when whoever waits has gone', async () => {
    const { id: orgId } = await server.newOrg();
    const { clock, watch } = newWatch();
    const gone = new AbortController();
    const waiting = watch.settled(orgId, newId(), 60_000, gone.signal);
    gone.abort();
    await waiting;
    expect(watch.waiting).toBe(0);
    await watch.settled(orgId, newId(), 60_000, gone.signal);
    await drained(clock);
  });
});

/** The loop that looked for the org ends by itself: no sleep of it is left. */
async function drained(clock: ManualClock): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    await clock.advance(100);
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (clock.pending === 0 && round > 5) return;
  }
  expect(clock.pending).toBe(0);
}
