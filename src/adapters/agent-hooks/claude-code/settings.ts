/** The tools that can write a file: Bash too, because a shell append evades a matcher that names only the editors. */
const WRITING_TOOLS = 'Edit|Write|NotebookEdit|Bash|mcp__.*';

export interface HookSettings {
  /** The server's base URL, without a path. */
  readonly url: string;
  readonly repo: string;
  readonly loop?: string;
  /** What Claude Code does when the server cannot be asked; `block` unless told otherwise. */
  readonly onFailure?: 'block' | 'allow';
  /** Seconds that Claude Code waits for an answer. */
  readonly timeoutSeconds?: number;
}

type HookEntry = Readonly<Record<string, unknown>>;

export interface ClaudeSettings extends Record<string, unknown> {
  readonly hooks: Readonly<Record<string, readonly { readonly matcher?: string; readonly hooks: HookEntry[] }[]>>;
}

/**
 * The `.claude/settings.json` that connects a project to Signalbox. The key is not in it: the file is committed, the key
 * is the `SIGNALBOX_KEY` of whoever runs the session.
 */
export function claudeSettings(options: HookSettings): ClaudeSettings {
  const query = new URLSearchParams({
    repo: options.repo,
    ...(options.loop === undefined ? {} : { loop: options.loop }),
  });
  const endpoint = `${options.url}/hooks/claude-code?${query.toString()}`;
  const http = (timeout: number, onFailure?: string): HookEntry => ({
    type: 'http',
    url: endpoint,
    timeout,
    ...(onFailure === 'block' ? { onFailure } : {}),
    headers: { Authorization: 'Bearer $SIGNALBOX_KEY', 'x-signalbox-root': '$PWD' },
    allowedEnvVars: ['SIGNALBOX_KEY', 'PWD'],
  });
  const timeout = options.timeoutSeconds ?? 30;
  const asking = http(timeout, options.onFailure ?? 'block');
  const telling = http(10);
  const on = (hook: HookEntry, matcher?: string) => [{ ...(matcher === undefined ? {} : { matcher }), hooks: [hook] }];
  return {
    hooks: {
      SessionStart: on({ type: 'command', command: rootReport(endpoint), timeout: 10 }),
      UserPromptSubmit: on(telling),
      PreToolUse: on(asking, WRITING_TOOLS),
      PostToolUse: on(telling, WRITING_TOOLS),
      PostToolUseFailure: on(telling, WRITING_TOOLS),
      Stop: on(telling),
      // The client gives all SessionEnd hooks 1.5 s together, unless an entry asks for more: leases should be let go.
      SessionEnd: on(http(3)),
    },
  };
}

/**
 * SessionStart takes no http hook, so a command posts its payload on, with the worktree's root as git sees it. Only sh,
 * git and curl. The key goes in through a pipe: in an argument every user of the machine could read it. It never fails
 * and never waits long, because a session that cannot report its root must still start: the first edit then asks, and
 * the server falls back to the header or the first cwd. It prints nothing: the model would be told it.
 */
function rootReport(endpoint: string): string {
  return [
    'body=$(cat);',
    `printf 'header = "authorization: Bearer %s"\\n' "$SIGNALBOX_KEY" |`,
    `curl -sS -m 5 -K - -X POST '${endpoint}'`,
    "-H 'content-type: application/json'",
    '-H "x-signalbox-root: $(git rev-parse --show-toplevel 2>/dev/null || pwd)"',
    '--data-raw "$body" >/dev/null 2>&1 || true',
  ].join(' ');
}
