import { createHash } from 'node:crypto';
import { newId } from '../../src/platform/ids.ts';
import type { Caller, Reply, TestOrg, TestServer } from '../support/server.ts';

/** What a request can name: ids, and the names that stand for objects in paths, queries and bodies. */
export interface Names {
  readonly org: string;
  readonly team: string;
  readonly member: string;
  readonly apiKey: string;
  readonly loop: string;
  readonly run: string;
  readonly lease: string;
  readonly ticket: string;
  readonly repo: string;
  readonly approval: string;
  readonly halt: string;
  readonly change: string;
  readonly deploy: string;
  readonly incident: string;
  /** A trace's id and, as a service, whose it is. */
  readonly trace: string;
  readonly service: string;
  readonly session: string;
  readonly teamName: string;
  readonly repoName: string;
  readonly loopName: string;
  readonly policyName: string;
  readonly path: string;
  readonly commit: string;
}

export interface World {
  readonly org: TestOrg;
  /** A member who owns the loop and its run. */
  readonly owner: Caller & { readonly memberId: string };
  readonly names: Names;
}

function done(reply: Reply): Reply['body'] {
  if (reply.status >= 300) throw new Error(`${reply.status}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}

/** An org with one of everything; every text in it holds `mark`. */
export async function populate(server: TestServer, mark: string): Promise<World> {
  const { org, owner, names } = await staff(server, mark);
  const { admin } = org;
  const repo = names.repoName;
  const loop = done(await owner.post('/loops', { name: names.loopName, repo, team: names.teamName }));
  const run = done(await owner.post(`/loops/${loop.id}/runs`, { branch: `${mark}-branch`, sessionId: names.session }));
  const beat = { epoch: run.epoch, iteration: 1, checkpoint: { note: mark } };
  done(await owner.post(`/runs/${run.id}/heartbeat`, beat));
  const wish = { repo, runId: run.id, paths: [names.path], purpose: `${mark} purpose` };
  const { lease } = done(await owner.post('/leases', wish));
  const waiting = done(await owner.post('/loops', { name: `${mark}-waiting`, repo }));
  const waitingRun = done(await owner.post(`/loops/${waiting.id}/runs`, {}));
  const { ticket } = done(await owner.post('/leases', { ...wish, runId: waitingRun.id, waitSeconds: 0.01 }));
  const landed = { repo, runId: run.id, commit: names.commit, intent: `${mark} intent` };
  const files = [{ path: names.path, beforeBlob: null, afterBlob: names.commit }];
  const leases = [{ id: lease.id, fence: lease.fence }];
  const change = done(await owner.post('/changes', { ...landed, files, leases }));
  const rule = { id: 'ask', effect: 'require_approval', actions: ['deploy'], reason: `${mark} reason` };
  const policy = { defaults: { deploy: 'allow' }, rules: [{ ...rule, approvers: { team: names.teamName } }] };
  done(await admin.put(`/policies/${names.policyName}/draft`, policy));
  done(await admin.post(`/policies/${names.policyName}/publish`));
  const subject = { repo, service: names.service, environment: 'production' };
  const { approvalId } = done(await owner.post('/decisions', { action: 'deploy', subject }));
  const out = { repo, service: names.service, environment: 'production', commit: names.commit };
  const deploy = done(await admin.post('/deploys', out));
  const evidence = { traceIds: [names.trace], paths: [names.path] };
  const trouble = { title: `${mark} trouble`, service: names.service, startedAt: new Date().toISOString(), evidence };
  const incident = done(await admin.post('/incidents', trouble));
  done(await owner.post('//v1/traces', spanOf({ ...names, loop: loop.id, run: run.id })));
  const halted = done(await owner.post('/loops', { name: `${mark}-halted`, repo }));
  const scope = { kind: 'loop', id: halted.id };
  const halt = done(await admin.post('/halts', { scope, reason: `${mark} halt` }));
  const ids = {
    loop: loop.id,
    run: run.id,
    lease: lease.id,
    ticket: ticket.id,
    repo: loop.repoId,
    approval: approvalId,
    halt: halt.id,
    change: change.id,
    deploy: deploy.id,
    incident: incident.id,
  };
  return { org, owner, names: { ...names, ...ids } };
}

/** An ExportTraceServiceRequest with one span that says it is of the loop, run and session named. */
export function spanOf({ trace, service, loop, run, session }: Names): unknown {
  const attribute = ([key, stringValue]: [string, string]) => ({ key, value: { stringValue } });
  const named = { 'service.name': service, 'loop.id': loop, 'run.id': run, 'session.id': session };
  const nanos = `${BigInt(Date.now()) * 1_000_000n}`;
  const span = {
    traceId: trace,
    spanId: '1'.repeat(16),
    name: service,
    startTimeUnixNano: nanos,
    endTimeUnixNano: nanos,
  };
  const resource = { attributes: Object.entries(named).map(attribute) };
  return { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] };
}

async function staff(server: TestServer, mark: string): Promise<World> {
  const org = await server.newOrg(mark);
  const names = { ...nothing(mark), org: org.id };
  const team = await org.team(names.teamName);
  const person = { name: `${mark} member`, email: `${mark}@example.com`, teams: [team] };
  const memberId = done(await org.admin.post('/members', person)).id as string;
  const key = done(await org.admin.post('/api-keys', { name: `${mark} key`, role: 'member', memberId }));
  const owner = { ...server.caller(key.secret), keyId: key.id as string, memberId };
  return { org, owner, names: { ...names, team, member: memberId, apiKey: key.id } };
}

/** Names of the same form that stand for nothing anywhere. The ids are of this moment: they sort where rows made now do. */
export function nothing(mark: string): Names {
  return {
    org: newId(),
    team: newId(),
    member: newId(),
    apiKey: newId(),
    loop: newId(),
    run: newId(),
    lease: newId(),
    ticket: newId(),
    repo: newId(),
    approval: newId(),
    halt: newId(),
    change: newId(),
    deploy: newId(),
    incident: newId(),
    trace: createHash('md5').update(mark).digest('hex'),
    service: `${mark}-service`,
    session: `${mark}-session`,
    teamName: `${mark}-team`,
    repoName: `${mark}/repo`,
    loopName: `${mark}-loop`,
    policyName: `${mark}-policy`,
    path: `${mark}/file.ts`,
    commit: createHash('sha1').update(mark).digest('hex'),
  };
}

/** Everything that is stored of an org, in every table that has orgs; but for when a key was used, which is told late. */
export async function stored(server: TestServer, orgId: string): Promise<Record<string, string[]>> {
  const tables = await server.sql<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'org_id'
     ORDER BY table_name`,
  );
  const rows = await Promise.all(
    tables.map(({ name }) =>
      server.sql<{ row: string }>(
        `SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM ${name} t WHERE org_id = $1 ORDER BY 1`,
        [orgId],
      ),
    ),
  );
  return Object.fromEntries(tables.map(({ name }, i) => [name, rows[i]!.map(({ row }) => row)]));
}
