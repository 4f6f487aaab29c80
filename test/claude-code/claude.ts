import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installClaudeCode } from './install.ts';
import { type ScriptedModel, startModel } from './model.ts';
import { writeFiles } from './shop.ts';
import type { Script } from './turns.ts';

const DEFAULT_TIMEOUT_MS = 60_000;

export interface ClaudeOptions {
  readonly cwd: string;
  readonly prompt: string;
  readonly script: Script;
  /** What the hooks need (`SIGNALBOX_KEY`), and whatever a test adds. */
  readonly env?: Readonly<Record<string, string>>;
  /** The session's HOME; a new folder, removed afterwards, when absent. Resuming a session needs the same one. */
  readonly home?: string;
  /** The user's own settings, `~/.claude/settings.json`: they hold in every folder, unlike a project's. */
  readonly userSettings?: Readonly<Record<string, unknown>>;
  readonly permissionMode?: 'acceptEdits' | 'default' | 'bypassPermissions' | 'dontAsk' | 'plan';
  /** Further command-line arguments, such as `--resume=<id>`. */
  readonly args?: readonly string[];
  readonly timeoutMs?: number;
}

export interface ClaudeRun {
  /** null when the process was killed. */
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly model: ScriptedModel;
}

/** A session that is under way. */
export interface ClaudeSession {
  readonly model: ScriptedModel;
  readonly done: Promise<ClaudeRun>;
  /** Sends a signal to the client alone, as a terminal's close or a supervisor's stop would. */
  signal(signal: NodeJS.Signals): void;
}

/**
 * Starts `claude -p` against a scripted model of its own. Of the caller's environment only PATH reaches it, so that no
 * real key or setting can. Edits run by `acceptEdits`, Bash and Agent by `--allowedTools`; `bypassPermissions` would be
 * refused to root unless `IS_SANDBOX=1`, and would hide in which order hook and permission speak.
 */
export async function startClaude(options: ClaudeOptions): Promise<ClaudeSession> {
  const binary = await installClaudeCode();
  const model = await startModel(options.script);
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'signalbox-claude-home-')));
  if (options.userSettings !== undefined) {
    await writeFiles(home, { '.claude/settings.json': JSON.stringify(options.userSettings) });
  }
  const child = spawn(binary, commandLine(options), {
    cwd: options.cwd,
    env: { ...environment(home, model.url), PWD: options.cwd, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const done = watch(child, options.timeoutMs ?? DEFAULT_TIMEOUT_MS).then(async (run) => {
    await model.close();
    if (options.home === undefined) await rm(home, { recursive: true, force: true, maxRetries: 3 });
    return { ...run, model };
  });
  return { model, done, signal: (signal) => void child.kill(signal) };
}

/** Runs a session to its end, or to its time limit. */
export async function runClaude(options: ClaudeOptions): Promise<ClaudeRun> {
  return (await startClaude(options)).done;
}

function commandLine(options: ClaudeOptions): string[] {
  const mode = options.permissionMode ?? 'acceptEdits';
  const flags = ['-p', '--permission-mode', mode, '--allowedTools=Bash,Agent,Read', ...(options.args ?? [])];
  return [...flags, '--', options.prompt];
}

function watch(child: ChildProcess, timeoutMs: number): Promise<Omit<ClaudeRun, 'model'>> {
  let stdout = '';
  let stderr = '';
  let timedOut = false;
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const killer = setTimeout(() => {
    timedOut = true;
    killGroup(child.pid);
  }, timeoutMs);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // A background shell may hold the pipes open past the client's exit: the group goes first, then "close" comes.
    child.once('exit', () => killGroup(child.pid));
    child.once('close', (exitCode) => resolve({ exitCode, timedOut, stdout, stderr }));
  }).finally(() => clearTimeout(killer)) as Promise<Omit<ClaudeRun, 'model'>>;
}

/** Also what a shell of the session left behind: the group outlives its leader. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** PWD is added by the caller, as a shell would: a header that names it is empty without. */
function environment(home: string, modelUrl: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: home,
    LANG: 'C.UTF-8',
    ANTHROPIC_BASE_URL: modelUrl,
    ANTHROPIC_API_KEY: 'sk-ant-made-up',
    DISABLE_AUTOUPDATER: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    NO_PROXY: '127.0.0.1,localhost',
  };
}
