import type { Caller, TestOrg, TestServer } from '../../support/server.ts';

/** A loop of the caller's and a run of it. */
export async function startRun(
  caller: Caller,
  definition: Record<string, unknown> = {},
  run: Record<string, unknown> = {},
): Promise<{ id: string; loopId: string; repoId: string }> {
  const loop = await caller.post('/loops', { name: 'x', repo: 'acme/shop', ...definition });
  const started = await caller.post(`/loops/${loop.body.id}/runs`, run);
  if (started.status !== 201) throw new Error(JSON.stringify(started.body));
  return { id: started.body.id, loopId: loop.body.id, repoId: loop.body.repoId };
}

/** Everything stored about an org's runs, and its head: to hold one moment against another. */
export async function stored(server: TestServer, org: TestOrg): Promise<unknown> {
  const tables = ['run', 'iteration', 'lease', 'event', 'org_head'];
  const rows = await Promise.all(
    tables.map((table) =>
      server.sql(`SELECT to_jsonb(t) AS row FROM ${table} t WHERE org_id = $1 ORDER BY to_jsonb(t)::text`, [org.id]),
    ),
  );
  return Object.fromEntries(tables.map((table, i) => [table, rows[i]!.map(({ row }) => row as unknown)]));
}

/** As if the run had last been heard of so long ago. */
export async function silence(server: TestServer, runId: string, seconds: number): Promise<void> {
  await server.sql(`UPDATE run SET last_beat_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1`, [
    runId,
    seconds,
  ]);
}
