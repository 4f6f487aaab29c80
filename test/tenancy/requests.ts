import { type Names, spanOf } from './world.ts';

/** One way to call an operation. */
export interface Ask {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const one = (id: string, body?: unknown): Ask => ({ params: { id }, ...(body === undefined ? {} : { body }) });
const cursor = (...key: (string | number)[]) => ({
  query: { cursor: Buffer.from(JSON.stringify(key)).toString('base64url') },
});
const OUTCOME = { epoch: 1, outcome: { status: 'succeeded' } };
const POLICY = { defaults: { push: 'allow' }, rules: [] };

/**
 * For every operation, every way to name something of `other` in it: in its path, its query and its body, beside what is
 * one's own where it takes several. What it names, it must not find. In the order in which they are to be sent.
 */
export const REQUESTS: Readonly<Record<string, (other: Names, own: Names) => readonly Ask[]>> = {
  createMember: (other, own) => [
    { body: { name: 'x', email: 'x@example.com', teams: [other.team] } },
    { body: { name: 'x', email: 'x@example.com', teams: [own.team, other.team] } },
  ],
  listMembers: (other) => [cursor(other.member)],
  listTeams: (other) => [cursor(other.team)],
  addTeamMember: (other, own) => memberships(other, own),
  removeTeamMember: (other, own) => memberships(other, own),
  createApiKey: (other, own) => [
    { body: { name: 'x', role: 'member', memberId: other.member } },
    { body: { name: 'x', role: 'loop', loopId: other.loop } },
    { body: { name: 'x', role: 'loop', loopId: other.loop, memberId: own.member } },
  ],
  listApiKeys: (other) => [cursor(other.apiKey)],
  revokeApiKey: (other) => [one(other.apiKey)],

  setHalt: (other) =>
    [
      { kind: 'team', id: other.team },
      { kind: 'repo', id: other.repo },
      { kind: 'loop', id: other.loop },
    ].map((scope) => ({ body: { scope, reason: 'x' } })),
  listHalts: (other) => [cursor(other.halt)],
  liftHalt: (other) => [one(other.halt)],

  rollbackPolicy: (other) => [{ params: { name: other.policyName }, body: { toVersion: 1 } }],
  getPolicy: (other) => [{ params: { name: other.policyName } }],
  listPolicies: (other) => [cursor(other.policyName)],
  listPolicyVersions: (other) => [{ params: { name: other.policyName } }],
  getPolicyVersion: (other) => [{ params: { name: other.policyName, version: '1' } }],

  listApprovals: (other) => [{ query: { repo: other.repoName } }, cursor(other.approval)],
  getApproval: (other) => [one(other.approval), { ...one(other.approval), query: { waitSeconds: '1' } }],
  voteOnApproval: (other) => [one(other.approval, { verdict: 'approve' }), one(other.approval, { verdict: 'reject' })],

  listLeases: (other, own) => [
    { query: { repo: other.repoName } },
    { query: { repo: other.repoName, path: other.path } },
    { query: { repo: own.repoName, path: other.path } },
    { query: { runId: other.run } },
  ],
  getLease: (other) => [one(other.lease)],
  renewLease: (other) => FENCES.map((fence) => one(other.lease, { fence })),
  releaseLease: (other) => FENCES.map((fence) => one(other.lease, { fence })),
  revokeLease: (other) => [one(other.lease, { reason: 'x' })],
  getLeaseTicket: (other) => [one(other.ticket), { ...one(other.ticket), query: { waitSeconds: '1' } }],
  listLeaseTickets: (other) => [{ query: { repo: other.repoName } }, { query: { runId: other.run } }, cursor(1)],
  cancelLeaseTicket: (other) => [one(other.ticket)],
  verifyLeases: (other, own) =>
    FENCES.flatMap((fence) =>
      [own.repoName, other.repoName].map((repo) => ({
        body: { repo, paths: [other.path], leases: [{ id: other.lease, fence }] },
      })),
    ),

  listChanges: (other, own) => [
    { query: { repo: other.repoName } },
    { query: { repo: other.repoName, path: other.path } },
    { query: { repo: own.repoName, path: other.path } },
    { query: { runId: other.run } },
    { query: { commit: other.commit } },
    cursor(other.change),
  ],
  getChange: (other) => [one(other.change)],
  getContext: (other, own) => [
    { query: { repo: other.repoName } },
    { query: { repo: other.repoName, path: other.path } },
    { query: { repo: own.repoName, path: other.path, runId: other.run } },
  ],

  listDeploys: (other) => [
    { query: { repo: other.repoName } },
    { query: { service: other.service, environment: 'production' } },
    cursor(other.deploy),
  ],
  getDeploy: (other) => [one(other.deploy)],
  listIncidents: (other) => [{ query: { service: other.service } }, cursor(other.incident)],
  getIncident: (other) => [one(other.incident)],
  getIncidentReport: (other) => [one(other.incident)],
  listSuspects: (other) => [one(other.incident)],
  searchTraces: (other) => [
    { query: { loopId: other.loop } },
    { query: { runId: other.run } },
    { query: { service: other.service } },
    { query: { attribute: `session.id=${other.session}` } },
  ],
  getTrace: (other) => [{ params: { traceId: other.trace } }],

  listRepos: (other) => [{ query: { name: other.repoName } }, cursor(other.repo)],
  patchRepo: (other) => [one(other.repo, { caseSensitive: false })],
  listLoops: (other) => [
    { query: { repo: other.repoName } },
    { query: { owner: other.member } },
    { query: { owner: other.apiKey } },
    cursor(other.loop),
  ],
  getLoop: (other) => [one(other.loop)],
  startRun: (other) => [one(other.loop, {})],
  listRuns: (other) => [{ query: { loopId: other.loop } }, { query: { repo: other.repoName } }, cursor(other.run)],
  getRun: (other) => [one(other.run)],
  listIterations: (other) => [one(other.run)],
  heartbeatRun: (other) => [one(other.run, { epoch: 1 }), one(other.run, { epoch: 2, iteration: 9 })],
  finishRun: (other) => [one(other.run, OUTCOME), one(other.run, { ...OUTCOME, epoch: 2 })],
  resumeRun: (other) => [one(other.run)],

  // Those that make something under the names they were given come last.
  acquireLease: (other, own) => [
    { body: { repo: own.repoName, runId: other.run, paths: ['x'] } },
    { body: { repo: other.repoName, runId: other.run, paths: [other.path] } },
    { body: { repo: other.repoName, runId: own.run, paths: [other.path] } },
  ],
  admit: (other, own) => [
    { body: { runId: other.run, repo: own.repoName, action: 'path.edit', paths: ['y'] } },
    { body: { runId: other.run, repo: other.repoName, action: 'path.edit', paths: [other.path] } },
    { body: { runId: own.run, repo: other.repoName, action: 'path.edit', paths: [other.path] } },
  ],
  decide: (other) => [
    { body: { action: 'push', subject: { repo: other.repoName }, runId: other.run } },
    { body: { action: 'push', subject: { repo: other.repoName } } },
    { body: { action: 'path.edit', subject: { repo: other.repoName, path: other.path } } },
  ],
  recordChange: (other, own) => [
    { body: { ...landed(own, other.path), runId: other.run } },
    ...FENCES.map((fence) => ({ body: { ...landed(own, other.path), leases: [{ id: other.lease, fence }] } })),
    { body: { ...landed(own, other.path), undoes: [other.change] } },
    { body: { ...landed(own, other.path), commit: other.commit } },
    { body: { ...landed(own, other.path), repo: other.repoName, runId: own.run } },
  ],
  recordDeploy: (other, own) => [
    { body: { repo: other.repoName, service: other.service, environment: 'production', commit: other.commit } },
    { body: { repo: own.repoName, service: own.service, environment: 'production', commit: other.commit } },
  ],
  openIncident: (other, own) => [
    { body: incident(own.service, { traceIds: [other.trace] }) },
    { body: incident(other.service, { paths: [other.path] }) },
  ],
  ingestTraces: (other, own) => [
    { body: spanOf(other) },
    { body: spanOf({ ...own, loop: other.loop }) },
    { body: spanOf({ ...own, run: other.run }) },
  ],
  registerLoop: (other, own) => [
    { body: { name: 'x', repo: own.repoName, team: other.teamName } },
    { body: { name: other.loopName, repo: other.repoName } },
    { query: { repo: other.repoName }, body: { name: `${other.loopName}-2` } },
  ],
  putPolicyDraft: (other) => [
    { params: { name: other.policyName }, body: POLICY },
    { params: { name: 'approvers' }, body: withApprovers(other.teamName) },
  ],
  publishPolicy: (other) => [
    { params: { name: `${other.policyName}-2` } },
    { params: { name: 'approvers' } },
    { params: { name: other.policyName }, body: { expectedVersion: 1 } },
  ],
};

/** Operations in which nothing of an org can be named but by the key. */
export const NAMES_NOTHING: readonly string[] = [
  // The root key's, who may know which slugs are taken.
  'createOrg',
  'createTeam',
  'getHealth',
  'getOrg',
  'getReadiness',
  // Nothing is linked to a loop or run by these two that ingestTraces would not link in the same way.
  'ingestLogs',
  'ingestMetrics',
  'listEvents',
  'patchOrgSettings',
];

/** A fence is a small number that can be guessed: the other org's own one is among these. */
export const FENCES = Array.from({ length: 8 }, (_, i) => i + 8);

function landed(own: Names, path: string) {
  return { repo: own.repoName, commit: 'c'.repeat(40), files: [{ path, beforeBlob: null, afterBlob: 'a'.repeat(40) }] };
}

function memberships(other: Names, own: Names): Ask[] {
  return [
    { params: { id: other.team, memberId: other.member } },
    { params: { id: own.team, memberId: other.member } },
    { params: { id: other.team, memberId: own.member } },
  ];
}

function withApprovers(team: string): unknown {
  const rule = { id: 'ask', effect: 'require_approval', actions: ['push'], approvers: { team }, reason: 'x' };
  return { defaults: { push: 'allow' }, rules: [rule] };
}

function incident(service: string, evidence: object): unknown {
  return { title: 'x', service, startedAt: '2026-01-01T00:00:00Z', evidence };
}
