import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { file, newCommit, report } from '../changes/support.ts';
import { newRunner, REPO, type Runner } from '../leases/support.ts';
import { deploy, hoursAgo, land, open } from './support.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ start: false });
});
afterAll(() => server?.close());

interface Link {
  readonly kind: string;
  readonly id: string;
  readonly edge: string;
  readonly from: { readonly kind: string; readonly id: string } | null;
  readonly [fact: string]: unknown;
}

interface Found {
  // oxlint-disable-next-line typescript/no-explicit-any -- an answer is for the test to look into
  readonly items: readonly any[];
  readonly noneOfThese: number;
  readonly omitted: { readonly count: number; readonly probability: number };
  readonly window: { readonly candidates: number };
  readonly evidence: { readonly paths: number; readonly tracesFound: string[]; readonly tracesMissing: string[] };
}

async function suspectsOf(org: TestOrg, body: Record<string, unknown>, query = ''): Promise<Found> {
  const incident = await open(org.admin, body);
  expect(incident.status).toBe(201);
  const { status, body: found } = await org.admin.get(`/incidents/${incident.body.id}/suspects${query}`);
  expect([status, found.code]).toEqual([200, undefined]);
  const told = [...found.items.map((one: { probability: number }) => one.probability), found.omitted.probability];
  expect(told.reduce((sum, one) => sum + one, found.noneOfThese)).toBeCloseTo(1, 9);
  for (const { score, terms } of found.items) {
    const sum = Object.values<{ logOdds: number }>(terms).reduce((total, { logOdds }) => total + logOdds, 0);
    expect(sum).toBeCloseTo(score, 9);
  }
  return found;
}

const idsOf = ({ items }: Found) => items.map(({ change }) => change.id as string);
const linkOf = (chain: readonly Link[], kind: string) => chain.find((link) => link.kind === kind)!;

async function publish(org: TestOrg, rule: Record<string, unknown>) {
  const document = { defaults: { 'path.edit': 'allow' }, rules: [{ actions: ['path.edit'], reason: 'x', ...rule }] };
  await org.admin.put('/policies/house/draft', document);
  expect((await org.admin.post('/policies/house/publish', {})).status).toBe(200);
}

