import { query } from './api.ts';
import { expectLike, expectThat } from './check.ts';
import { traceIdOf, withSpans } from './spans.ts';
import type { Landed, LoopAtWork, Stage } from './world.ts';

/**
 * A loop commits files in its worktree under leases that cover them, with spans of the work: the real hook reports the
 * commit, the real exporter the spans.
 * @throws StoryFailure unless both are on record as this run's
 */
export async function land(
  stage: Stage,
  loop: LoopAtWork,
  message: string,
  files: Readonly<Record<string, string>>,
): Promise<Landed> {
  const { url, names } = stage;
  const { owner, run, worktree } = loop;
  const reporting = { url, key: owner.secret, run: run.id, repo: names.repo };
  const tracing = { url, secret: owner.secret, loopId: loop.id, runId: run.id, traceparent: run.traceparent };
  const commit = await withSpans(tracing, message, async (traced) => {
    await traced('think', () => owner.post(`/runs/${run.id}/heartbeat`, { epoch: run.epoch }, continues));
    return traced('commit', () => worktree.commit(message, files, reporting));
  });
  expectThat(commit.told === '', `the hook to have nothing to say about ${message}; it said: ${commit.told}`);
  const search = query({ repo: names.repo, commit: commit.id });
  const expected = { runId: run.id, loopId: loop.id, intent: message, verdict: 'clear', unleasedCount: 0, stale: [] };
  const { items } = await owner.get(`/changes?${search}`, { status: 200, body: { items: [expected] } });
  const landed = { id: items[0].id as string, commit: commit.id, loop };
  const event = await stage.seen('change.recorded', landed.id);
  expectLike('the event', event.data, { commit: commit.id, paths: Object.keys(files).toSorted() });
  await expectSpans(stage, loop, [message, 'think', 'commit']);
  stage.landed.push(landed);
  return landed;
}

const continues = { status: 200, body: { signal: 'continue' } };

/** The run's trace holds these spans, linked to it by a key that may speak for it. */
async function expectSpans(stage: Stage, loop: LoopAtWork, expected: readonly string[]): Promise<void> {
  const { owner, run } = loop;
  const traceId = traceIdOf(run.traceparent);
  const { spans } = await owner.get(`/traces/${traceId}`, { status: 200, body: { traceId } });
  const names = (spans as { name: string }[]).map(({ name }) => name);
  for (const name of expected) expectThat(names.includes(name), `a span ${name} in the trace; it has ${names.join()}`);
  const link = { loopId: loop.id, runId: run.id, link: 'exact', service: 'agent' };
  expectLike(
    'the spans',
    spans,
    names.map(() => link),
  );
  await stage.say(owner.name, `trace ${traceId.slice(0, 12)}… of ${loop.name} has ${names.length} spans`);
}
