import type { Cast } from '../cast.ts';
import { expectThat, show } from '../check.ts';
import type { Stage } from '../world.ts';
import { thaw } from './freeze.ts';

/** The freeze is over; both branches are merged and go out: the deploy is known to bring what the loops landed. */
export async function deploy(stage: Stage, cast: Cast): Promise<{ id: string; at: string }> {
  const { names, checkout, landed } = stage;
  await thaw(stage, cast);
  const branches = [cast.triage, cast.refactoring].map(({ worktree }) => worktree.branch);
  const { head, commits } = await checkout.merge(branches);
  const merges = commits.filter((commit) => !landed.some((change) => change.commit === commit));
  expectThat(merges.length === branches.length, `${branches.length} merges, got ${merges.length}`);
  const told = {
    service: names.service,
    environment: 'production',
    repo: names.repo,
    commit: head,
    previousCommit: checkout.first,
    commits,
  };
  const brought = { basis: 'commits', rollback: false, changeCount: landed.length };
  const recorded = await cast.onCall.post('/deploys', told, { status: 201, body: brought });
  await stage.seen('deploy.recorded', recorded.id);
  const { changes } = await cast.onCall.get(`/deploys/${recorded.id}`, { status: 200 });
  const found = (changes as { id: string; edge: string }[]).map(({ id, edge }) => `${id} ${edge}`).toSorted();
  const expected = landed.map(({ id }) => `${id} exact`).toSorted();
  expectThat(show(found) === show(expected), `the deploy to have brought ${show(expected)}, got ${show(found)}`);
  await stage.say(cast.onCall.name, `the deploy brought ${found.length} changes of three loops out`);
  return { id: recorded.id, at: recorded.at };
}
