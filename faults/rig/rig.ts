import { type DatabaseClock, openClock } from './clock.ts';
import { type CommitCut, type Cutter, type ReplyCut, startCommitCutter, startReplyCutter } from './cutters.ts';
import { Keeper } from './keeper.ts';
import { type Postgres, startPostgres } from './postgres.ts';
import { ServerProcess } from './servers.ts';
import type { Stage } from './stage.ts';

export interface RigOptions {
  readonly servers: number;
  /** Compiled; see `buildServer`. */
  readonly main: string;
  /** For data and logs; the caller removes it. */
  readonly folder: string;
  /** The strongest that this machine can do, unless it is named. */
  readonly clock?: DatabaseClock['kind'] | undefined;
}

/** Servers on a PostgreSQL of their own, with something to break on every way between them. */
export interface Rig {
  readonly databaseClock: DatabaseClock;
  readonly postgres: Postgres;
  readonly servers: readonly ServerProcess[];
  /** In front of each server. */
  readonly cutters: readonly Cutter<ReplyCut>[];
  /** In front of PostgreSQL. */
  readonly commitCutter: Cutter<CommitCut>;
  readonly rootKey: string;
}

const ROOT_KEY = 'root-key-of-the-faults-0123456789abcdef';

export async function startRig({ servers, main, folder, clock }: RigOptions, stage: Stage): Promise<Rig> {
  const keeper = new Keeper();
  stage.onEnd(() => keeper.close());
  const databaseClock = await openClock(folder, clock);
  const postgres = await startPostgres(folder, databaseClock, keeper);
  stage.onEnd(() => postgres.stop());
  await databaseClock.install(postgres);
  const commitCutter = await startCommitCutter(postgres.port);
  stage.onEnd(() => commitCutter.close());

  const url = new URL(postgres.url);
  url.port = String(commitCutter.port);
  const options = { main, folder, databaseUrl: url.href, rootKey: ROOT_KEY, keeper };
  const all = Array.from({ length: servers }, (_, index) => new ServerProcess(index + 1, options));
  for (const server of all) stage.onEnd(() => server.close());
  // One migrates; the others find it done.
  await all[0]!.start();
  await Promise.all(all.slice(1).map((server) => server.start()));
  const cutters = await Promise.all(all.map((server) => startReplyCutter(() => server.port)));
  for (const cutter of cutters) stage.onEnd(() => cutter.close());
  return { databaseClock, postgres, servers: all, cutters, commitCutter, rootKey: ROOT_KEY };
}
