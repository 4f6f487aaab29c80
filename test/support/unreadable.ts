import { APP_ROLE } from '../../src/platform/database/pools.ts';
import type { TestServer } from './server.ts';

/** While `work` is under way, PostgreSQL refuses the server to read the table. */
export async function unreadable<T>(
  server: Pick<TestServer, 'sql'>,
  table: 'lease',
  work: () => Promise<T>,
): Promise<T> {
  await server.sql(`REVOKE SELECT ON ${table} FROM ${APP_ROLE}`);
  try {
    return await work();
  } finally {
    await server.sql(`GRANT SELECT ON ${table} TO ${APP_ROLE}`);
  }
}
