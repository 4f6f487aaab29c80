import { agentHookRoutes } from './adapters/agent-hooks/index.ts';
import { activityRoutes, EventLog } from './modules/activity/index.ts';
import {
  AdmissionService,
  admissionRoutes,
  HotPath,
  NearbyLeases,
  readLeaseRecords,
} from './modules/admission/index.ts';
import { budgetRoutes, HaltService } from './modules/budgets/index.ts';
import { ChangeService, changeRoutes } from './modules/changes/index.ts';
import {
  ApprovalService,
  ApprovalWatch,
  governanceRoutes,
  PolicyService,
  sweepApprovals,
} from './modules/governance/index.ts';
import {
  ApiKeyService,
  Authenticator,
  controlAccess,
  identityRoutes,
  OrgService,
  PeopleService,
  readRoles,
} from './modules/identity/index.ts';
import { hasOpenLeases, LeaseService, leaseObserver, leaseRoutes, sweepLeases } from './modules/leases/index.ts';
import { LoopService, loopsRoutes, RepoService, RunService, SessionRuns, sweepStalled } from './modules/loops/index.ts';
import type { Clock } from './platform/clock.ts';
import { CommitSignal } from './platform/database/commit-signal.ts';
import { Database } from './platform/database/database.ts';
import type { Pools } from './platform/database/pools.ts';
import { Housekeeping, purgeIdempotency } from './platform/housekeeping.ts';
import { healthRoutes } from './platform/http/health.ts';
import { type App, createHttpServer } from './platform/http/server.ts';
import type { Logger } from './platform/logger.ts';
import { createInstruments, fastifyTelemetry, type Telemetry } from './platform/telemetry/index.ts';

export interface AppDeps {
  readonly pools: Pools;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly version: string;
  readonly rootKey: string | undefined;
  /** How people reach the server, without a trailing slash; for links in what agents are told. */
  readonly publicUrl?: string | undefined;
}

export interface Signalbox {
  readonly app: App;
  readonly services: {
    readonly orgs: OrgService;
    readonly people: PeopleService;
    readonly apiKeys: ApiKeyService;
    readonly sessions: SessionRuns;
    readonly housekeeping: Housekeeping;
  };
  /** Starts what runs beside requests. Until then, nothing has touched the database. */
  start(): Promise<void>;
  /** Refuses new work, lets what is under way finish, wakes whoever waits. The pools stay the caller's to end. */
  close(): Promise<void>;
}

/** The only place where things are wired. Opens no connection and starts no timer by itself. */
export async function buildApp(deps: AppDeps): Promise<Signalbox> {
  const { pools, logger, clock, telemetry } = deps;
  const draining = new AbortController();
  const signal = new CommitSignal(pools.listener, pools.ordinary, logger);
  const db = new Database(pools.ordinary, signal);
  const instruments = createInstruments(telemetry.meter);
  const app = await createHttpServer({ logger, version: deps.version });
  await app.register(fastifyTelemetry(telemetry));
  // A connection kept alive past an answer given now would hold up the end of the server until it times out.
  app.addHook('onSend', async (_request, reply) => {
    if (draining.signal.aborted) reply.header('connection', 'close');
  });
  const authenticator = new Authenticator(pools.ordinary, db, clock);
  const roles = readRoles();
  controlAccess(app, { authenticator, roles, rootKey: deps.rootKey });

  const services = { orgs: new OrgService(db), people: new PeopleService(db), apiKeys: new ApiKeyService(db) };
  const halts = new HaltService(db);
  const policies = new PolicyService(db);
  const approvals = new ApprovalService(db, new ApprovalWatch({ db, signal, clock }));
  const repos = new RepoService(db, hasOpenLeases);
  const runs = new RunService(db, leaseObserver);
  const sessions = new SessionRuns(db, repos);
  const housekeeping = new Housekeeping({ db, clock, log: logger });
  housekeeping.register('stalled runs', (orgId) => sweepStalled(db, orgId));
  housekeeping.register('old idempotency keys', (orgId) => purgeIdempotency(db, orgId));
  housekeeping.register('leases that are over', (orgId) => sweepLeases(db, orgId));
  housekeeping.register('approvals that ran out', (orgId) => sweepApprovals(db, orgId));
  const log = new EventLog(db);
  const hot = new HotPath({ pool: pools.hot, signal, instruments, logger, clock });
  const leases = new LeaseService(db);
  const changes = new ChangeService(db, readLeaseRecords);
  const admissions = new AdmissionService(hot, repos, new NearbyLeases(leases, clock));
  healthRoutes(app, { pool: pools.ordinary, telemetry, draining: draining.signal });
  await app.register(
    async (api) => {
      const scope = api as App;
      identityRoutes(scope, services);
      activityRoutes(scope, { log, signal });
      budgetRoutes(scope, { halts });
      governanceRoutes(scope, { policies, approvals, draining: draining.signal });
      leaseRoutes(scope, { queue: hot, leases, repos });
      changeRoutes(scope, changes);
      admissionRoutes(scope, admissions);
      loopsRoutes(scope, { repos, loops: new LoopService(db), runs });
    },
    { prefix: '/api/v1' },
  );
  await agentHookRoutes(app, {
    db,
    clock,
    authenticator,
    roles,
    orgs: services.orgs,
    sessions,
    runs,
    admissions,
    approvals,
    publicUrl: deps.publicUrl,
    draining: draining.signal,
  });

  const unobserve = [observe('ordinary', pools.ordinary), observe('hot', pools.hot)];
  function observe(name: string, pool: Pools['hot']): () => void {
    const max = pool.options.max ?? 10;
    return instruments.observePool(name, () => ({
      idle: pool.idleCount,
      used: pool.totalCount - pool.idleCount,
      pending: pool.waitingCount,
      max,
    }));
  }
  return {
    app,
    services: { ...services, sessions, housekeeping },
    start: async () => {
      await signal.start();
      housekeeping.start();
    },
    close: async () => {
      draining.abort(new Error('the server is shutting down'));
      await app.close();
      await housekeeping.stop();
      for (const stop of unobserve) stop();
      await signal.close();
      await db.close();
    },
  };
}
