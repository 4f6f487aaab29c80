export { mayActFor } from './access.ts';

export { BEAT_EVERY_SECONDS, beat, beatAll, sweepStalled } from './liveness.ts';
export { demandEpoch } from './locked-run.ts';
export { LoopService, repoIdOf } from './loop-service.ts';
export { guardrailSignal } from './progress.ts';
export { ensureRepo, RepoService, repoNames } from './repos.ts';
export { loopsRoutes } from './routes.ts';
export { isLoopHalted, type RunFacts, runFactsStatement, toRunFacts } from './run-facts.ts';
export { type ObservedRun, type RunObserver } from './run-observer.ts';
export { RunService } from './run-service.ts';

export { type Session, type SessionRun, SessionRuns } from './sessions.ts';
export { epochNumber } from './views.ts';
