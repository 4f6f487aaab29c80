import type { Socket } from 'node:net';
import pg from 'pg';

/** The role every connection works as: it owns nothing and cannot bypass row-level security. */
export const APP_ROLE = 'signalbox_app';

const SECOND_MS = 1000;

/**
 * Settings for the connections of the hot path. Plans cached while a table was small would stay sequential scans, so
 * the planner may use index scans only. The timeouts bound how long a paused server can hold an org's rows.
 */
const HOT_SETTINGS: Readonly<Record<string, string>> = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  jit: 'off',
  // With arrays as parameters PostgreSQL would plan the same statements anew each time, for longer than they run.
  plan_cache_mode: 'force_generic_plan',
  lock_timeout: `${SECOND_MS}`,
  statement_timeout: `${3 * SECOND_MS}`,
  idle_in_transaction_session_timeout: `${SECOND_MS}`,
};

/**
 * What a login's or a database's own defaults may not change: how values are written, which schema is ours (Prisma knows no other),
 * and that connections are kept open.
 */
const FIXED_SETTINGS: Readonly<Record<string, string>> = {
  search_path: 'public',
  datestyle: 'ISO',
  intervalstyle: 'postgres',
  row_security: 'on',
  idle_session_timeout: '0',
};

const ORDINARY_SETTINGS: Readonly<Record<string, string>> = {
  jit: 'off',
  lock_timeout: `${3 * SECOND_MS}`,
  statement_timeout: `${10 * SECOND_MS}`,
  idle_in_transaction_session_timeout: `${5 * SECOND_MS}`,
};

/** `transaction_timeout` came with PostgreSQL 17; before, the other timeouts bound a batch's statements and pauses one by one. */
const BOUND_TRANSACTIONS = `SELECT set_config('transaction_timeout', '${3 * SECOND_MS}', false)
  WHERE current_setting('server_version_num')::int >= 170000`;

export interface Pools {
  /** For Prisma and short raw reads. */
  readonly ordinary: pg.Pool;
  /** For hot batches: pipelined, one-second timeouts. */
  readonly hot: pg.Pool;
  /** A connection of its own for LISTEN. */
  readonly listener: () => pg.Client;
  readonly end: () => Promise<void>;
}

/** No statement of an ordinary connection takes so long, and none is out without one for so long: see the timeouts above. */
const ORDINARY_SILENCE_MS = 15 * SECOND_MS;

/**
 * Opens no connection yet. `onError` hears of idle connections that break (a restarted database): not fatal.
 * @param silenceMs how long a hot connection may say nothing to a statement: then it is taken for lost. The timeouts above are
 *   the server's; of one that is gone without a word, TCP says so after a quarter of an hour.
 */
export function createPools(
  url: string,
  onError: (error: Error) => void,
  size = { ordinary: 10, hot: 8 },
  silenceMs = 5 * SECOND_MS,
  ordinarySilenceMs = ORDINARY_SILENCE_MS,
): Pools {
  const base = {
    connectionString: url,
    application_name: 'signalbox',
    connectionTimeoutMillis: 5 * SECOND_MS,
    keepAlive: true,
    // By default the first question whether anybody is still there is asked after two hours; what lies between forgets a
    // connection that says nothing, as the listener's does for long, after some minutes.
    keepAliveInitialDelayMillis: 30 * SECOND_MS,
  };
  const ordinary = new pg.Pool({ ...base, max: size.ordinary, options: startupOptions(ORDINARY_SETTINGS) });
  const hot = new pg.Pool({
    ...base,
    max: size.hot,
    pipeline: true,
    query_timeout: silenceMs,
    options: startupOptions(HOT_SETTINGS),
  });
  for (const pool of [ordinary, hot]) {
    pool.on('error', onError);
    // The pool listens to idle connections only. One that breaks while it is out tells its user by the query that fails;
    // an 'error' event that nobody hears would end the process.
    pool.on('connect', (client) => client.on('error', () => {}));
  }
  ordinary.on('connect', (client) => closeWhenSilent(client, ordinarySilenceMs));
  const uses = new WeakMap<pg.PoolClient, number>();
  hot.on('acquire', (client) => {
    const times = (uses.get(client) ?? 0) + 1;
    uses.set(client, times);
    // It goes ahead of whatever the client is taken for; one that is broken will say so then.
    if (isDueForPlans(times)) client.query('DISCARD PLANS').catch(() => {});
  });
  hot.on('connect', (client) => {
    client.query(BOUND_TRANSACTIONS).catch(() => {
      // A connection that breaks at once tells whoever wanted it.
    });
  });
  return {
    ordinary,
    hot,
    listener: () => new pg.Client({ ...base, options: startupOptions({}) }),
    end: async () => {
      await Promise.all([ordinary.end(), hot.end()]);
    },
  };
}

/**
 * At its 4th, 16th, 64th … use a hot connection plans its statements anew. A plan is kept, whatever the tables were when it
 * was made: one made for an empty table is bad for a full one, and in its first minute an org may give ten thousand leases.
 * Later, PostgreSQL throws plans away by itself whenever it has analysed a table.
 */
function isDueForPlans(times: number): boolean {
  return times > 1 && Number.isInteger(Math.log2(times) / 2);
}

/** Else those who wait for an answer, and the places in the pool that they take, wait for TCP's quarter of an hour. */
function closeWhenSilent(client: pg.PoolClient, silenceMs: number): void {
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.setTimeout(silenceMs, () => stream.destroy(new Error('connection terminated: the database says nothing')));
}

function startupOptions(settings: Readonly<Record<string, string>>): string {
  return Object.entries({ role: APP_ROLE, ...FIXED_SETTINGS, ...settings })
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');
}

/**
 * Refuses to serve as a role that row-level security does not bind. Called once at start.
 * @throws Error with one line that says what is wrong.
 */
export async function checkAppRole(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string; bypasses: boolean; owned: string }>(
    `SELECT current_user AS name, r.rolsuper OR r.rolbypassrls AS bypasses,
       (SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid) AS owned
     FROM pg_roles r WHERE r.rolname = current_user`,
  );
  const role = rows[0];
  if (role === undefined || role.name !== APP_ROLE)
    throw new Error(`expected to work as role ${APP_ROLE}, not ${role?.name}`);
  if (role.bypasses)
    throw new Error(`role ${APP_ROLE} can bypass row-level security: revoke SUPERUSER and BYPASSRLS from it`);
  if (role.owned !== '0') throw new Error(`role ${APP_ROLE} owns ${role.owned} relations: it must own none`);
}
