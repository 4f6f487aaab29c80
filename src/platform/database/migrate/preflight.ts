import pg from 'pg';
import { ConfigurationError } from '../../config.ts';
import { oneLine } from './errors.ts';

const OLDEST_SUPPORTED_MAJOR = 15;
const CONNECT_TIMEOUT_MS = 10_000;
const CREATED_ROLE = 'signalbox_app';

/**
 * A connection for the migration's lock.
 * @param variable the environment variable that the URL came from, named in errors.
 * @throws ConfigurationError when there is no such server, login or database, with the password left out.
 */
export async function connect(url: string, variable: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'signalbox-migrate',
    // The schema that rights are asked for is the one that is migrated, whatever the login's own path is.
    options: '-c search_path=public',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  });
  // Without a listener a connection that breaks while idle would end the process; the next query reports it as well.
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw refusal(connectionTrouble(client, error), variable, error);
  }
}

function connectionTrouble(client: pg.Client, error: unknown): string {
  const server = `PostgreSQL at ${client.host}:${client.port}`;
  switch ((error as { code?: unknown }).code) {
    case '28P01':
    case '28000':
      return `${server} refuses the login "${client.user}": ${oneLine(error)}`;
    case '3D000':
      return `${server} has no database "${client.database}"; create it first`;
    case '57P03':
    case '53300':
      return `${server} takes no connections at the moment: ${oneLine(error)}`;
    default:
      return `${server} is not reachable: ${oneLine(error)}`;
  }
}

/** @throws ConfigurationError when the server is too old, only follows another one, or cannot keep every text. */
export async function checkServer(client: pg.Client, variable: string): Promise<void> {
  const { rows } = await client.query<{ number: number; version: string; standby: boolean; encoding: string }>(
    `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
       pg_is_in_recovery() AS standby, current_setting('server_encoding') AS encoding`,
  );
  const { number, version, standby, encoding } = rows[0]!;
  if (number < OLDEST_SUPPORTED_MAJOR * 10_000) {
    throw refusal(`PostgreSQL ${OLDEST_SUPPORTED_MAJOR} or later is needed, this server is ${version}`, variable);
  }
  if (standby) throw refusal('this server is a read-only standby; name the primary', variable);
  if (encoding !== 'UTF8' && encoding !== 'SQL_ASCII') {
    throw refusal(
      `the database keeps text as ${encoding}, which lacks characters; create it with ENCODING 'UTF8'`,
      variable,
    );
  }
  // The connection waits for its turn and is idle while another one works: no default of the login's may end it.
  await client.query('SET statement_timeout = 0; SET idle_session_timeout = 0');
}

interface Rights {
  login: string;
  database: string;
  schema: string | null;
  may_create: boolean;
  role_exists: boolean;
  may_create_role: boolean;
  may_set_role: boolean;
  may_grant_role: boolean;
}

/**
 * Asked before the first statement, because a plain sentence helps more than a permission error from the middle of a
 * script. Since PostgreSQL 16, whoever creates a role may grant it but not yet set it: hence the two questions.
 * @throws ConfigurationError naming what is missing and the statement that grants it.
 */
export async function checkRights(client: pg.Client, variable: string): Promise<void> {
  const { rows } = await client.query<Rights>(RIGHTS, [CREATED_ROLE]);
  const rights = rows[0]!;
  const login = pg.escapeIdentifier(rights.login);
  if (rights.schema === null || !rights.may_create) {
    const where = rights.schema === null ? 'no schema on its search path' : `no CREATE on schema "${rights.schema}"`;
    const remedy = `ALTER DATABASE ${pg.escapeIdentifier(rights.database)} OWNER TO ${login}`;
    throw refusal(`the login "${rights.login}" has ${where}; a superuser can: ${remedy}`, variable);
  }
  if (rights.may_set_role || rights.may_grant_role || (!rights.role_exists && rights.may_create_role)) return;
  const create = rights.role_exists ? '' : `CREATE ROLE ${CREATED_ROLE} NOLOGIN; `;
  const lacks = rights.role_exists
    ? `may not act as the role ${CREATED_ROLE}`
    : `may not create the role ${CREATED_ROLE}`;
  throw refusal(
    `the login "${rights.login}" ${lacks}; a superuser can: ${create}GRANT ${CREATED_ROLE} TO ${login}`,
    variable,
  );
}

// The kind 'SET' is unknown before 16, where being a member is enough.
const RIGHTS = `
  SELECT current_user AS login, current_database() AS database, current_schema() AS schema,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
    r.oid IS NOT NULL AS role_exists,
    me.rolsuper OR me.rolcreaterole AS may_create_role,
    coalesce(pg_has_role(r.oid, kind.set), false) AS may_set_role,
    coalesce(pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION'), false)
      OR (r.oid IS NOT NULL AND me.rolcreaterole AND kind.set = 'MEMBER') AS may_grant_role
  FROM pg_roles me
  CROSS JOIN (SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS set) kind
  LEFT JOIN pg_roles r ON r.rolname = $1
  WHERE me.rolname = current_user`;

function refusal(message: string, variable: string, cause?: unknown): ConfigurationError {
  const error = new ConfigurationError(`${variable}: ${message}`, [variable]);
  if (cause !== undefined) error.cause = cause;
  return error;
}