describe('who may have done it', () => {
  it('is, of what went out, first the change to the file in the stack', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const cart = await land(bob, ['src/cart.ts']);
    const pay = await land(ann, ['services/pay/charge.ts', 'services/pay/README.md'], { intent: 'Round half to even' });
    const docs = await land(bob, ['docs/a.md']);
    const never = await land(ann, ['services/pay/charge.ts']);
    await deploy(org.admin, { commit: docs.commit, commits: [cart.commit, pay.commit, docs.commit], at: hoursAgo(5) });
    const found = await suspectsOf(org, {
      evidence: { frames: [{ path: '/app/services/pay/charge.ts', line: 3 }, { path: 'node_modules/pg/index.js' }] },
    });
    expect(idsOf(found)).toHaveLength(3);
    expect(idsOf(found)).not.toContain(never.id);
    const [first] = found.items;
    expect(first).toMatchObject({
      change: { id: pay.id, commit: pay.commit, repo: REPO, intent: 'Round half to even', fileCount: 2 },
      loop: { id: ann.loopId, owner: { kind: 'member', id: ann.caller.memberId } },
      run: { id: ann.runId, status: 'running', outcome: null },
      terms: {
        path: {
          matches: [
            { evidence: '/app/services/pay/charge.ts', file: 'services/pay/charge.ts', relation: 'ends_alike' },
          ],
        },
        line: { value: null, logOdds: 0, note: expect.stringContaining('blobs, not lines') },
        time: { hoursSinceDeploy: expect.closeTo(5, 1) },
        churn: { files: 2 },
        anomalies: { found: [{ kind: 'unleased_edit' }] },
        trace: { value: null },
        service: { value: 1 },
        live: { value: 1 },
      },
    });
    expect(first.probability).toBeGreaterThan(0.5);
    expect(found.items[1].probability).toBeLessThan(found.noneOfThese);
  });

  it('is told by a line that its commit wrote', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const [one, two] = [await land(ann, ['src/pay.ts']), await land(ann, ['src/pay.ts'])];
    await deploy(org.admin, { commit: two.commit });
    const frames = [{ path: 'src/pay.ts', line: 4, commit: one.commit }];
    const found = await suspectsOf(org, { evidence: { frames } });
    expect(idsOf(found)).toEqual([one.id, two.id]);
    expect(found.items[0].terms.line).toMatchObject({ value: 0.5 });
    expect(found.items[1].terms.line).toEqual({ value: 0, logOdds: 0 });
  });

  it('is nobody when nothing was deployed', async () => {
    const org = await server.newOrg();
    await land(await newRunner(org), ['src/pay.ts']);
    expect(await suspectsOf(org, {})).toMatchObject({ items: [], noneOfThese: 1, window: { candidates: 0 } });
  });

  it('is rather none of these when no file of them is in the evidence', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { commit } = await land(ann, ['src/pay.ts']);
    await deploy(org.admin, { commit, at: hoursAgo(4) });
    const hit = await suspectsOf(org, { evidence: { paths: ['src/pay.ts'] } });
    const missed = await suspectsOf(org, { evidence: { paths: ['other/cart.ts'] } });
    expect(hit.noneOfThese).toBeLessThan(0.5);
    expect(missed.noneOfThese).toBeGreaterThan(0.8);
  });

  it('is looked for from the window’s beginning to the very start of the incident, both included', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const startedAt = new Date(Date.now() - 3_600_000);
    const at = (ms: number) => new Date(startedAt.getTime() + ms).toISOString();
    const day = 24 * 3_600_000;
    const ids: string[] = [];
    for (const offset of [-day - 1, -day, 0, 1]) {
      const { id, commit } = await land(ann, ['src/pay.ts']);
      await deploy(org.admin, { commit, commits: [commit], at: at(offset) });
      ids.push(id);
    }
    const found = await suspectsOf(org, { startedAt: at(0) }, '?windowHours=24');
    expect(idsOf(found)).toEqual([ids[2], ids[1]]);
    expect(found.items[0].terms.time).toMatchObject({ value: 1, logOdds: expect.closeTo(0), hoursSinceDeploy: 0 });
    expect((await org.admin.get(`/incidents/${ids[0]}/suspects?windowHours=0`)).status).toBe(422);
  });

  it('breaks ties by the later deploy, then the same way every time; what the limit cuts off is summed up', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const landed = [];
    for (let i = 0; i < 4; i += 1) landed.push(await land(ann, [`src/${i}.ts`]));
    await deploy(org.admin, { commit: landed[3]!.commit, at: hoursAgo(3) });
    const evidence = { paths: ['elsewhere/x.ts'] };
    const found = await suspectsOf(org, { evidence });
    expect(new Set(found.items.map(({ score }) => score)).size).toBe(1);
    expect(idsOf(found)).toEqual(landed.map(({ id }) => id).toSorted());
    const cut = await suspectsOf(org, { evidence }, '?limit=1');
    expect(cut).toMatchObject({ items: [{}], omitted: { count: 3 }, window: { candidates: 4 } });
  });

  it('stays in the incident’s environment, and asks the incident’s service first', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const [one, two, three] = [
      await land(ann, ['src/pay.ts']),
      await land(ann, ['src/pay.ts']),
      await land(ann, ['src/pay.ts']),
    ];
    await deploy(org.admin, { commit: one.commit, commits: [one.commit], at: hoursAgo(2) });
    await deploy(org.admin, { commit: two.commit, commits: [two.commit], at: hoursAgo(1), service: 'search' });
    await deploy(org.admin, { commit: three.commit, commits: [three.commit], at: hoursAgo(1), environment: 'staging' });
    const found = await suspectsOf(org, {});
    expect(idsOf(found)).toEqual([one.id, two.id]);
    expect(found.items.map(({ terms }) => terms.service.value)).toEqual([1, 0]);
    expect(found.items.map(({ chain }) => linkOf(chain, 'deploy').edge)).toEqual(['exact', 'inferred']);
    const anywhere = await suspectsOf(org, { service: null, environment: null });
    expect(idsOf(anywhere)).toHaveLength(3);
    expect(anywhere.items[0].terms.service.value).toBeNull();
  });

  it('is less likely what a rollback had taken out before', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const [one, two] = [await land(ann, ['src/pay.ts']), await land(ann, ['src/pay.ts'])];
    await deploy(org.admin, { commit: one.commit, at: hoursAgo(9) });
    await deploy(org.admin, { commit: two.commit, at: hoursAgo(8) });
    const back = hoursAgo(7);
    await deploy(org.admin, { commit: one.commit, at: back });
    const after = await suspectsOf(org, { startedAt: hoursAgo(6) });
    expect(idsOf(after)).toEqual([one.id, two.id]);
    expect(after.items.map(({ terms }) => terms.live.value)).toEqual([1, 0]);
    const before = await suspectsOf(org, { startedAt: hoursAgo(7.5) });
    expect(before.items.map(({ terms }) => terms.live.value)).toEqual([1, 1]);
    expect(idsOf(before)).toEqual([two.id, one.id]);
  });

  it('finds the file in a change of thousands, behind a prefix, too', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const many = Array.from({ length: 3000 }, (_, i) => `vendor/${i}.js`);
    const { commit } = await land(ann, [...many, 'zz/pay.ts']);
    await deploy(org.admin, { commit });
    const found = await suspectsOf(org, { evidence: { frames: [{ path: '/usr/src/app/zz/pay.ts' }] } });
    expect(found.items[0].terms.path.matches).toMatchObject([{ file: 'zz/pay.ts', relation: 'ends_alike' }]);
    expect(found.items[0].terms.churn.files).toBe(3001);
  });

  it('compares paths as the repo does', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { id, commit } = await land(ann, ['Src/Pay.ts']);
    await deploy(org.admin, { commit });
    const evidence = { paths: ['src/pay.ts'] };
    expect((await suspectsOf(org, { evidence })).items[0].terms.path.value).toBe(0);
    const [repo] = (await org.admin.get('/repos')).body.items;
    await org.admin.patch(`/repos/${repo.id}`, { caseSensitive: false });
    const found = await suspectsOf(org, { evidence });
    expect(found.items[0]).toMatchObject({ change: { id }, terms: { path: { value: 0.5 } } });
  });

  it('sees only its own org', async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const [ann, eve] = [await newRunner(org), await newRunner(other)];
    const [ours, theirs] = [await land(ann, ['src/pay.ts']), await land(eve, ['src/pay.ts'])];
    await deploy(org.admin, { commit: ours.commit });
    await deploy(other.admin, { commit: theirs.commit });
    const found = await suspectsOf(org, {});
    expect(idsOf(found)).toEqual([ours.id]);
    expect(JSON.stringify(found)).not.toContain(theirs.id);
  });
});

