import pg from 'pg';
import { type Cluster, SUPERUSER } from './cluster.ts';
import { DataDirectoryInUseError } from './errors.ts';

/**
 * The server that uses a database says so by an advisory lock on a connection that it keeps: whatever kills the server,
 * the system closes the connection and PostgreSQL frees the lock. A file with a process id in it would go stale.
 */
const OWNER_KEY: number[] = [7317, 2];
const NAME_PREFIX = 'signalbox owner ';
const CONNECT_TIMEOUT_MS = 5000;
const RECLAIM_AFTER_MS = 500;

/** A connection to the maintenance database. */
export async function connectTo(
  cluster: Cluster,
  port: number,
  applicationName = 'signalbox starting',
): Promise<pg.Client> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: SUPERUSER,
    password: cluster.password,
    database: 'postgres',
    application_name: applicationName,
    // Said, so that PGSSLMODE and PGOPTIONS of somebody's other database do not count.
    ssl: false,
    options: '-c statement_timeout=0',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/** The process id of the server that owns this database; null if none does. */
export async function ownerPid(client: pg.Client): Promise<number | null> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT a.application_name AS name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = $2`,
    OWNER_KEY,
  );
  const name = rows[0]?.name;
  return name === undefined ? null : Number(name.slice(NAME_PREFIX.length));
}

export interface Ownership {
  release(): Promise<void>;
}

/**
 * Claims the database for this process, and claims it again whenever PostgreSQL drops all connections, as it does after
 * a crash of one of its processes.
 * @throws DataDirectoryInUseError
 */
export async function claim(cluster: Cluster, port: number): Promise<Ownership> {
  let released = false;
  let timer: NodeJS.Timeout | undefined;
  let client = await acquire(cluster, port);
  const reclaim = (): void => {
    if (released) return;
    timer = setTimeout(() => {
      acquire(cluster, port).then(hold, reclaim);
    }, RECLAIM_AFTER_MS);
    timer.unref();
  };
  const hold = (acquired: pg.Client): void => {
    client = acquired;
    if (released) void client.end().catch(() => {});
    else client.once('end', reclaim);
  };
  hold(client);
  return {
    release: async () => {
      released = true;
      clearTimeout(timer);
      held(client).ref();
      await client.end().catch(() => {});
    },
  };
}

/** What `pg` can do and its types do not say. */
function held(client: pg.Client): { ref(): void; unref(): void } {
  return client as unknown as { ref(): void; unref(): void };
}

async function acquire(cluster: Cluster, port: number): Promise<pg.Client> {
  const client = await connectTo(cluster, port, `${NAME_PREFIX}${process.pid}`);
  try {
    const { rows } = await client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS taken', [
      ...OWNER_KEY,
    ]);
    if (!rows[0]!.taken) throw new DataDirectoryInUseError(cluster.data, await ownerPid(client));
    // Holding the lock must not keep a process alive that has nothing else to do.
    held(client).unref();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}
