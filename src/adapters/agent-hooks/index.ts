import type { AdmissionService } from '../../modules/admission/index.ts';
import type { ApprovalService } from '../../modules/governance/index.ts';
import type { Authenticator, OrgService, RoleTable } from '../../modules/identity/index.ts';
import type { LeaseService } from '../../modules/leases/index.ts';
import type { RunService, SessionRuns } from '../../modules/loops/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { App } from '../../platform/http/server.ts';
import type { Principal } from '../../platform/principal.ts';
import { RecentMap } from '../../platform/recent-map.ts';
import { AgentGate } from './agent-gate.ts';
import { ClaudeCodeHook } from './claude-code/hook.ts';
import { claudeCodeRoutes } from './claude-code/routes.ts';
import { RootBook } from './root-book.ts';

export { claudeSettings } from './claude-code/settings.ts';

export interface AgentHookDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly authenticator: Authenticator;
  readonly roles: RoleTable;
  readonly orgs: OrgService;
  readonly sessions: SessionRuns;
  readonly runs: RunService;
  readonly leases: LeaseService;
  readonly admissions: AdmissionService;
  readonly approvals: ApprovalService;
  readonly publicUrl: string | undefined;
  readonly draining: AbortSignal;
}

/** What a hook does in the name of its key. */
const OPERATIONS = ['startRun', 'admit', 'heartbeatRun', 'finishRun'];

/** The endpoints that coding agents ask before they act, each in its own dialect. */
export async function agentHookRoutes(app: App, deps: AgentHookDeps): Promise<void> {
  const { db, clock, orgs, sessions, runs, leases, admissions, approvals } = deps;
  const failsOpen = new RecentMap<boolean>(10_000);
  const settings = async (principal: Principal) => {
    const read = await orgs.settings(principal);
    failsOpen.set(principal.orgId, read.hooksFailOpen);
    return read;
  };
  const gate = new AgentGate({ admissions, approvals, settings, clock });
  const hook = new ClaudeCodeHook({ db, sessions, runs, leases, gate, roots: new RootBook(db, clock), settings });
  await claudeCodeRoutes(app, {
    hook,
    authenticator: deps.authenticator,
    clock,
    mayRunLoops: ({ role }) => OPERATIONS.every((operation) => deps.roles[role].has(operation)),
    failsOpen: (orgId) => failsOpen.get(orgId) ?? false,
    publicUrl: deps.publicUrl,
    draining: deps.draining,
  });
}