describe('the chain', () => {
  async function incidentBehind(org: TestOrg, commit: string): Promise<Link[]> {
    await deploy(org.admin, { commit, commits: [commit] });
    const found = await suspectsOf(org, { evidence: { paths: ['pay/a.ts'] } });
    const { chain } = found.items[0] as { chain: Link[] };
    // Each link but the first hangs on one before it.
    for (const [index, { from }] of chain.entries()) {
      const before = chain.slice(0, index).map(({ kind, id }) => `${kind} ${id}`);
      expect(index === 0 ? from === null : before.includes(`${from!.kind} ${from!.id}`)).toBe(true);
    }
    return chain;
  }

  async function landUnder(runner: Runner, lease: { id: string; fence: number }) {
    const { commit } = await land(runner, ['pay/a.ts'], { leases: [{ id: lease.id, fence: lease.fence }] });
    return commit;
  }

  it('goes back to the people who approved, every edge exact', async () => {
    const org = await server.newOrg();
    await publish(org, { id: 'ask', effect: 'require_approval', where: { path: { $glob: 'pay/**' } } });
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const held = (await ann.admit({ paths: ['pay/a.ts'] })).body.decision;
    expect(held.outcome).toBe('require_approval');
    const vote = { verdict: 'approve', comment: 'Looks right' };
    expect((await bob.caller.post(`/approvals/${held.approvalId}/votes`, vote)).body.status).toBe('approved');
    const { decision, lease } = (await ann.admit({ paths: ['pay/a.ts'] })).body;
    const chain = await incidentBehind(org, await landUnder(ann, lease));
    expect(chain.map(({ kind, edge }) => `${kind} ${edge}`)).toEqual([
      'incident exact',
      'deploy exact',
      'change exact',
      'run exact',
      'loop exact',
      'lease exact',
      'decision exact',
      'approval exact',
      'trace exact',
    ]);
    expect(linkOf(chain, 'run').id).toBe(ann.runId);
    expect(linkOf(chain, 'lease')).toMatchObject({ id: lease.id, fence: lease.fence, inForce: true });
    expect(linkOf(chain, 'decision')).toMatchObject({ id: decision.id, outcome: 'allow' });
    const member = (await org.admin.get('/members?limit=500')).body.items.find(
      (one: { id: string }) => one.id === bob.caller.memberId,
    );
    expect(linkOf(chain, 'approval')).toMatchObject({
      id: held.approvalId,
      status: 'spent',
      approvers: [{ id: member.id, name: member.name, verdict: 'approve', comment: 'Looks right' }],
    });
    const { traceparent } = (await ann.caller.get(`/runs/${ann.runId}`)).body;
    expect(linkOf(chain, 'trace')).toMatchObject({ id: traceparent.split('-')[1], stored: false });
  });

  it('names the decision that a lease came with, among others at the same moment', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    await Promise.all(['x', 'y', 'z'].map((path) => ann.admit({ paths: [path] })));
    const { decision, lease } = (await ann.admit({ paths: ['pay/a.ts'] })).body;
    const chain = await incidentBehind(org, await landUnder(ann, lease));
    expect(linkOf(chain, 'decision')).toMatchObject({ id: decision.id, edge: 'exact', outcome: 'allow' });
  });

  it('has no decision for a lease that was taken without one', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    await ann.caller.post('/decisions', {
      action: 'path.edit',
      subject: { repo: REPO, path: 'pay/a.ts' },
      runId: ann.runId,
    });
    const { lease } = (await ann.acquire({ paths: ['pay/a.ts'] })).body;
    const chain = await incidentBehind(org, await landUnder(ann, lease));
    expect(chain.map(({ kind }) => kind)).toEqual(['incident', 'deploy', 'change', 'run', 'loop', 'lease', 'trace']);
  });

  it('infers the run from the lease, and the lease from the run, where the report left one out', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['pay/a.ts'] })).body;
    const leases = [{ id: lease.id, fence: lease.fence }];
    const noRun = await land(ann, ['pay/a.ts'], { runId: null, leases });
    const viaLease = await incidentBehind(org, noRun.commit);
    expect(linkOf(viaLease, 'run')).toMatchObject({ id: ann.runId, edge: 'inferred' });
    expect(linkOf(viaLease, 'lease')).toMatchObject({ id: lease.id, edge: 'exact' });
    const other = await server.newOrg();
    const eve = await newRunner(other);
    const own = (await eve.acquire({ paths: ['pay/a.ts'] })).body.lease;
    await eve.acquire({ paths: ['unrelated.ts'] });
    const noLease = await incidentBehind(other, (await land(eve, ['pay/a.ts'])).commit);
    expect(noLease.filter(({ kind }) => kind === 'lease')).toMatchObject([{ id: own.id, edge: 'inferred' }]);
  });

  it('shows a lease that was not in force as what it was', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['pay/a.ts'] })).body;
    const chain = await incidentBehind(org, await landUnder(ann, { id: lease.id, fence: lease.fence + 1 }));
    expect(linkOf(chain, 'lease')).toMatchObject({ id: lease.id, inForce: false, stale: 'fence' });
  });
});

