import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HookAnswer } from './hooks.ts';
import { preToolUse, probe } from './probe.ts';
import { agent, bash, inOrder, read, use, withSubagents, write } from './turns.ts';

/**
 * What Claude Code 2.1.329 does with each answer of an http hook, under `claude -p --permission-mode acceptEdits`.
 * Signalbox' own answers rest on these rows; a new release that changes one fails here first.
 *
 * | hook | answer | effect |
 * | --- | --- | --- |
 * | PreToolUse | deny | not run; the model reads `PreToolUse:<Tool> hook error: <reason>` as a failed tool result, whole (11 KB tried) |
 * | | deny without a reason | the model reads "Blocked by hook" |
 * | | allow | runs, and SKIPS the user's permission question; the reason reaches nobody. A deny rule of the settings still wins, before any hook |
 * | | ask | under -p nobody can be asked: not run, the model reads the bare reason |
 * | | defer | not run, and `claude -p` ends at once with exit code 0, without a Stop event |
 * | | empty 2xx, 204, `{}` | no opinion: the permission rules decide |
 * | | additionalContext, with or without a decision | a message of role `system`: `PreToolUse:<Tool> hook additional context: …`; past about 10,000 characters it becomes a file with a 2 KB preview |
 * | | `continue: false` ALONE | the session stops, but the tool in question STILL RUNS; no Stop event; the stopReason is not printed |
 * | | `continue: false` and deny | not run, and the session stops: the only kill switch that holds |
 * | | the same, to a subagent | stops the subagent only; the session goes on until its own next hook |
 * | | unknown fields | ignored, the rest holds |
 * | | another `hookEventName`, a decision that does not exist | a failure, see below |
 * | | non-2xx (whatever the body), redirect, text, bad JSON, array, refused, timeout | a failure: the tool RUNS, silently; with `onFailure: "block"` it does not, and the model reads the URL and the cause |
 * | UserPromptSubmit | `decision: "block"` | the prompt is never sent; exit code 0; reason and prompt on stdout |
 * | | `continue: false` | the same; stdout says `Operation stopped by hook: <stopReason>` |
 * | | additionalContext | inside a system message, before the first turn |
 * | PostToolUse | additionalContext, `decision: "block"` | a system message; what was done stays done |
 * | | `continue: false` | the session stops, no Stop event |
 * | Stop | `decision: "block"` | the session goes on, told `Stop hook feedback: <reason>`; the next Stop has `stop_hook_active: true` |
 * | SessionEnd | anything | ignored. Waited for 1.5 s, or as long as the entry's `timeout` says; a late one is cancelled and named on stderr |
 *
 * Order: input validation and the settings' deny rules, hook, permission, tool. Read-only calls of one message (Read, `cat`) ask
 * their hooks at once, writing ones one after the other; two subagents, or one in the background, ask at once.
 */
const held = 'src/new.ts is held by alice/refactor: "moving prices to integers".';

describe('PreToolUse: a decision', () => {
  it('deny: the file is not written and the model is told why', async () => {
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'deny', permissionDecisionReason: held }) });
    expect(seen.written).toBe(false);
    expect(seen.toolResult).toMatchObject({ isError: true, text: `PreToolUse:Write hook error: ${held}` });
    expect(seen.events).toEqual(['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'Stop', 'SessionEnd']);
  });

  it('deny: a long reason arrives whole', async () => {
    const reason = `${'one line of the reason\n'.repeat(500)}the end`;
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'deny', permissionDecisionReason: reason }) });
    expect(seen.toolResult?.text).toBe(`PreToolUse:Write hook error: ${reason}`);
  });

  it('deny holds under bypassPermissions too', async () => {
    const seen = await probe({
      answer: preToolUse({ permissionDecision: 'deny', permissionDecisionReason: held }),
      claude: { permissionMode: 'bypassPermissions', env: { IS_SANDBOX: '1', SIGNALBOX_KEY: 'sbx_made_up' } },
    });
    expect(seen.written).toBe(false);
  });

  it('allow: the file is written', async () => {
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'allow' }) });
    expect(seen.written).toBe(true);
    expect(seen.events).toContain('PostToolUse');
  });

  it('allow skips the permission that an empty answer leaves in force', async () => {
    const claude = { permissionMode: 'default' } as const;
    const allowed = await probe({ answer: preToolUse({ permissionDecision: 'allow' }), claude });
    expect(allowed.written).toBe(true);
    const silent = await probe({ answer: {}, claude });
    expect(silent.written).toBe(false);
    expect(silent.toolResult?.text).toContain("haven't granted it");
  });

  it("allow does not lift a deny rule of the user's settings, which comes before the hook", async () => {
    const args = ['--disallowedTools=Edit(//**)'];
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'allow' }), claude: { args } });
    expect(seen.written).toBe(false);
    expect(seen.events).not.toContain('PreToolUse');
  });

  it('ask: nobody is there under -p, so it is refused with the bare reason', async () => {
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'ask', permissionDecisionReason: held }) });
    expect(seen.written).toBe(false);
    expect(seen.toolResult).toMatchObject({ isError: true, text: held });
  });

  it('defer: the session ends without a Stop', async () => {
    const seen = await probe({ answer: preToolUse({ permissionDecision: 'defer' }) });
    expect(seen.written).toBe(false);
    expect(seen.run.exitCode).toBe(0);
    expect(seen.events).toEqual(['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'SessionEnd']);
  });

  it('additionalContext reaches the model as a system message, with a deny and without', async () => {
    const context = 'bob/triage changed src/cart.ts two minutes ago';
    const allowed = await probe({ answer: preToolUse({ additionalContext: context }) });
    expect(allowed.written).toBe(true);
    const message = `PreToolUse:Write hook additional context: ${context}`;
    expect(allowed.heard(context)).toEqual([expect.stringMatching(/^system: /)]);
    expect(allowed.heard(context)[0]).toContain(message);
    const denial = { permissionDecision: 'deny', permissionDecisionReason: held, additionalContext: context };
    const denied = await probe({ answer: preToolUse(denial) });
    expect(denied.heard(context)[0]).toContain(message);
  });

  it('additionalContext of 9,000 characters arrives whole, of 12,000 as a preview', async () => {
    const text = (length: number) => `${'a line\n'.repeat(length / 7)}the end`;
    const whole = await probe({ answer: preToolUse({ additionalContext: text(9000) }) });
    expect(whole.heard('the end')).toHaveLength(1);
    const cut = await probe({ answer: preToolUse({ additionalContext: text(12_000) }) });
    expect(cut.heard('the end')).toHaveLength(0);
    expect(cut.heard('Preview (first 2KB)')).toHaveLength(1);
  });
});

