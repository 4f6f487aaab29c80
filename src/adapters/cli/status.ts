import { isRepoName } from '../../platform/repo-name.ts';
import { Api, Refusal } from './api.ts';
import { CLIENT_HELP, CLIENT_OPTIONS, type Command, textOf } from './command.ts';
import { connectionOf } from './connection.ts';
import { UsageError } from './failure.ts';
import { repoOfCheckout } from './repo-name.ts';
import {
  approvalShape,
  haltShape,
  type Lease,
  leaseShape,
  loopShape,
  memberShape,
  type Run,
  repoShape,
  runShape,
  teamShape,
  ticketShape,
} from './shapes.ts';
import { type Names, renderStatus, type Status } from './status-view.ts';
import { json } from './text.ts';

const help = `signalbox status [--repo owner/name]

Who holds what in a repo, now: its live runs and their leases, those first that need somebody's attention; who waits for
a lease, in order; the halts that may stand over it; and how many approvals wait for a person. Without --repo, the repo is the one that the remote
"origin" of the checkout here names.

  --repo owner/name  another repo
${CLIENT_HELP}

With --json: {repo, runs, leases, tickets, halts, approvals}, each a list of what the API answers; approvals is null when the
key may not list them.
`;

export const status: Command = {
  summary: 'who holds what in this repo, now',
  help,
  options: { ...CLIENT_OPTIONS, repo: { type: 'string' } },
  async run({ values, words }, { env, directory, screen, print }) {
    if (words.length > 0) throw new UsageError('status takes no arguments; name another repo with --repo');
    const given = textOf(values, 'repo');
    if (given !== undefined && !isRepoName(given)) throw new UsageError('--repo: expected owner/name');
    const repo = given ?? (await repoOfCheckout(directory));
    const api = new Api(connectionOf(values, env));
    const found = await gather(api, repo);
    if (values['json'] === true) {
      print(`${json(found)}\n`);
      return;
    }
    const names = await namesFor(api, found);
    print(renderStatus(found, names, { now: api.now(), screen }));
  },
};

/**
 * Leases before runs: a lease whose run is in no list of live runs has then ended meanwhile, with it. The answers are no
 * snapshot; each is as of its own moment.
 */
async function gather(api: Api, repo: string): Promise<Status> {
  const leases = await api.list('/leases', leaseShape, { repo });
  const [here, known, halts, tickets, approvals] = await Promise.all([
    liveRuns(api, { repo }),
    api.list('/repos', repoShape, { name: repo }),
    api.list('/halts', haltShape),
    api.list('/lease-tickets', ticketShape, { repo }),
    unlessForbidden(api.list('/approvals', approvalShape, { repo, status: 'pending' })),
  ]);
  const repoId = known.find(({ name }) => name === repo)?.id ?? null;
  const runs = [...here, ...(await runsFromElsewhere(api, here, leases))];
  // A halt over a team or a loop is kept: whose loops run here another moment, nobody knows. Only other repos' are left out.
  const near = halts.filter(({ scope }) => scope.kind !== 'repo' || scope.id === repoId);
  return { repo, runs, leases, tickets, halts: near, approvals };
}

async function liveRuns(api: Api, query: { repo?: string }): Promise<Run[]> {
  const [running, stalled] = await Promise.all([
    api.list('/runs', runShape, { ...query, status: 'running' }),
    api.list('/runs', runShape, { ...query, status: 'stalled' }),
  ]);
  // One that stalls between the two answers is in both.
  return [...new Map([...running, ...stalled].map((run) => [run.id, run])).values()];
}

/** Runs of loops that are registered for another repo, and hold leases in this one. */
async function runsFromElsewhere(api: Api, here: readonly Run[], leases: readonly Lease[]): Promise<Run[]> {
  const missing = new Set(leases.map(({ runId }) => runId));
  for (const { id } of here) missing.delete(id);
  return missing.size === 0 ? [] : (await liveRuns(api, {})).filter(({ id }) => missing.has(id));
}

/** Names that no lease tells: of loops that run without one and of who owns them, and of what a halt is over. */
async function namesFor(api: Api, { repo, runs, leases, halts }: Status): Promise<Names> {
  const isUnnamed =
    !runs.every((run) => holderOf(leases, run) !== null) || halts.some(({ scope }) => scope.kind === 'loop');
  const [loops, members, teams] = await Promise.all([
    isUnnamed ? api.list('/loops', loopShape, { repo }) : [],
    isUnnamed ? unlessForbidden(api.list('/members', memberShape)) : [],
    halts.some(({ scope }) => scope.kind === 'team') ? unlessForbidden(api.list('/teams', teamShape)) : [],
  ]);
  return {
    loops: new Map(loops.map((loop) => [loop.id, loop])),
    others: new Map([...(members ?? []), ...(teams ?? [])].map(({ id, name }) => [id, name])),
  };
}

function holderOf(leases: readonly Lease[], run: Run): Lease['holder'] | null {
  return leases.find(({ runId }) => runId === run.id)?.holder ?? null;
}

/** Null where the key's role may not ask: the rest of the answer is still worth having. */
async function unlessForbidden<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Refusal && error.status === 403) return null;
    throw error;
  }
}
