import { readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchemaEngine, NO_FILTERS } from '../../../src/platform/database/migrate/engine.ts';
import { MIGRATIONS_DIRECTORY } from '../../../src/platform/database/migrate.ts';
import { createTestDatabase, type TestDatabase, withClient } from '../../support/database.ts';

let migrated: TestDatabase;
beforeAll(async () => {
  migrated = await createTestDatabase();
});
afterAll(() => migrated?.drop());

describe('the schema', () => {
  /** The SQL that would make the database what prisma/schema.prisma says. */
  async function difference(url: string): Promise<string> {
    const schema = path.resolve(MIGRATIONS_DIRECTORY, '../schema.prisma');
    const files = [{ path: schema, content: await readFile(schema, 'utf8') }];
    const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0 });
    const engine = await createSchemaEngine(pool);
    try {
      const { stdout } = await engine.diff({
        from: { tag: 'schemaDatasource', files, configDir: path.dirname(schema) },
        to: { tag: 'schemaDatamodel', files },
        script: true,
        exitCode: null,
        filters: NO_FILTERS,
      });
      return (stdout ?? '').trim();
    } finally {
      engine.free();
      await pool.end();
    }
  }

  test('that the migrations make is the one of prisma/schema.prisma', async () => {
    expect(await difference(migrated.url)).toBe('-- This is an empty migration.');
    await withClient(migrated.url, (client) => client.query('ALTER TABLE org ADD COLUMN extra int'));
    expect(await difference(migrated.url)).toMatch(/ALTER TABLE "org" DROP COLUMN "extra";$/);
  });
});
