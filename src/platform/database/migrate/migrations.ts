import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { MigrationList } from '@prisma/schema-engine-wasm';

const LOCKFILE = 'migration_lock.toml';
const SCRIPT = 'migration.sql';

/** A folder of Prisma migrations, as the schema engine wants it: one sub-folder each, applied in the order of names. */
export async function readMigrations(directory: string): Promise<MigrationList> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return {
    baseDir: directory,
    lockfile: { path: LOCKFILE, content: await readFile(path.join(directory, LOCKFILE), 'utf8') },
    shadowDbInitScript: '',
    migrationDirectories: await Promise.all(
      names.toSorted().map(async (name) => {
        const value = await readFile(path.join(directory, name, SCRIPT), 'utf8');
        return { path: name, migrationFile: { path: SCRIPT, content: { tag: 'ok' as const, value } } };
      }),
    ),
  };
}

/** The names of the migrations by their scripts. */
export function migrationNames(migrations: MigrationList): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { path: name, migrationFile } of migrations.migrationDirectories) {
    if (migrationFile.content.tag === 'ok') names.set(migrationFile.content.value, name);
  }
  return names;
}
