import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClaudeOptions } from './claude.ts';
import type { HookCall } from './hooks.ts';
import type { Shop } from './shop.ts';
import { agent, bash, edit, inOrder, read, type Script, say, use, withSubagents, write } from './turns.ts';

/** The names of the fixtures that a session yields, each with the call that it is made of. */
export type Picks = Readonly<Record<string, (calls: readonly HookCall[]) => HookCall | undefined>>;

export interface Capture {
  readonly name: string;
  readonly cwd?: (shop: Shop) => string;
  readonly prepare?: (shop: Shop) => Promise<void>;
  readonly script: (shop: Shop) => Script;
  /** Command lines of the sessions, one after the other in the same HOME; one without extra arguments if absent. */
  readonly sessions?: readonly (readonly string[])[];
  readonly claude?: (shop: Shop) => Partial<ClaudeOptions>;
  /** Sends SIGTERM once this many Stop events have come: a session with timers never ends by itself. */
  readonly terminateAfterStops?: number;
  /** Somebody else's MCP server, called `files`, is configured. */
  readonly mcp?: boolean;
  readonly picks: Picks;
}

const nth =
  (event: string, index = 0, where: (call: HookCall) => boolean = () => true) =>
  (calls: readonly HookCall[]) =>
    calls.filter((call) => call.event === event && where(call)).at(index);
const tool =
  (event: string, name: string, index = 0, inSubagent = false) =>
  (calls: readonly HookCall[]) =>
    nth(event, index, ({ payload }) => payload['tool_name'] === name && 'agent_id' in payload === inSubagent)(calls);

const inWorktree = inOrder(use(bash('pwd')), use(bash('echo "// seen" >> src/cart.ts')), (conversation) => {
  const root = conversation.toolResults[0]?.text.trim() ?? '';
  return use(write(join(root, 'src/coupons.ts'), 'export const coupons = [];\n'));
});
const withWorker = (task: Record<string, unknown>, worker: Script) =>
  withSubagents(inOrder(use(agent('Handle the coupons.', task))), { 'Handle the coupons.': worker });

const editing: Capture = {
  name: 'editing',
  script: ({ worktrees: [root] }) =>
    inOrder(
      use(write(join(root, 'src/coupons.ts'), 'export const coupons = [];\n')),
      use(read(join(root, 'src/cart.ts'))),
      use(edit(join(root, 'src/cart.ts'), 'total', 'sum')),
      use(write(join(root, 'src/coupons.ts'), "export const coupons = ['TEA'];\n")),
      use(bash('echo "// seen" >> src/catalog.ts')),
      use(bash("sed -i 's/3/4/' services/payments/charge.ts")),
      use(bash('cat no-such-file')),
      use({ name: 'ToolSearch', input: { query: 'select:NotebookEdit' } }),
      use(read(join(root, 'notebooks/sales.ipynb'))),
      use({
        name: 'NotebookEdit',
        input: { notebook_path: join(root, 'notebooks/sales.ipynb'), cell_id: 'first', new_source: '2 + 2' },
      }),
    ),
  picks: {
    'session-start': nth('SessionStart'),
    'user-prompt-submit': nth('UserPromptSubmit'),
    'pre-write': tool('PreToolUse', 'Write'),
    'post-write': tool('PostToolUse', 'Write'),
    'pre-edit': tool('PreToolUse', 'Edit'),
    'post-edit': tool('PostToolUse', 'Edit'),
    'post-write-over': tool('PostToolUse', 'Write', 1),
    'pre-bash-append': tool('PreToolUse', 'Bash'),
    'post-bash-append': tool('PostToolUse', 'Bash'),
    'pre-bash-sed': tool('PreToolUse', 'Bash', 1),
    'post-bash-sed': tool('PostToolUse', 'Bash', 1),
    'failure-bash': tool('PostToolUseFailure', 'Bash'),
    'pre-notebook-edit': tool('PreToolUse', 'NotebookEdit'),
    'post-notebook-edit': tool('PostToolUse', 'NotebookEdit'),
    stop: nth('Stop'),
    'session-end': nth('SessionEnd'),
  },
};

const subdirectory: Capture = {
  name: 'subdirectory',
  cwd: (shop) => join(shop.main, 'services/payments'),
  script: (shop) =>
    inOrder(
      use(write(join(shop.main, 'services/payments/payout.ts'), 'export {};\n')),
      use(bash('echo "// seen" >> charge.ts')),
      use(write('fee.ts', 'export {};\n')),
    ),
  picks: {
    'session-start-subdirectory': nth('SessionStart'),
    'pre-write-subdirectory': tool('PreToolUse', 'Write'),
    'pre-bash-subdirectory': tool('PreToolUse', 'Bash'),
    'pre-write-relative': tool('PreToolUse', 'Write', 1),
    'post-write-relative': tool('PostToolUse', 'Write', 1),
  },
};

const changedDirectory: Capture = {
  name: 'a session that changed its directory',
  cwd: (shop) => shop.main,
  script: () => inOrder(use(bash('cd services/payments')), use(bash('echo "// seen" >> charge.ts'))),
  picks: { 'pre-bash-after-cd': tool('PreToolUse', 'Bash', 1) },
};

const subagent: Capture = {
  name: 'subagent',
  cwd: (shop) => shop.main,
  script: (shop) => withWorker({}, inOrder(use(write(join(shop.main, 'src/coupons.ts'), 'export {};\n')))),
  picks: {
    'subagent-start': nth('SubagentStart'),
    'pre-write-subagent': tool('PreToolUse', 'Write', 0, true),
    'post-write-subagent': tool('PostToolUse', 'Write', 0, true),
    'subagent-stop': nth('SubagentStop'),
  },
};

