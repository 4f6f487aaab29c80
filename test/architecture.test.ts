import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { checkArchitecture } from './architecture/check.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The tree as it is on disk. */
function sourceTree(): Map<string, string> {
  const names = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
  const files = names.map((name) => `src/${name.replaceAll('\\', '/')}`).filter((name) => name.endsWith('.ts'));
  return new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
}

/** A small tree as it should be, and files planted into it. */
function planted(more: Record<string, string>): string[] {
  return checkArchitecture(
    new Map(
      Object.entries({
        'src/generated/client.ts': 'export {};\n',
        'src/platform/config.ts': 'export const port = 1;\n',
        'src/platform/http/index.ts': "export * from './server.ts';\n",
        'src/platform/http/server.ts': "import '../config.ts';\n",
        'src/platform/database/pool.ts': "import '../../generated/client.ts';\n",
        'src/patterns/index.ts': "export * from './glob.ts';\n",
        'src/patterns/glob.ts': 'export {};\n',
        'src/modules/loops/index.ts': "export * from './runs.ts';\n",
        'src/modules/loops/runs.ts':
          "import '../../platform/database/pool.ts';\nimport '../../platform/http/index.ts';\n",
        'src/modules/leases/index.ts': "export * from './acquire.ts';\n",
        'src/modules/leases/acquire.ts': "import '../loops/index.ts';\nimport '../../patterns/index.ts';\n",
        'src/adapters/cli/index.ts': "import '../../modules/leases/index.ts';\n",
        'src/app.ts': "import './adapters/cli/index.ts';\nimport 'fastify';\nimport data from '../package.json';\n",
        'src/main.ts': "import './app.ts';\n",
        ...more,
      }),
    ),
  );
}

describe('the source tree', () => {
  it('follows the design', () => {
    const files = sourceTree();
    expect(files.size).toBeGreaterThan(20);
    expect(checkArchitecture(files)).toEqual([]);
  });
});

