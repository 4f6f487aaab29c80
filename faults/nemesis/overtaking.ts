import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Random } from '../random.ts';
import { withClient } from '../rig/postgres.ts';
import type { Caller } from '../workload/caller.ts';
import * as calls from '../workload/calls.ts';
import { quietWish } from '../workload/ground.ts';

const ATTEMPTS = 10;
const TRIES = 4;
/** The first and one of the others together are below the server's own lock_timeout of a second. */
const QUEUE_MS = 400;
const FINISH_MS = 500;
const RIVAL_MS = 250;
const LOOK_EVERY_MS = 5;
const TTL_SECONDS = 5;

/** Who starts runs only for this, and ends them. */
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

let names = 0;
const newName = () => `leaver-${(names += 1)}`;

/**
 * Lets a run end after a batch has looked at it and before that batch writes the run's grant. Chance alone would hardly ever
 * hit those few milliseconds: an end makes many more round trips, and is mostly too late.
 * @returns whether the run ended meanwhile
 */
export function overtake(leaver: Leaver, where: Where): Promise<boolean> {
  return insistently(where, () =>
    heldUp(leaver, where, async (run) => {
      const ended = await Promise.race([leaver.caller.once(calls.finish(run)), sleep(FINISH_MS, null)]);
      return ended?.status === 200;
    }),
  );
}

/**
 * Lets another run ask for the same after a batch has seen that it is free and before that batch writes its grant: in the
 * general way or, without a key, the short one.
 * @returns whether it was asked meanwhile
 */
export function rival(leaver: Leaver, where: Where): Promise<boolean> {
  const { caller } = leaver;
  return insistently(where, async () => {
    const other = await start(leaver);
    if (other === null) return false;
    let asked: Promise<unknown> | undefined;
    const ask = (wanted: calls.Wanted) => {
      const purpose = newName();
      return caller.once(calls.acquire({ ...wanted, purpose }, other.id, where.random.chance(0.5) ? purpose : null));
    };
    const isAsked = await heldUp(leaver, where, async (_run, wanted) => {
      // More than once: the server that is held up would not look at it.
      asked = Promise.all([ask(wanted), ask(wanted), ask(wanted)]);
      // Mostly it is answered only when the first has been: whoever waits for that would wait for himself.
      await Promise.race([asked, sleep(RIVAL_MS)]);
      return true;
    });
    await asked;
    await caller.insist(calls.finish(other), TRIES);
    return isAsked;
  });
}

async function insistently({ stop }: Where, attempt: () => Promise<boolean>): Promise<boolean> {
  for (let made = 0; made < ATTEMPTS && !stop.aborted; made += 1) if (await attempt()) return true;
  return false;
}

async function start({ caller, loopId }: Leaver): Promise<calls.Run | null> {
  const reply = await caller.insist(calls.start(loopId, newName()), TRIES);
  return reply?.status === 201 ? { id: String(reply.body['id']), epoch: 1 } : null;
}

/**
 * Holds up a batch between its look at what there is and its write, and does something meanwhile: the place of its grant's
 * Idempotency-Key is taken here, not for good, so that it waits with the look behind it and the head row before it. The run
 * holds nothing, so that its end needs no lock that the batch has; and it is new, so that the batch has no beat of it to
 * write, for which it would lock its row.
 * @returns what that returned; false when no batch was held up
 */
async function heldUp(
  leaver: Leaver,
  { url, random }: Where,
  meanwhile: (run: calls.Run, wanted: calls.Wanted) => Promise<boolean>,
): Promise<boolean> {
  const { orgId, keyId, caller } = leaver;
  const run = await start(leaver);
  if (run === null) return false;
  const purpose = newName();
  const wanted = { ...quietWish(random), mode: 'exclusive', ttlSeconds: TTL_SECONDS, purpose } as const;
  // PostgreSQL may be restarted under us.
  const isDone = await withClient(url, async (client) => {
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO idempotency (org_id, key_id, key, operation, fingerprint, status, created_at) VALUES ($1, $2, $3, '', '', 0, now())`,
      [orgId, keyId, purpose],
    );
    const asked = caller.once(calls.acquire(wanted, run.id, purpose));
    const done = (await somebodyWaits(client)) && (await meanwhile(run, wanted));
    try {
      await client.query('ROLLBACK');
    } finally {
      await asked;
    }
    return done;
  }).catch(() => false);
  // If it has ended already, it is answered the same once more.
  await caller.insist(calls.finish(run), TRIES);
  return isDone;
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