describe('what is unusual', () => {
  const found = async (org: TestOrg, commit: string) => {
    await deploy(org.admin, { commit, commits: [commit] });
    const { items } = await suspectsOf(org, {});
    return items[0].terms.anomalies.found.map(({ kind }: { kind: string }) => kind);
  };

  it('is nothing about a change under its lease', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['a'] })).body;
    const { commit } = await land(ann, ['a'], { leases: [{ id: lease.id, fence: lease.fence }] });
    expect(await found(org, commit)).toEqual([]);
  });

  it('is an edit without a lease, with a stale one, after a no, in a run that failed', async () => {
    const org = await server.newOrg();
    await publish(org, { id: 'no', effect: 'deny', where: { path: 'a' } });
    const ann = await newRunner(org);
    const { lease } = (await ann.acquire({ paths: ['b'] })).body;
    expect((await ann.admit({ paths: ['a'] })).body.outcome).toBe('deny');
    const { commit } = await land(ann, ['a', 'b'], { leases: [{ id: lease.id, fence: lease.fence + 1 }] });
    await ann.caller.post(`/runs/${ann.runId}/finish`, { epoch: 1, outcome: { status: 'failed' } });
    expect(await found(org, commit)).toEqual(['unleased_edit', 'stale_lease', 'denied_edit', 'failed_run']);
  });

  it('is not a no that became a yes before the change', async () => {
    const org = await server.newOrg();
    await publish(org, { id: 'ask', effect: 'require_approval', where: { path: 'a' } });
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const { approvalId } = (await ann.admit({ paths: ['a'] })).body.decision;
    await bob.caller.post(`/approvals/${approvalId}/votes`, { verdict: 'approve' });
    const { lease } = (await ann.admit({ paths: ['a'] })).body;
    const { commit } = await land(ann, ['a'], { leases: [{ id: lease.id, fence: lease.fence }] });
    expect(await found(org, commit)).toEqual(['approved_exception']);
  });

  it('is a revert that nobody declared', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    await report(ann, { files: [file('a', 'A', 'B')] });
    const commit = newCommit();
    await report(bob, { commit, files: [file('a', 'B', 'A')] });
    expect(await found(org, commit)).toContain('undeclared_revert');
  });
});

