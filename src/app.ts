import { agentHookRoutes } from './adapters/agent-hooks/index.ts';
import { activityRoutes, EventLog } from './modules/activity/index.ts';
import {
  AdmissionService,
  admissionRoutes,
  ContextService,
  contextRoutes,
  HotPath,
  NearbyChanges,
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
import { DeployService, IncidentService, incidentsRoutes, SuspectService } from './modules/incidents/index.ts';
import {
  createLeaseObserver,
  createTicketWatch,
  HoldHistory,
  hasOpenLeases,
  LeaseService,
  LeaseSweep,
  LeaseTickets,
  leaseRoutes,
  TicketReader,
  WaitingLine,
} from './modules/leases/index.ts';
import { LoopService, loopsRoutes, RepoService, RunService, SessionRuns, sweepStalled } from './modules/loops/index.ts';
import { IngestService, otlpRoutes, PostgresSpanStore, TraceService, traceRoutes } from './modules/traces/index.ts';
import type { Clock } from './platform/clock.ts';
import { CommitSignal } from './platform/database/commit-signal.ts';
import { Database } from './platform/database/database.ts';
import type { Pools } from './platform/database/pools.ts';
import { Housekeeping, purgeIdempotency } from './platform/housekeeping.ts';
import { healthRoutes } from './platform/http/health.ts';
import { type App, createHttpServer } from './platform/http/server.ts';
import type { Logger } from './platform/logger.ts';
import { createInstruments, fastifyTelemetry, type Instruments, type Telemetry } from './platform/telemetry/index.ts';

export interface AppDeps {
  readonly pools: Pools;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly version: string;
  readonly rootKey: string | undefined;
  /** How people reach the server, without a trailing slash; for links in what agents are told. */
  readonly publicUrl?: string | undefined;
  /** What the search for one broad request may cost, where that is to be less than usual. */
  readonly searchStepsMax?: number | undefined;
}

export interface Signalbox {
  readonly app: App;
  readonly services: Services;
  /** Starts what runs beside requests. Until then, nothing has touched the database. */
  start(): Promise<void>;
  /** Refuses new work, lets what is under way finish, wakes whoever waits. The pools stay the caller's to end. */
  close(): Promise<void>;
}

/** The only place where things are wired. Opens no connection and starts no timer by itself. */
export async function buildApp(deps: AppDeps): Promise<Signalbox> {
  const { pools, logger, telemetry } = deps;
  const draining = new AbortController();
  const app = await createHttpServer({ logger, version: deps.version });
  await app.register(fastifyTelemetry(telemetry));
  // A connection kept alive past an answer given now would hold up the end of the server until it times out.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (draining.signal.aborted) reply.header('connection', 'close');
    done();
  });
  const services = createServices(deps);
  controlAccess(app, { authenticator: services.authenticator, roles: services.roles, rootKey: deps.rootKey });
  healthRoutes(app, { pool: pools.ordinary, telemetry, draining: draining.signal });
  await app.register(async (api) => registerApi(api as App, services, draining.signal), { prefix: '/api/v1' });
  await otlpRoutes(app, services.ingest);
  await agentHookRoutes(app, { ...services, clock: deps.clock, publicUrl: deps.publicUrl, draining: draining.signal });

  const { signal, housekeeping, instruments, db, line } = services;
  const unobserve = [observePool(instruments, 'ordinary', pools.ordinary), observePool(instruments, 'hot', pools.hot)];
  return {
    app,
    services,
    start: async () => {
      await signal.start();
      housekeeping.start();
    },
    close: async () => {
      draining.abort(new Error('the server is shutting down'));
      await app.close();
      await housekeeping.stop();
      line.close();
      for (const stop of unobserve) stop();
      await signal.close();
      await db.close();
    },
  };
}

type Services = ReturnType<typeof createServices>;

