import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runClaude, startClaude } from './claude.ts';
import { type HookRecorder, startHookRecorder } from './hooks.ts';
import { claudeSettings } from './settings.ts';
import { gitShop, type Shop } from './shop.ts';
import { bash, edit, inOrder, use, write } from './turns.ts';

/**
 * What Claude Code 2.1.329 tells about sessions, roots and ends. The payloads themselves: test/fixtures/claude-code.
 *
 * | situation | seen |
 * | --- | --- |
 * | project settings, session started in a subdirectory | NOT read: no hook runs. User settings (and `--settings`) hold everywhere |
 * | `--worktree`, EnterWorktree | a worktree in `<main checkout>/.claude/worktrees/<name>`, `cwd` is there; project settings hold only if committed |
 * | a subagent with `isolation: worktree` | the same, `agent-<agent_id>`; below the MAIN checkout even if the session is in a linked worktree |
 * | `$PWD` in a header | the process's start directory as the shell named it: symbolic links kept, never the repository's root |
 * | the same with letters beyond ASCII | Latin-1 bytes up to U+00FF; anything beyond is DROPPED. From curl: UTF-8 bytes |
 * | a variable that is unset or not in allowedEnvVars | the empty string |
 * | `file_path` that the model gave relative | absolute in `tool_input`, still relative in `tool_response.filePath` |
 * | `cd` in Bash | stays, within the project; the payload's `cwd` follows |
 * | a failing command, an Edit whose old string is absent | PostToolUseFailure instead of PostToolUse; no hook at all, since validation comes first |
 * | `--continue` | SessionStart `source: resume` with the old session_id; with `--fork-session` `source: fork` and a new one |
 * | crons, ScheduleWakeup | Stop lists them as `session_crons`; `claude -p` does not end while there are any |
 * | background shell or subagent done | UserPromptSubmit whose prompt is a `<task-notification>`, then another Stop |
 * | end, SIGTERM (143), SIGINT (0), SIGHUP (129) | SessionEnd, `reason: other`; for SIGKILL none |
 */
const env = { SIGNALBOX_KEY: 'sbx_made_up' };
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function stage(where: 'project' | 'user'): Promise<{ hooks: HookRecorder; shop: Shop; settings: object }> {
  const hooks = await startHookRecorder();
  const settings = claudeSettings({ url: hooks.url, repo: 'acme/shop' });
  const shop = await gitShop(where === 'project' ? settings : undefined);
  cleanups.push(hooks.close, shop.remove);
  return { hooks, shop, settings };
}

const events = (hooks: HookRecorder) => hooks.calls.map((call) => call.event);
const roots = (hooks: HookRecorder, event: string) => hooks.of(event).map((call) => call.headers['x-signalbox-root']);

describe('roots', () => {
  it('project settings are not read from a subdirectory: no hook runs', async () => {
    const { hooks, shop } = await stage('project');
    const cwd = join(shop.main, 'services/payments');
    const run = await runClaude({ cwd, prompt: 'x', env, script: inOrder(use(write(join(cwd, 'fee.ts'), ''))) });
    expect(run.model.conversations).toHaveLength(2);
    expect(hooks.calls).toEqual([]);
  });

  it('user settings hold there, and the command reports the root that $PWD does not know', async () => {
    const { hooks, shop, settings } = await stage('user');
    const cwd = join(shop.main, 'services/payments');
    const userSettings = settings as Record<string, unknown>;
    await runClaude({ cwd, prompt: 'x', env, userSettings, script: inOrder(use(write('fee.ts', ''))) });
    expect(roots(hooks, 'SessionStart')).toEqual([shop.main]);
    expect(roots(hooks, 'PreToolUse')).toEqual([cwd]);
    expect(hooks.of('PreToolUse')[0]?.payload['tool_input']).toMatchObject({ file_path: join(cwd, 'fee.ts') });
  });

  it('a root beyond ASCII: curl sends UTF-8, the client Latin-1, and drops what Latin-1 lacks', async () => {
    const { hooks, shop } = await stage('project');
    const cwd = join(shop.base, 'Größe-日本');
    await rename(shop.main, cwd);
    await runClaude({ cwd, prompt: 'x', env, script: inOrder(use(write(join(cwd, 'src/new.ts'), ''))) });
    const utf8 = roots(hooks, 'SessionStart').map((root) => Buffer.from(root ?? '', 'latin1').toString('utf8'));
    expect(utf8).toEqual([cwd]);
    expect(roots(hooks, 'PreToolUse')).toEqual([join(shop.base, 'Größe-')]);
    expect(hooks.of('PreToolUse')[0]?.payload['cwd']).toBe(cwd);
  });
});

describe('what is never asked or told', () => {
  it('a failing command is a PostToolUseFailure; an Edit that cannot apply asks no hook', async () => {
    const { hooks, shop } = await stage('project');
    const script = inOrder(use(bash('exit 3')), use(edit(join(shop.main, 'src/cart.ts'), 'no such text', 'x')));
    const run = await runClaude({ cwd: shop.main, prompt: 'x', env, script });
    expect(run.model.conversations.at(-1)?.toolResults.map((result) => result.isError)).toEqual([true, true]);
    expect(events(hooks)).toEqual([
      'SessionStart',
      'UserPromptSubmit',
      'PreToolUse',
      'PostToolUseFailure',
      'Stop',
      'SessionEnd',
    ]);
  });
});

describe('ends', () => {
  it.each([
    ['SIGTERM', 143, true],
    ['SIGINT', 0, true],
    ['SIGHUP', 129, true],
    ['SIGKILL', null, false],
  ] as const)('%s: exit code %s, SessionEnd: %s', async (signal, exitCode, told) => {
    const { hooks, shop } = await stage('project');
    const script = inOrder(use(bash('sleep 20')));
    const session = await startClaude({ cwd: shop.main, prompt: 'x', env, script, timeoutMs: 30_000 });
    await expect.poll(() => hooks.of('PreToolUse').length, { timeout: 20_000 }).toBe(1);
    session.signal(signal);
    const run = await session.done;
    expect(run).toMatchObject({ exitCode, timedOut: false });
    expect(hooks.of('SessionEnd')).toHaveLength(told ? 1 : 0);
  });
});
