import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const git = promisify(execFile);

const FILES: Readonly<Record<string, string>> = {
  'README.md': '# shop\n',
  'src/cart.ts': 'export const total = (prices: number[]) => prices.reduce((sum, price) => sum + price, 0);\n',
  'src/catalog.ts': "export const catalog = ['tea', 'coffee'];\n",
  'services/payments/charge.ts': 'export const FEE_PERCENT = 3;\n',
  'services/payments/refund.ts': 'export const REFUND_DAYS = 14;\n',
  'notebooks/sales.ipynb': `${JSON.stringify({
    cells: [{ cell_type: 'code', id: 'first', source: ['1 + 1'], metadata: {}, outputs: [], execution_count: null }],
    metadata: { kernelspec: { display_name: 'Python 3', language: 'python', name: 'python3' } },
    nbformat: 4,
    nbformat_minor: 5,
  })}\n`,
};

/** A git repository with one commit, checked out twice besides: two developers, or two loops of one. */
export interface Shop {
  /** The folder that holds all of it; removed by `remove`. */
  readonly base: string;
  readonly main: string;
  readonly worktrees: readonly [string, string];
  readonly remove: () => Promise<void>;
}

/**
 * Makes the repository of the scenarios, with the worktrees on branches `alice` and `bob`. Every path is a real path.
 * `settings` are committed as `.claude/settings.json`, as a team would: only so do they reach worktrees made later.
 */
export async function gitShop(settings?: Readonly<Record<string, unknown>>): Promise<Shop> {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'signalbox-shop-')));
  const main = join(base, 'shop');
  await writeFiles(main, FILES);
  if (settings !== undefined) {
    await writeFiles(main, { '.claude/settings.json': `${JSON.stringify(settings, null, 2)}\n` });
  }
  const identity = ['-c', 'user.name=Dev', '-c', 'user.email=dev@acme.example'];
  const run = (...args: string[]) => git('git', [...identity, ...args], { cwd: main });
  await run('init', '-q', '-b', 'main');
  await run('add', '.');
  await run('commit', '-q', '-m', 'The shop');
  const worktrees = [join(base, 'alice'), join(base, 'bob')] as const;
  await run('worktree', 'add', '-q', '-b', 'alice', worktrees[0]);
  await run('worktree', 'add', '-q', '-b', 'bob', worktrees[1]);
  return { base, main, worktrees, remove: () => rm(base, { recursive: true, force: true, maxRetries: 3 }) };
}

/** Writes files, each by its path below `folder`, with the folders that they need. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}