describe('traces in the evidence', () => {
  const hex = (bytes: number) => randomBytes(bytes).toString('hex');
  const nanos = () => `${BigInt(Date.now()) * 1_000_000n}`;

  async function send(
    secret: string,
    traceId: string,
    resource: Record<string, string>,
    attributes: Record<string, string>,
  ) {
    const list = (fields: Record<string, string>) =>
      Object.entries(fields).map(([key, stringValue]) => ({ key, value: { stringValue } }));
    const span = {
      traceId,
      spanId: hex(8),
      name: 'charge',
      kind: 2,
      startTimeUnixNano: nanos(),
      endTimeUnixNano: nanos(),
    };
    const body = {
      resourceSpans: [
        {
          resource: { attributes: list(resource) },
          scopeSpans: [{ spans: [{ ...span, attributes: list(attributes) }] }],
        },
      ],
    };
    const response = await fetch(`${server.url}/v1/traces`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
  }

  it('name the file, and the run by a key that may or by its own word', async () => {
    const org = await server.newOrg();
    const [ann, bob] = [await newRunner(org), await newRunner(org)];
    const [one, two] = [await land(ann, ['x/one.ts']), await land(bob, ['y/two.ts'])];
    await deploy(org.admin, { commit: two.commit, commits: [one.commit, two.commit] });
    const [exact, inferred, missing] = [hex(16), hex(16), hex(16)];
    await send(ann.caller.secret, exact, { 'run.id': ann.runId }, { 'code.file.path': '/srv/x/one.ts' });
    await send(ann.caller.secret, inferred, { 'run.id': bob.runId }, {});
    const found = await suspectsOf(org, { evidence: { traceIds: [exact, inferred, missing] } });
    expect(found.evidence).toEqual({
      paths: 1,
      tracesFound: expect.arrayContaining([exact, inferred]),
      tracesMissing: [missing],
    });
    expect(idsOf(found)).toEqual([one.id, two.id]);
    expect(found.items.map(({ terms }) => terms.trace.value)).toEqual([1, 0.5]);
    expect(found.items[0].terms.path.matches).toMatchObject([{ evidence: '/srv/x/one.ts', file: 'x/one.ts' }]);
    expect(linkOf(found.items[0].chain, 'trace')).toMatchObject({ id: exact, edge: 'exact', stored: true });
    expect(linkOf(found.items[1].chain, 'trace')).toMatchObject({ id: inferred, edge: 'inferred', stored: true });
  });

  it("of another org are not there, and neither is that org's run", async () => {
    const [org, other] = [await server.newOrg(), await server.newOrg()];
    const [ann, eve] = [await newRunner(org), await newRunner(other)];
    const { commit } = await land(ann, ['x/one.ts']);
    await deploy(org.admin, { commit });
    const theirs = hex(16);
    await send(eve.caller.secret, theirs, { 'run.id': ann.runId }, { 'code.file.path': 'x/one.ts' });
    const found = await suspectsOf(org, { evidence: { traceIds: [theirs] } });
    expect(found.evidence).toEqual({ paths: 0, tracesFound: [], tracesMissing: [theirs] });
    expect(found.items[0].terms).toMatchObject({ trace: { value: null }, path: { value: 0 } });
  });
});

describe('the report', () => {
  it('tells the timeline and the chain in Markdown, and shows what people wrote as text', async () => {
    const org = await server.newOrg();
    const ann = await newRunner(org);
    const { commit } = await land(ann, ['src/pay.ts'], { intent: '<img src=x onerror=alert(1)> [x](http://evil) | y' });
    await deploy(org.admin, { commit, service: 'a|b' });
    const { body } = await open(org.admin, { title: '# <b>Down</b>\n\n- x', service: 'a|b' });
    const { status, body: text, headers } = await org.admin.get(`/incidents/${body.id}/report`);
    expect([status, headers.get('content-type')]).toEqual([200, 'text/markdown; charset=utf-8']);
    expect(text).toContain('# Incident: \\# &lt;b&gt;Down&lt;/b&gt; \\- x\n');
    expect(text).toContain('&lt;img src=x onerror=alert\\(1\\)&gt; \\[x\\]\\(http:&#47;&#47;evil\\) \\| y');
    expect(text).not.toMatch(/<(?!\/?$)[a-z]/i);
    expect(text).toContain('## Timeline');
    expect(text).toMatch(/1\. incident `[^`]+`.*\n2\. deploy `[^`]+` of a\\\|b to production \(\*\*exact\*\*/);
    expect(text).toContain('| line | not known | +0.00 |');
    expect(text).toContain('| none of these |');
    const viewer = await org.key('viewer');
    expect((await viewer.get(`/incidents/${body.id}/report`)).body).toBe(text);
  });
});
