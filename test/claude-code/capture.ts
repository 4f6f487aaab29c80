import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Capture } from './captures.ts';
import { startClaude } from './claude.ts';
import { type HookCall, type HookRecorder, startHookRecorder } from './hooks.ts';
import { CLAUDE_CODE_VERSION } from './install.ts';
import { startFilesMcp } from './mcp.ts';
import { scrubber } from './scrub.ts';
import { claudeSettings } from './settings.ts';
import { gitShop, type Shop } from './shop.ts';

/** A hook call as Claude Code sent it, made neutral. */
export interface Fixture {
  readonly claudeCode: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Those that mean something to a server; which curl or HTTP library sent them does not. */
const KEPT_HEADERS = ['authorization', 'content-type', 'x-signalbox-root'];

/** Plays a capture's sessions and answers its fixtures by name; throws for one that did not come. */
export async function record(capture: Capture): Promise<Map<string, Fixture>> {
  const recorder = await startHookRecorder();
  const home = await realpath(await mkdtemp(join(tmpdir(), 'signalbox-claude-home-')));
  const settings = everyEvent(claudeSettings({ url: recorder.url, repo: 'acme/shop' }));
  const shop = await gitShop(settings);
  try {
    await capture.prepare?.(shop);
    for (const args of capture.sessions ?? [[]]) await play(capture, args, { shop, home, settings, recorder });
    return fixtures(capture, recorder.calls, scrubber(shop, home));
  } finally {
    await recorder.close();
    await shop.remove();
    await rm(home, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Stage {
  readonly shop: Shop;
  readonly home: string;
  readonly settings: Record<string, unknown>;
  readonly recorder: HookRecorder;
}

async function play(capture: Capture, args: readonly string[], stage: Stage): Promise<void> {
  const { shop, home, settings, recorder } = stage;
  const mcp = capture.mcp === true ? await startFilesMcp() : undefined;
  const files = mcp && JSON.stringify({ mcpServers: { files: { type: 'http', url: mcp.url } } });
  const cwd = capture.cwd?.(shop) ?? shop.worktrees[0];
  const session = await startClaude({
    cwd,
    home,
    // A project's settings are read only where they lie: below, only the user's own speak.
    ...(cwd.endsWith('services/payments') ? { userSettings: settings } : {}),
    prompt: 'Handle the coupons',
    script: capture.script(shop),
    args: [...args, ...(files ? [`--mcp-config=${files}`, '--allowedTools=mcp__files__write_file'] : [])],
    env: { SIGNALBOX_KEY: 'sbx_fixture' },
    ...capture.claude?.(shop),
  });
  const ticking = setInterval(() => {
    const stops = recorder.of('Stop').length;
    if (stops >= (capture.terminateAfterStops ?? Number.POSITIVE_INFINITY)) session.signal('SIGTERM');
  }, 200);
  const run = await session.done;
  clearInterval(ticking);
  await mcp?.close();
  if (run.timedOut || run.model.failures.length > 0) throw new Error(`${capture.name}: ${run.stderr} ${run.stdout}`);
}

function fixtures(
  capture: Capture,
  calls: readonly HookCall[],
  scrub: (value: unknown) => unknown,
): Map<string, Fixture> {
  const entries = Object.entries(capture.picks).map(([name, pick]): [string, Fixture] => {
    const call = pick(calls);
    if (call === undefined)
      throw new Error(`${capture.name}: no call for ${name} in ${calls.map((c) => c.event).join()}`);
    const headers = Object.fromEntries(KEPT_HEADERS.map((key) => [key, call.headers[key] ?? '']));
    return [name, scrub({ claudeCode: CLAUDE_CODE_VERSION, headers, body: call.payload }) as Fixture];
  });
  return new Map(entries);
}

/** The settings of the product, and the events that it leaves alone besides: their shape is worth knowing. */
function everyEvent(settings: Record<string, unknown>): Record<string, unknown> {
  const hooks = settings['hooks'] as Record<string, unknown>;
  const telling = hooks['Stop'];
  const more = { PostToolUseFailure: telling, SubagentStart: telling, SubagentStop: telling };
  return { ...settings, hooks: { ...hooks, ...more } };
}
