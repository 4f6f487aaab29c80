import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Caller, TestOrg, TestServer } from '../support/server.ts';
import { type ClaudeOptions, type ClaudeRun, type ClaudeSession, startClaude } from './claude.ts';
import { claudeSettings } from './settings.ts';
import { gitShop, type Shop } from './shop.ts';
import type { Script, Turn } from './turns.ts';

type SessionOptions = Pick<ClaudeOptions, 'prompt' | 'script'> & Partial<ClaudeOptions>;

/** A member with a key, a worktree and a loop of their own, who starts the real client. */
export interface Developer extends Caller {
  readonly name: string;
  readonly memberId: string;
  readonly loop: string;
  readonly worktree: string;
  /** The text of a file of the worktree; null if there is none. */
  file(path: string): Promise<string | null>;
  /** In the worktree, unless `cwd` says otherwise. The hook block is in the user's own settings: they hold everywhere. */
  start(options: SessionOptions): Promise<ClaudeSession>;
  run(options: SessionOptions): Promise<ClaudeRun>;
}

/** A place in a script where the model falls silent until the test lets it go on. */
export interface Pause {
  /** The turn that the model gives when it may go on. */
  readonly before: (turn: Turn) => Script;
  readonly reached: Promise<void>;
  readonly resume: () => void;
}

/** One org on the real server, one git repository, two developers in a worktree each, and whoever else is hired. */
export interface Stage {
  readonly org: TestOrg;
  readonly shop: Shop;
  /** Loop `price-refactor`. */
  readonly alice: Developer;
  /** Loop `triage`. */
  readonly bob: Developer;
  pause(): Pause;
  member(name: string, teams?: readonly string[]): Promise<Caller & { readonly memberId: string }>;
  /** Live leases of `acme/shop`. */
  leases(): Promise<LeaseRow[]>;
  close(): Promise<void>;
}

export interface LeaseRow {
  readonly id: string;
  readonly runId: string;
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly purpose: string | null;
  readonly expiresAt: string;
  readonly holder: { readonly loop: { readonly name: string }; readonly owner: { readonly name: string } };
}

const REPO = 'acme/shop';

/** One for a test. `url` is where the hooks find the server; the server's own unless told otherwise. */
export async function openStage(server: TestServer, url: string = server.url): Promise<Stage> {
  const org = await server.newOrg();
  const shop = await gitShop();
  const pauses: Pause[] = [];
  const sessions: ClaudeSession[] = [];
  const member = async (name: string, teams: readonly string[] = []) => {
    const body = { name, email: `${name.toLowerCase()}@acme.example`, teams };
    const { id: memberId } = (await org.admin.post('/members', body)).body;
    return { ...(await org.key('member', { memberId })), memberId };
  };
  const developer = async (name: string, loop: string, worktree: string): Promise<Developer> => {
    const caller = await member(name);
    const userSettings = claudeSettings({ url, repo: REPO, loop });
    const env = { SIGNALBOX_KEY: caller.secret };
    const start = async (options: SessionOptions): Promise<ClaudeSession> => {
      const session = checked(await startClaude({ cwd: worktree, env, userSettings, ...options }));
      sessions.push(session);
      return session;
    };
    const run = async (options: SessionOptions) => (await start(options)).done;
    return { ...caller, name, loop, worktree, file: (path) => textOf(join(worktree, path)), start, run };
  };
  return {
    org,
    shop,
    alice: await developer('Alice', 'price-refactor', shop.worktrees[0]),
    bob: await developer('Bob', 'triage', shop.worktrees[1]),
    pause: () => {
      const pause = newPause();
      pauses.push(pause);
      return pause;
    },
    member,
    leases: async () => (await org.admin.get(`/leases?repo=${REPO}`)).body.items,
    close: async () => {
      for (const pause of pauses) pause.resume();
      await Promise.allSettled(sessions.map(({ done }) => done));
      await shop.remove();
    },
  };
}

/** Waits for a session to reach a pause; a session that ends before is an error, not a test that hangs. */
export async function reaching(session: ClaudeSession, pause: Pause): Promise<void> {
  const ended = session.done.then(({ stdout, stderr }) => {
    throw new Error(`the session ended before the pause: ${stdout} ${stderr}`);
  });
  await Promise.race([pause.reached, ended]);
}

/** What the session's own model, no subagent's, read in place of each tool's output. */
export function toolTexts(run: Pick<ClaudeRun, 'model'>): string[] {
  const own = run.model.conversations.filter(({ agentId }) => agentId === undefined);
  return (own.at(-1)?.toolResults ?? []).map(({ text }) => text);
}

/** Every word that was sent to the session's model, additional context of hooks included. */
export function told(run: Pick<ClaudeRun, 'model'>): string {
  return run.model.conversations.at(-1)?.told ?? '';
}

function checked(session: ClaudeSession): ClaudeSession {
  const done = session.done.then((run) => {
    if (run.timedOut) throw new Error(`the session did not end: ${run.stdout} ${run.stderr}`);
    if (run.model.failures.length > 0) throw new Error(`the script failed: ${run.model.failures.join('; ')}`);
    return run;
  });
  // Whoever awaits it hears of it; nobody may, when the test has failed already.
  done.catch(() => undefined);
  return { ...session, done };
}

function newPause(): Pause {
  let reach = (): void => undefined;
  let resume = (): void => undefined;
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const resumed = new Promise<void>((resolve) => (resume = resolve));
  const before =
    (turn: Turn): Script =>
    async () => {
      reach();
      await resumed;
      return turn;
    };
  return { before, reached, resume };
}

async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