describe('the checker', () => {
  it('has nothing to say about a tree as designed', () => {
    expect(planted({})).toEqual([]);
  });

  it.each([
    ['an import', "\n\nimport { lease } from '../leases/index.ts';"],
    ['an import over several lines', "\nimport {\nlease } from '../leases/index.ts';"],
    ['an import of a type', "\n\nimport type { Lease } from '../leases/index.ts';"],
    ['an inline type import', "\n\nimport { type Lease } from '../leases/index.ts';"],
    ['a re-export', "\n\nexport { lease } from '../leases/index.ts';"],
    ['a re-export of everything', "\n\nexport * from '../leases/index.ts';"],
    ['a dynamic import', "\n\nawait import('../leases/index.ts');"],
    ['an import type', "\n\nexport type L = import('../leases/index.ts').Lease;"],
  ])('finds a back arrow in %s', (_what, source) => {
    const violations = planted({ 'src/modules/loops/back.ts': source });
    expect(violations).toContainEqual(
      expect.stringMatching(
        /^src\/modules\/loops\/back\.ts:3: imports \.\.\/leases\/index\.ts: loops may not import leases \(\{platform/,
      ),
    );
  });

  it('does not take text or comments for imports', () => {
    const text = "// import '../leases/index.ts'\nexport const text = `import '../leases/index.ts'`;\n";
    expect(planted({ 'src/modules/loops/text.ts': text })).toEqual([]);
  });

  it.each([
    ['changes', 'leases'],
    ['leases', 'traces'],
    ['governance', 'budgets'],
    ['budgets', 'governance'],
    ['admission', 'incidents'],
    ['identity', 'activity'],
    ['activity', 'loops'],
  ])('keeps %s from importing %s', (from, to) => {
    const violations = planted({
      [`src/modules/${to}/index.ts`]: 'export {};\n',
      [`src/modules/${from}/index.ts`]: `import '../${to}/index.ts';\n`,
    });
    expect(violations).toEqual([expect.stringContaining(`${from} may not import ${to}`)]);
  });

  it('keeps modules out of platform and patterns, and the app out of everything below it', () => {
    const low = {
      'src/platform/bad.ts': "import '../modules/loops/index.ts';\n",
      'src/patterns/bad.ts': "import '../platform/config.ts';\n",
    };
    expect(planted(low)).toEqual([
      expect.stringContaining('platform may not import loops'),
      expect.stringContaining('patterns may not import platform'),
    ]);
    expect(planted({ 'src/adapters/bad.ts': "import '../app.ts';\n" })).toEqual([
      expect.stringContaining('adapters may not import app'),
    ]);
    const start = { 'src/main/run.ts': "import '../app.ts';\n", 'src/main.ts': "import './main/run.ts';\n" };
    expect(planted(start)).toEqual([]);
    const cli = "import './adapters/cli/index.ts';\nawait import('./main/run.ts');\n";
    expect(planted({ ...start, 'src/cli.ts': cli })).toEqual([]);
    expect(planted({ ...start, 'src/cli.ts': cli, 'src/adapters/cli/back.ts': "import '../../cli.ts';\n" })).toEqual([
      expect.stringContaining('adapters may not import main'),
    ]);
    expect(planted({ ...start, 'src/app.ts': "import './main/run.ts';\n" })).toContainEqual(
      expect.stringContaining('app may not import main'),
    );
  });

  it.each([
    ['a module', 'src/modules/leases/bad.ts', '../loops/runs.ts', 'src/modules/loops'],
    ['patterns', 'src/modules/leases/bad.ts', '../../patterns/glob.ts', 'src/patterns'],
    [
      'a platform folder with an index',
      'src/modules/leases/bad.ts',
      '../../platform/http/server.ts',
      'src/platform/http',
    ],
    ['another adapter', 'src/adapters/mcp/bad.ts', '../cli/internals.ts', 'src/adapters/cli'],
  ])('finds a deep import into %s', (_what, file, specifier, unit) => {
    const violations = planted({
      'src/adapters/cli/internals.ts': 'export {};\n',
      [file]: `\nimport '${specifier}';\n`,
    });
    expect(violations).toEqual([
      `${file}:2: imports ${specifier}: from outside, ${unit} is imported through its index.ts only`,
    ]);
  });

  it('finds a cycle between files, through types too, and shows the way round', () => {
    const violations = planted({
      'src/platform/a.ts': "\nimport './b.ts';\n",
      'src/platform/b.ts': "import type { C } from './c.ts';\n",
      'src/platform/c.ts': "import './a.ts';\nimport './config.ts';\n",
    });
    expect(violations).toEqual([
      'src/platform/a.ts:2: import cycle: src/platform/a.ts -> src/platform/b.ts -> src/platform/c.ts -> src/platform/a.ts',
    ]);
  });

  it('finds a file that imports itself', () => {
    expect(planted({ 'src/platform/a.ts': "import './a.ts';\n" })).toEqual([
      'src/platform/a.ts:1: import cycle: src/platform/a.ts -> src/platform/a.ts',
    ]);
  });

  it.each(['src/helpers/x.ts', 'src/x.ts', 'src/modules/x.ts', 'src/modules/billing/index.ts'])(
    'finds %s in no layer',
    (file) => {
      expect(planted({ [file]: 'export {};\n' })).toEqual([expect.stringContaining(`${file}:1: belongs to no layer`)]);
    },
  );

  it.each([
    ['src/modules/loops/routes.ts', '../../generated/client.ts'],
    ['src/modules/loops/routes/list.ts', '../../../generated/client.ts'],
    ['src/modules/loops/run-routes.ts', '../../generated/client.ts'],
    ['src/adapters/cli/bad.ts', '../../generated/client.ts'],
    ['src/patterns/bad.ts', '../generated/client.ts'],
  ])('keeps generated code out of %s', (file, specifier) => {
    expect(planted({ [file]: `import '${specifier}';\n` })).toEqual([
      expect.stringContaining(`${file}:1: imports ${specifier}: generated code`),
    ]);
  });

  it('finds a file that grew too long, and lets generated ones grow', () => {
    const long = 'export {};\n'.repeat(351);
    expect(planted({ 'src/platform/long.ts': long, 'src/generated/long.ts': long })).toEqual([
      'src/platform/long.ts:351: has 351 lines, more than 350: split it',
    ]);
    expect(planted({ 'src/platform/long.ts': 'export {};\n'.repeat(350) })).toEqual([]);
  });

  it('finds an import of nothing, and one that leaves src', () => {
    expect(planted({ 'src/platform/bad.ts': "import './gone.ts';\nimport '../../test/x.ts';\n" })).toEqual([
      'src/platform/bad.ts:1: imports ./gone.ts: there is no such file',
      'src/platform/bad.ts:2: imports ../../test/x.ts: it is outside src',
    ]);
  });

  it('refuses a file that does not parse rather than see no imports in it', () => {
    expect(() => planted({ 'src/platform/bad.ts': 'import {' })).toThrow(/src\/platform\/bad\.ts does not parse/);
  });
});
