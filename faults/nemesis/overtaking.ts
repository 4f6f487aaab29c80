import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Random } from '../random.ts';
import { withClient } from '../rig/postgres.ts';
import type { Caller } from '../workload/caller.ts';
import * as calls from '../workload/calls.ts';
import { quietWish } from '../workload/ground.ts';

const ATTEMPTS = 10;
const TRIES = 4;
/** Both together are below the server's own lock_timeout of a second. */
const QUEUE_MS = 400;
const FINISH_MS = 500;
const LOOK_EVERY_MS = 5;
const TTL_SECONDS = 5;

/** Who starts runs only to end them. */
export interface Leaver {
  readonly orgId: string;
  readonly keyId: string;
  readonly loopId: string;
  readonly caller: Caller;
}

interface Where {
  readonly url: string;
  readonly random: Random;
  readonly stop: AbortSignal;
}

/**
 * Lets a run end after a batch has looked at it and before that batch writes the run's grant. Chance alone would hardly
 * ever hit those two milliseconds: an end has many more round trips to make, and is mostly too late. So the place of the
 * grant's Idempotency-Key is taken here, not for good: the batch waits for it, with the look behind it and the head row
 * before it, until the run has ended. The run holds nothing, so that its end needs no lock that the batch has; and it is new,
 * so that the batch has no beat of it to write, for which it would lock its row.
 * @returns whether the run ended meanwhile
 */
export async function overtake(leaver: Leaver, where: Where): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS && !where.stop.aborted; attempt += 1)
    if (await attemptBy(leaver, where)) return true;
  return false;
}

let names = 0;

async function attemptBy({ orgId, keyId, loopId, caller }: Leaver, { url, random }: Where): Promise<boolean> {
  const name = `leaver-${(names += 1)}`;
  const started = await caller.insist(calls.start(loopId, `${name}-start`), TRIES);
  if (started?.status !== 201) return false;
  const run = { id: String(started.body['id']), epoch: 1 };
  const wanted = { ...quietWish(random), mode: 'exclusive', ttlSeconds: TTL_SECONDS, purpose: name } as const;
  // PostgreSQL may be restarted under us.
  const isOvertaken = await withClient(url, async (client) => {
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at) VALUES ($1, $2, $3, '', '', 0, now())`,
      [orgId, keyId, name],
    );
    const asked = caller.once(calls.acquire(wanted, run.id, name));
    const ended = (await somebodyWaits(client))
      ? await Promise.race([caller.once(calls.finish(run)), sleep(FINISH_MS, null)])
      : null;
    await client.query('ROLLBACK').finally(() => asked);
    return ended?.status === 200;
  }).catch(() => false);
  if (!isOvertaken) await caller.insist(calls.finish(run), TRIES);
  return isOvertaken;
}

/** For our transaction. */
async function somebodyWaits(client: pg.Client): Promise<boolean> {
  const untilMs = performance.now() + QUEUE_MS;
  while (performance.now() < untilMs) {
    const { rowCount } = await client.query(
      `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'transactionid' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`,
    );
    if (rowCount! > 0) return true;
    await sleep(LOOK_EVERY_MS);
  }
  return false;
}
