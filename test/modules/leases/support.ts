import type { Caller, TestOrg, TestServer } from '../../support/server.ts';

export const REPO = 'acme/shop';

/** Somebody with a loop in `REPO` and a run of it. */
export interface Runner {
  readonly caller: Caller & { readonly memberId: string };
  readonly loopId: string;
  readonly runId: string;
  acquire(body: Record<string, unknown>, headers?: Record<string, string>): ReturnType<Caller['post']>;
  admit(body: Record<string, unknown>, headers?: Record<string, string>): ReturnType<Caller['post']>;
}

let loops = 0;

export async function newRunner(
  org: TestOrg,
  options: { teams?: string[]; loop?: Record<string, unknown> } = {},
): Promise<Runner> {
  const caller = await org.member(options.teams === undefined ? {} : { teams: options.teams });
  const { body: loop } = await caller.post('/loops', { name: `loop-${(loops += 1)}`, repo: REPO, ...options.loop });
  const { body: run } = await caller.post(`/loops/${loop.id}/runs`, {});
  return runnerOf(caller, loop.id, run.id);
}

function runnerOf(caller: Caller & { readonly memberId: string }, loopId: string, runId: string): Runner {
  return {
    caller,
    loopId,
    runId,
    acquire: (body, headers) => caller.post('/leases', { repo: REPO, runId, ...body }, headers),
    admit: (body, headers) => caller.post('/admissions', { repo: REPO, runId, action: 'path.edit', ...body }, headers),
  };
}

/** So many more runs of its loop, without asking for each. */
export async function moreRuns(server: Pick<TestServer, 'sql'>, of: Runner, count: number): Promise<Runner[]> {
  const rows = await server.sql<{ id: string }>(
    `INSERT INTO run SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid()))).*
      FROM run r CROSS JOIN generate_series(1, $2) WHERE r.id = $1 RETURNING id`,
    [of.runId, count],
  );
  return rows.map(({ id }) => runnerOf(of.caller, of.loopId, id));
}

/** The same run, at another server. */
export const through = (server: TestServer, { caller, loopId, runId }: Runner): Runner =>
  runnerOf({ ...caller, ...server.caller(caller.secret), memberId: caller.memberId }, loopId, runId);

/** A lease as an answer names it. */
export interface Told {
  readonly id: string;
  readonly fence: number;
}

export const give = ({ caller }: Runner, { id, fence }: Told) => caller.post(`/leases/${id}/release`, { fence });

export const finish = ({ caller, runId }: Runner) =>
  caller.post(`/runs/${runId}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });

/** Ended behind everybody's back, as by a server that died right after its commit: nobody is woken for it. */
export const endedUnseen = (server: Pick<TestServer, 'sql'>, { id }: Pick<Told, 'id'>) =>
  server.sql(
    `WITH unindexed AS (DELETE FROM lease_key WHERE lease_id = $1)
    UPDATE lease SET ended_at = clock_timestamp(), end_reason = 'released' WHERE id = $1`,
    [id],
  );

/** As if so much time had passed since it expired: the clock that decides is the database's. */
export const expiredFor = (server: Pick<TestServer, 'sql'>, leaseId: string, seconds: number) =>
  server.sql('UPDATE lease SET expires_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1', [
    leaseId,
    seconds,
  ]);
