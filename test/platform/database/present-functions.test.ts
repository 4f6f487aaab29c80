import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { PACKAGE_ROOT } from '../../../src/platform/package-root.ts';

const migrations = path.join(PACKAGE_ROOT, 'prisma/migrations');

it('the map names the last migration of each function that was replaced again and again', () => {
  const map = readFileSync(path.join(PACKAGE_ROOT, 'src/README.md'), 'utf8');
  const named = [...map.matchAll(/^\| `(\w+)` \| `(\d{4}_\w+)` \|$/gm)].map(([, name, migration]) => [name, migration]);
  expect(named.map(([name]) => name)).toEqual(['hot_once', 'hot_write', 'chores_due']);
  for (const [name, migration] of named) {
    const holding = readdirSync(migrations)
      .filter((folder) => /^\d/.test(folder))
      .toSorted()
      .filter((folder) =>
        new RegExp(`CREATE (OR REPLACE )?FUNCTION ${name}\\(`).test(
          readFileSync(path.join(migrations, folder, 'migration.sql'), 'utf8'),
        ),
      );
    expect([name, holding.at(-1)]).toEqual([name, migration]);
  }
});
