import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Postgres, withClient } from './postgres.ts';

/** PostgreSQL's clock: the machine's, less what it was set back by. */
export interface DatabaseClock {
  /**
   * `preload`: all of PostgreSQL's calls for the time, its own timeouts among them, through a library that is compiled
   * here and loaded into it. `shadow`, where there is no C compiler: what SQL asks as clock_timestamp() and now(), by
   * functions that stand before PostgreSQL's own on the search path; PostgreSQL's timeouts and log do not notice.
   */
  readonly kind: 'preload' | 'shadow';
  /** What PostgreSQL has to be started with. */
  readonly environment: Readonly<Record<string, string>>;
  /** Once the database is there and before any server is. */
  install(postgres: Postgres): Promise<void>;
  setBack(postgres: Postgres, byMs: number): Promise<void>;
}

const SOURCE = fileURLToPath(new URL('clock.c', import.meta.url));

/** The strongest clock that this machine can do. */
export async function openClock(folder: string, kind?: DatabaseClock['kind']): Promise<DatabaseClock> {
  if (kind === 'shadow') return shadow();
  const library = await compile(folder);
  if (library !== null) return preload(folder, library);
  if (kind === 'preload') throw new Error('there is no C compiler to make the clock with');
  return shadow();
}

async function compile(folder: string): Promise<string | null> {
  if (process.platform !== 'linux') return null;
  const library = path.join(folder, 'clock.so');
  try {
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE]);
    return library;
  } catch {
    return null;
  }
}

async function preload(folder: string, library: string): Promise<DatabaseClock> {
  const file = path.join(folder, 'clock');
  let offsetMs = 0;
  const write = async () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(offsetMs) * 1_000_000n);
    // In place: the file is mapped into PostgreSQL's processes.
    const handle = await open(file, offsetMs === 0 ? 'w' : 'r+', 0o644);
    await handle.write(bytes, 0, 8, 0);
    await handle.close();
  };
  await write();
  return {
    kind: 'preload',
    environment: { LD_PRELOAD: library, FAULTS_CLOCK_FILE: file },
    install: () => Promise.resolve(),
    setBack: async (_postgres, byMs) => {
      offsetMs -= byMs;
      await write();
    },
  };
}

const SHADOW = `
  CREATE SCHEMA faults;
  GRANT USAGE ON SCHEMA faults TO PUBLIC;
  CREATE TABLE faults.clock (back interval NOT NULL);
  INSERT INTO faults.clock VALUES ('0');
  GRANT SELECT ON faults.clock TO PUBLIC;
  CREATE FUNCTION faults.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() - back FROM faults.clock';
  CREATE FUNCTION faults.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.now() - back FROM faults.clock';
  DO $$ BEGIN
    -- Unless it is named, pg_catalog comes first.
    EXECUTE format('ALTER DATABASE %I SET search_path = public, faults, pg_catalog', current_database());
  END $$;`;

function shadow(): DatabaseClock {
  return {
    kind: 'shadow',
    environment: {},
    install: (postgres) => withClient(postgres.url, async (client) => void (await client.query(SHADOW))),
    setBack: (postgres, byMs) =>
      withClient(postgres.url, async (client) => {
        await client.query(`UPDATE faults.clock SET back = back + make_interval(secs => $1)`, [byMs / 1000]);
      }),
  };
}