describe('PreToolUse: the kill switch', () => {
  const stop = { continue: false, stopReason: 'Halted by ops' };
  const deny = { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason: 'Halted by ops' };

  it('continue:false alone stops the session, but only after the tool has run', async () => {
    const seen = await probe({ answer: { json: stop } });
    expect(seen.written).toBe(true);
    expect(seen.run.model.conversations).toHaveLength(1);
    expect(seen.events).toEqual(['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'PostToolUse', 'SessionEnd']);
  });

  it('continue:false with a deny stops both', async () => {
    const seen = await probe({ answer: { json: { ...stop, hookSpecificOutput: deny } } });
    expect(seen.written).toBe(false);
    expect(seen.run.model.conversations).toHaveLength(1);
    expect(seen.events).toEqual(['SessionStart', 'UserPromptSubmit', 'PreToolUse', 'SessionEnd']);
  });

  it('to a subagent it stops the subagent, and the session goes on', async () => {
    const seen = await probe({
      answer: (call) => (call.payload['agent_id'] ? { json: { ...stop, hookSpecificOutput: deny } } : undefined),
      script: (root) => {
        const inside = inOrder(use(write(join(root, 'src/sub.ts'), '')), use(write(join(root, 'src/never.ts'), '')));
        return withSubagents(inOrder(use(agent('SUBTASK')), use(write(join(root, 'src/new.ts'), ''))), {
          SUBTASK: inside,
        });
      },
    });
    expect(seen.calls.filter((call) => call.payload['agent_id'])).toHaveLength(1);
    expect(seen.written).toBe(true);
  });
});

describe('PreToolUse: an answer that is no answer', () => {
  const denial = preToolUse({ permissionDecision: 'deny', permissionDecisionReason: held }).json;
  const failures: readonly (readonly [string, HookAnswer, string])[] = [
    ['a text', { raw: 'sorry' }, 'non-JSON response body'],
    ['half a JSON', { raw: '{"hookSpecificOutput":' }, 'parsing failed'],
    ['an array', { raw: '[]' }, 'non-JSON response body'],
    ['500', { status: 500 }, 'HTTP 500'],
    ['403 with a deny in it', { status: 403, json: denial }, 'HTTP 403'],
    ['a redirect', { status: 302 }, 'HTTP 302'],
    ['another event name', { json: { hookSpecificOutput: { hookEventName: 'PostToolUse' } } }, 'incorrect event name'],
    ['a decision that does not exist', preToolUse({ permissionDecision: 'maybe' }), 'validation failed'],
    ['a deny after the timeout', { json: denial, delayMs: 3000 }, 'timed out'],
  ];

  it.each(failures)('%s: the edit goes through, unless onFailure is block', async (_name, answer, cause) => {
    const timeoutSeconds = 1;
    const open = await probe({ answer, settings: { timeoutSeconds } });
    expect(open.written).toBe(true);
    const closed = await probe({ answer, settings: { timeoutSeconds, onFailure: 'block' } });
    expect(closed.written).toBe(false);
    expect(closed.toolResult?.text).toContain('blocking because onFailure is "block"');
    expect(closed.toolResult?.text).toContain(cause);
  });

  it('a server that is down: the edit goes through, unless onFailure is block', async () => {
    const open = await probe({ down: true });
    expect(open.written).toBe(true);
    const closed = await probe({ down: true, settings: { onFailure: 'block' } });
    expect(closed.written).toBe(false);
    expect(closed.toolResult?.text).toContain('ECONNREFUSED');
  });

  it.each([
    ['an empty 200', {}],
    ['204', { status: 204 }],
    ['{}', { json: {} }],
  ])('%s is no opinion, also under onFailure: block', async (_name, answer) => {
    expect((await probe({ answer, settings: { onFailure: 'block' } })).written).toBe(true);
  });

  it('fields that the client does not know are ignored and the rest holds', async () => {
    const output = {
      hookEventName: 'PreToolUse',
      permissionDecision: 'deny',
      permissionDecisionReason: held,
      extra: 1,
    };
    expect((await probe({ answer: { json: { extra: 1, hookSpecificOutput: output } } })).written).toBe(false);
  });
});

describe('the other events', () => {
  it('UserPromptSubmit: decision block and continue:false keep the prompt from the model', async () => {
    const block = await probe({ on: 'UserPromptSubmit', answer: { json: { decision: 'block', reason: held } } });
    expect(block.run.model.conversations).toHaveLength(0);
    expect(block.run.stdout).toContain(held);
    const stop = await probe({ on: 'UserPromptSubmit', answer: { json: { continue: false, stopReason: held } } });
    expect(stop.run.model.conversations).toHaveLength(0);
    expect(stop.run.stdout).toBe(`Operation stopped by hook: ${held}\n`);
  });

  it('UserPromptSubmit and PostToolUse: additionalContext reaches the model', async () => {
    for (const on of ['UserPromptSubmit', 'PostToolUse']) {
      const output = { hookEventName: on, additionalContext: 'bob deploys at noon' };
      const seen = await probe({ on, answer: { json: { hookSpecificOutput: output } } });
      expect(seen.heard('hook additional context: bob deploys at noon')).toHaveLength(1);
    }
  });

  it('Stop: decision block sends the session on, and the next Stop says so', async () => {
    const seen = await probe({
      on: 'Stop',
      answer: (call) => (call.payload['stop_hook_active'] ? undefined : { json: { decision: 'block', reason: held } }),
    });
    expect(seen.run.model.conversations).toHaveLength(3);
    expect(seen.calls.filter((call) => call.event === 'Stop').map((call) => call.payload['stop_hook_active'])).toEqual([
      false,
      true,
    ]);
  });

  it('SessionEnd: the client waits no longer than the entry says, and names a late one', async () => {
    const seen = await probe({ on: 'SessionEnd', answer: { delayMs: 6000 } });
    expect(seen.run.exitCode).toBe(0);
    expect(seen.run.stderr).toMatch(/SessionEnd hook .* failed: Hook cancelled/);
  });
});

describe('order', () => {
  const slow = { answer: { delayMs: 300 } };
  const overlaps = (calls: readonly { arrivedAt: number; answeredAt?: number }[]) =>
    calls.some((call, index) => index > 0 && call.arrivedAt < (calls[index - 1]?.answeredAt ?? 0));
  const asked = (calls: readonly { event: string; arrivedAt: number; answeredAt?: number }[]) =>
    calls.filter((call) => call.event === 'PreToolUse');

  it('writing calls of one message ask one after the other', async () => {
    const script = (root: string) =>
      inOrder(use(write(join(root, 'a.ts'), ''), write(join(root, 'b.ts'), ''), bash('echo c > c.ts')));
    const seen = await probe({ ...slow, script });
    expect(asked(seen.calls)).toHaveLength(3);
    expect(overlaps(asked(seen.calls))).toBe(false);
  });

  it('reading calls of one message ask at once', async () => {
    const script = (root: string) =>
      inOrder(use(read(join(root, 'src/cart.ts')), bash('cat src/cart.ts'), bash('cat src/catalog.ts')));
    const seen = await probe({ ...slow, script });
    expect(asked(seen.calls)).toHaveLength(2);
    expect(overlaps(asked(seen.calls))).toBe(true);
  });

  it('two subagents ask at once, each with its own agent_id and the one session_id', async () => {
    const script = (root: string) =>
      withSubagents(inOrder(use(agent('ONE'), agent('TWO'))), {
        ONE: inOrder(use(write(join(root, 'one.ts'), ''))),
        TWO: inOrder(use(write(join(root, 'two.ts'), ''))),
      });
    const seen = await probe({ answer: { delayMs: 800 }, script });
    const calls = asked(seen.calls);
    expect(calls).toHaveLength(2);
    expect(overlaps(calls)).toBe(true);
    expect(new Set(seen.calls.map((call) => call.payload['session_id'])).size).toBe(1);
  });
});
