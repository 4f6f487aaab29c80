import type { AddressInfo } from 'node:net';
import { buildApp } from '../../../src/app.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { createPools } from '../../../src/platform/database/pools.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { disabledTelemetry } from '../../../src/platform/telemetry/index.ts';
import type { TestServer } from '../../support/server.ts';

/** Every table of the database as text, binary columns in hex, and nothing left out: to look for what must not be there. */
export async function wholeDatabase(server: TestServer): Promise<string> {
  const tables = await server.sql<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  );
  const dumps = await Promise.all(
    tables.map(({ name }) => server.sql<{ row: string }>(`SELECT to_jsonb(t)::text AS row FROM ${name} t`)),
  );
  return dumps.flatMap((rows, i) => rows.map(({ row }) => `${tables[i]!.name} ${row}`)).join('\n');
}

/** The ways in which a text could stand in a row: as it is, and as the bytes of a bytea. */
export function writtenForms(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, secret.slice('sbx_'.length), bytes.toString('hex'), bytes.toString('base64').replace(/=+$/, '')];
}

/** A server on the same database that has no root key; only for reading answers of it. */
export async function withoutRootKey<T>(server: TestServer, use: (url: string) => Promise<T>): Promise<T> {
  const pools = createPools(server.database.url, () => undefined);
  const deps = { pools, logger: createLogger({ level: 'fatal' }), clock: systemClock, telemetry: disabledTelemetry() };
  const { app, close } = await buildApp({ ...deps, version: '0.0.0-test', rootKey: undefined });
  try {
    await app.listen({ port: 0, host: '127.0.0.1' });
    return await use(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  } finally {
    await close();
    await pools.end();
  }
}
