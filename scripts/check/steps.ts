import { existsSync } from 'node:fs';

/** One check: a command that says by its exit code whether all is well. */
export interface Step {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Whether `--fast` leaves it out. */
  readonly slow?: boolean;
}

/** Everything that `npm run check` holds the tree against. `root` says which of the source folders there are. */
export function steps(root: string): Step[] {
  const folders = ['src', 'test', 'scripts', 'bench', 'faults'].filter((folder) => existsSync(`${root}/${folder}`));
  return [
    { name: 'format', command: 'biome', args: ['check', '--error-on-warnings', '--colors=off', '.'] },
    // Folders by name: without them the type-aware rules were seen to look at fewer files.
    { name: 'lint', command: 'oxlint', args: ['--type-aware', '--deny-warnings', ...folders] },
    { name: 'types', command: 'tsc', args: ['-p', '.'] },
    { name: 'unused code', command: 'knip', args: ['--no-progress'] },
    { name: 'generated files', command: 'npm', args: ['run', '--silent', 'generate', '--', '--check'] },
    { name: 'architecture', command: 'vitest', args: ['run', 'test/architecture.test.ts'] },
    { name: 'tests', command: 'vitest', args: ['run'], slow: true },
  ];
}
