import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { createEmptyDatabase, type TestDatabase } from '../../support/database.ts';

/** For each test of a file an empty database, and a folder of migrations. */
export class Migrating {
  database!: TestDatabase;
  directory!: string;
  /** What was told, by whatever migrated with `log`. */
  readonly messages: string[] = [];
  readonly cleanups: (() => Promise<unknown>)[] = [];
  readonly log: Record<'info' | 'warn', (fields: object, message: string) => void>;

  constructor() {
    const note = (_fields: object, message: string) => void this.messages.push(message);
    this.log = { info: note, warn: note };
    beforeEach(async () => {
      this.database = await createEmptyDatabase();
      this.directory = await mkdtemp(path.join(tmpdir(), 'signalbox-migrations-'));
      await writeFile(path.join(this.directory, 'migration_lock.toml'), 'provider = "postgresql"\n');
      this.messages.length = 0;
    });
    afterEach(async () => {
      for (const cleanup of this.cleanups.splice(0).toReversed()) await cleanup();
      await this.database.drop();
      await rm(this.directory, { recursive: true, force: true });
    });
  }

  async script(name: string, sql: string): Promise<void> {
    await mkdir(path.join(this.directory, name), { recursive: true });
    await writeFile(path.join(this.directory, name, 'migration.sql'), sql);
  }
}
