import { PrismaPg } from '@prisma/adapter-pg';
import {
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlQuery,
} from '@prisma/driver-adapter-utils';
import type { Pool } from 'pg';

/** Executes an SQL script that the engine hands over, all of it or nothing. */
export type ExecuteScript = (script: string) => Promise<unknown>;

/** The adapter, put right where it does not give the schema engine what it needs. */
export function schemaAdapter(pool: Pool, execute: ExecuteScript): SqlMigrationAwareDriverAdapterFactory {
  const factory = new PrismaPg(pool);
  return {
    provider: factory.provider,
    adapterName: factory.adapterName,
    connect: async () => withWholeScripts(withCharColumns(await factory.connect()), execute),
    connectToShadowDb: () => factory.connectToShadowDb(),
  };
}

/**
 * The adapter cuts a script at every semicolon, also those inside a function's body or a string, and runs the pieces
 * one by one. Sent whole, a script parses as PostgreSQL parses it, and is one transaction: it happens or it does not.
 */
function withWholeScripts(adapter: SqlDriverAdapter, execute: ExecuteScript): SqlDriverAdapter {
  adapter.executeScript = async (script) => {
    await execute(script);
  };
  return adapter;
}

/** The type `"char"` of PostgreSQL's own catalogs. */
const CHAR_OID = 18;
const TEXT_OID = 25;

interface PerformsIo {
  performIO(query: SqlQuery): Promise<{ fields: { dataTypeID: number }[] }>;
}

/** The adapter refuses `"char"`, in which the catalogs tell kinds of constraints, and without which no schema is read. */
function withCharColumns(adapter: SqlDriverAdapter): SqlDriverAdapter {
  const charColumns = new WeakMap<SqlQuery, number[]>();
  const inner = adapter as unknown as PerformsIo;
  const performIO = inner.performIO.bind(adapter);
  inner.performIO = async (query) => {
    const result = await performIO(query);
    const isChar = result.fields.map((field) => field.dataTypeID === CHAR_OID);
    charColumns.set(
      query,
      isChar.flatMap((is, index) => (is ? [index] : [])),
    );
    for (const [index, field] of result.fields.entries()) if (isChar[index]) field.dataTypeID = TEXT_OID;
    return result;
  };
  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (query) => {
    const result = await queryRaw(query);
    for (const index of charColumns.get(query) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
  return adapter;
}
