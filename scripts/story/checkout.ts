import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { devNull, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { StoryFailure } from './check.ts';

const HOOKS = fileURLToPath(new URL('../../src/adapters/git/hooks', import.meta.url));
const execute = promisify(execFile);

/** What the hook reads: where to report to, as whom, for which run. */
export interface Reporting {
  readonly url: string;
  readonly key: string;
  readonly run: string;
  readonly repo: string;
}

/** Somebody's worktree, on a branch of its own. */
export interface Worktree {
  readonly path: string;
  readonly branch: string;
  /**
   * Writes files and commits them; the real hook reports it.
   * @returns the commit, and what the hook had to say
   */
  commit(
    message: string,
    files: Readonly<Record<string, string>>,
    reporting: Reporting,
  ): Promise<{ id: string; told: string }>;
}

/** A repository on disk with a first commit on `main`, and worktrees beside it. */
export interface Checkout {
  readonly first: string;
  worktree(owner: string): Promise<Worktree>;
  /** Merges branches into `main`, one merge commit each. @returns main's commit and all that are new since `first` */
  merge(branches: readonly string[]): Promise<{ head: string; commits: string[] }>;
  remove(): Promise<void>;
}

/** The shop that the story is about. */
const SHOP: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "shop", "dependencies": { "decimal": "1.0.0" } }\n',
  'services/checkout/cart.ts': 'export const total = (prices: number[]) => prices.reduce((a, b) => a + b, 0);\n',
  'services/checkout/tax.ts': 'export const TAX = 0.19;\n',
  'services/payments/ledger.ts': 'export const post = (cents: number) => cents;\n',
  'services/payments/rounding.ts': 'export const round = (value: number) => Math.round(value);\n',
  'services/search/index.ts': 'export const find = () => [];\n',
};

/**
 * @param at the time of every commit: two checkouts made with the same one have the same commits
 * @throws StoryFailure when git refuses
 */
export async function makeCheckout(at: Date): Promise<Checkout> {
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-story-'));
  const main = join(directory, 'shop');
  const git = gitIn(directory, at);
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    await git(directory, ['init', '--quiet', '--initial-branch=main', main]);
    await git(main, ['config', 'core.hooksPath', HOOKS]);
    const first = (await commitFiles(git, main, { message: 'The shop', files: SHOP })).id;
    return {
      first,
      remove,
      worktree: async (owner) => {
        const [path, branch] = [join(directory, owner), `${owner}/work`];
        await git(main, ['worktree', 'add', '--quiet', '-b', branch, path]);
        const commit: Worktree['commit'] = (message, files, reporting) =>
          commitFiles(git, path, { message, files, env: environmentOf(reporting) });
        return { path, branch, commit };
      },
      merge: async (branches) => {
        for (const branch of branches)
          await git(main, ['merge', '--quiet', '--no-ff', '-m', `Merge ${branch}`, branch]);
        const { out } = await git(main, ['rev-list', `${first}..HEAD`]);
        const commits = out.trim().split('\n');
        return { head: commits[0]!, commits };
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

type Git = (cwd: string, args: readonly string[], env?: NodeJS.ProcessEnv) => Promise<{ out: string; err: string }>;

/** Git as if nobody had configured anything on this machine, and with the node that runs this for its hooks. */
function gitIn(home: string, at: Date): Git {
  const date = `${Math.floor(at.getTime() / 1000)} +0000`;
  const base: NodeJS.ProcessEnv = {
    PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
    HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: devNull,
    GIT_AUTHOR_NAME: 'Story',
    GIT_AUTHOR_EMAIL: 'story@example.com',
    GIT_COMMITTER_NAME: 'Story',
    GIT_COMMITTER_EMAIL: 'story@example.com',
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_DATE: date,
  };
  return async (cwd, args, env = {}) => {
    try {
      const { stdout, stderr } = await execute('git', args, { cwd, env: { ...base, ...env } });
      return { out: stdout, err: stderr };
    } catch (error) {
      throw new StoryFailure(`git ${args.join(' ')}: ${(error as Error).message}`);
    }
  };
}

async function commitFiles(
  git: Git,
  cwd: string,
  { message, files, env }: { message: string; files: Readonly<Record<string, string>>; env?: NodeJS.ProcessEnv },
): Promise<{ id: string; told: string }> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(cwd, name)), { recursive: true });
    await writeFile(join(cwd, name), text);
  }
  await git(cwd, ['add', '--', ...Object.keys(files)]);
  const { err } = await git(cwd, ['commit', '--quiet', '-m', message], env);
  const { out } = await git(cwd, ['rev-parse', 'HEAD']);
  return { id: out.trim(), told: err.trim() };
}

function environmentOf({ url, key, run, repo }: Reporting): NodeJS.ProcessEnv {
  return { SIGNALBOX_URL: url, SIGNALBOX_KEY: key, SIGNALBOX_RUN: run, SIGNALBOX_REPO: repo };
}