const subagentWorktree: Capture = {
  name: 'subagent in a worktree',
  cwd: (shop) => shop.main,
  script: () => withWorker({ isolation: 'worktree' }, inWorktree),
  picks: {
    'subagent-start-worktree': nth('SubagentStart'),
    'pre-bash-subagent-worktree': tool('PreToolUse', 'Bash', 1, true),
    'pre-write-subagent-worktree': tool('PreToolUse', 'Write', 0, true),
    'post-write-subagent-worktree': tool('PostToolUse', 'Write', 0, true),
  },
};

const subagentOfWorktree: Capture = {
  name: 'subagent of a linked worktree',
  script: () => withWorker({ isolation: 'worktree' }, inWorktree),
  picks: {
    'pre-bash-subagent-worktree-of-linked': tool('PreToolUse', 'Bash', 1, true),
    'pre-write-subagent-worktree-of-linked': tool('PreToolUse', 'Write', 0, true),
  },
};

const startedInWorktree: Capture = {
  name: '--worktree',
  cwd: (shop) => shop.main,
  sessions: [['--worktree=coupons']],
  script: () => inWorktree,
  picks: {
    'session-start-worktree-flag': nth('SessionStart'),
    'pre-bash-worktree-flag': tool('PreToolUse', 'Bash', 1),
    'pre-write-worktree-flag': tool('PreToolUse', 'Write'),
  },
};

const enteredWorktree: Capture = {
  name: 'EnterWorktree',
  cwd: (shop) => shop.main,
  script: (shop) =>
    inOrder(
      use({ name: 'ToolSearch', input: { query: 'select:EnterWorktree' } }),
      use({ name: 'EnterWorktree', input: { name: 'coupons' } }),
      use(bash('echo "// seen" >> src/cart.ts')),
      use(write(join(shop.main, '.claude/worktrees/coupons/src/coupons.ts'), 'export {};\n')),
    ),
  picks: {
    'pre-bash-entered-worktree': tool('PreToolUse', 'Bash'),
    'pre-write-entered-worktree': tool('PreToolUse', 'Write'),
    'session-end-entered-worktree': nth('SessionEnd'),
  },
};

const symlinked: Capture = {
  name: 'a checkout reached through a symbolic link',
  cwd: (shop) => join(shop.base, 'link'),
  prepare: (shop) => symlink(shop.main, join(shop.base, 'link')),
  script: (shop) => inOrder(use(write(join(shop.base, 'link/src/coupons.ts'), 'export {};\n'))),
  picks: { 'session-start-symlink': nth('SessionStart'), 'pre-write-symlink': tool('PreToolUse', 'Write') },
};

const withoutVariables: Capture = {
  name: 'headers whose variables are unset',
  claude: () => ({ env: { PWD: '', SIGNALBOX_KEY: '' } }),
  script: ({ worktrees: [root] }) => inOrder(use(write(join(root, 'src/coupons.ts'), 'export {};\n'))),
  picks: { 'pre-write-unset-variables': tool('PreToolUse', 'Write') },
};

const resumed: Capture = {
  name: 'resume and fork',
  cwd: (shop) => shop.main,
  sessions: [[], ['--continue'], ['--continue', '--fork-session']],
  script: () => () => say('done'),
  picks: {
    'session-start-resume': nth('SessionStart', 1),
    'user-prompt-submit-resume': nth('UserPromptSubmit', 1),
    'session-start-fork': nth('SessionStart', 2),
    'user-prompt-submit-fork': nth('UserPromptSubmit', 2),
  },
};

const scheduled: Capture = {
  name: 'timers and background work',
  cwd: (shop) => shop.main,
  terminateAfterStops: 2,
  script: () =>
    inOrder(
      use({ name: 'ToolSearch', input: { query: 'select:CronCreate' } }),
      use({ name: 'CronCreate', input: { cron: '0 9 * * 1-5', prompt: 'Look at the failing tests', recurring: true } }),
      use({ name: 'CronCreate', input: { cron: '30 18 24 12 *', prompt: 'Close the till', recurring: false } }),
      use({ name: 'ScheduleWakeup', input: { delaySeconds: 600, reason: 'Wait for CI', prompt: '/loop check CI' } }),
      use(bash('sleep 2', { run_in_background: true })),
    ),
  picks: {
    'stop-with-crons-and-tasks': nth('Stop'),
    'user-prompt-submit-task-notification': nth('UserPromptSubmit', 1),
    'session-end-terminated': nth('SessionEnd'),
  },
};

const WRITE_FILE = 'mcp__files__write_file';

const mcp: Capture = {
  name: 'MCP tool',
  mcp: true,
  // The client connects to MCP servers while the session is under way already: look again until the tool is there.
  script:
    () =>
    ({ toolResults, turns }) => {
      const found = toolResults.some(
        (result) => result.name === 'ToolSearch' && !result.text.startsWith('No matching'),
      );
      if (toolResults.some((result) => result.name === WRITE_FILE) || turns > 30) return say('done');
      if (!found) return use({ name: 'ToolSearch', input: { query: `select:${WRITE_FILE}` } });
      return use({ name: WRITE_FILE, input: { path: 'src/coupons.ts', content: 'export {};\n' }, id: 'toolu_mcp' });
    },
  picks: { 'pre-mcp': tool('PreToolUse', WRITE_FILE), 'post-mcp': tool('PostToolUse', WRITE_FILE) },
};

export const CAPTURES: readonly Capture[] = [
  editing,
  subdirectory,
  changedDirectory,
  subagent,
  subagentWorktree,
  subagentOfWorktree,
  startedInWorktree,
  enteredWorktree,
  symlinked,
  withoutVariables,
  resumed,
  scheduled,
  mcp,
];