/** Every part of the server, each with what it needs. */
function createServices({ pools, logger, clock, telemetry, searchStepsMax }: AppDeps) {
  const signal = new CommitSignal(() => pools.listener(), pools.ordinary, logger);
  const db = new Database(pools.ordinary, signal);
  const instruments = createInstruments(telemetry.meter);
  const repos = new RepoService(db, hasOpenLeases);
  const leases = new LeaseService(db);
  const hot = new HotPath({ pool: pools.hot, db, signal, instruments, logger, clock, searchStepsMax });
  const watch = createTicketWatch({ db, signal, clock });
  const history = new HoldHistory(db, clock);
  const line = new WaitingLine({ db, queue: hot, watch, clock, logger });
  hot.onLeases((changes) => line.changed(changes));
  const halts = new HaltService(db);
  halts.onChanged((orgId) => line.lookAgain(orgId));
  const onFreed = line.freed.bind(line);
  const tickets = new LeaseTickets({ db, queue: hot, watch, history, reader: new TicketReader(pools.hot), clock });
  const changes = new ChangeService(db, readLeaseRecords);
  const context = new ContextService(db, new NearbyLeases(leases, clock), new NearbyChanges(changes, clock));
  return {
    signal,
    db,
    instruments,
    repos,
    leases,
    hot,
    watch,
    line,
    tickets,
    authenticator: new Authenticator(pools.ordinary, db, clock),
    roles: readRoles(),
    orgs: new OrgService(db),
    people: new PeopleService(db),
    apiKeys: new ApiKeyService(db),
    log: new EventLog(db),
    halts,
    policies: new PolicyService(db),
    approvals: new ApprovalService(db, new ApprovalWatch({ db, signal, clock })),
    loops: new LoopService(db),
    runs: new RunService(db, createLeaseObserver(onFreed, instruments)),
    sessions: new SessionRuns(db),
    changes,
    context,
    admissions: new AdmissionService({ hot, repos, context, watch, history, clock }),
    deploys: new DeployService(db),
    incidents: new IncidentService(db),
    suspects: new SuspectService(db),
    traces: new TraceService({ db, clock }),
    ingest: new IngestService({ db, store: new PostgresSpanStore(pools.ordinary), clock }),
    housekeeping: createHousekeeping({ db, clock, log: logger, line, tickets }),
  };
}

interface HousekeepingDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly line: WaitingLine;
  readonly tickets: LeaseTickets;
}

function createHousekeeping({ line, tickets, ...deps }: HousekeepingDeps): Housekeeping {
  const housekeeping = new Housekeeping(deps);
  const { db } = deps;
  const sweep = new LeaseSweep(db, line.freed.bind(line));
  // Before those who are silent: whoever waits here is not.
  housekeeping.register('requests that are held open', 'lease_waiter', (orgId) => tickets.keepHeld(orgId));
  housekeeping.register('stalled runs', 'run', (orgId) => sweepStalled(db, orgId));
  housekeeping.register('old idempotency keys', 'idempotency', (orgId) => purgeIdempotency(db, orgId));
  housekeeping.register('leases that are over', 'lease', (orgId) => sweep.pass(orgId));
  housekeeping.register('waiters whose way is free', 'lease_waiter', (orgId) => line.sweep(orgId));
  housekeeping.register('approvals that ran out', 'approval', (orgId) => sweepApprovals(db, orgId));
  return housekeeping;
}

function registerApi(api: App, services: Services, draining: AbortSignal): void {
  identityRoutes(api, services);
  activityRoutes(api, services);
  budgetRoutes(api, services);
  governanceRoutes(api, { ...services, draining });
  loopsRoutes(api, services);
  leaseRoutes(api, { ...services, queue: services.hot, draining });
  changeRoutes(api, services.changes);
  admissionRoutes(api, services.admissions, draining);
  incidentsRoutes(api, services);
  contextRoutes(api, services.context);
  traceRoutes(api, services.traces);
}

function observePool(instruments: Instruments, name: string, pool: Pools['hot']): () => void {
  const max = pool.options.max ?? 10;
  return instruments.observePool(name, () => ({
    idle: pool.idleCount,
    used: pool.totalCount - pool.idleCount,
    pending: pool.waitingCount,
    max,
  }));
}
