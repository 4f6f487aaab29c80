import { setMaxListeners } from 'node:events';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Evidence, gather, waitingOf } from './evidence.ts';
import { Nemesis, type Struck } from './nemesis/nemesis.ts';
import { Random } from './random.ts';
import type { DatabaseClock } from './rig/clock.ts';
import { BATCH_CUTS, CALL_CUTS, COMMIT_CUTS, type WriteCut } from './rig/cutters.ts';
import { type Rig, type RigOptions, startRig } from './rig/rig.ts';
import { Stage } from './rig/stage.ts';
import { LOCK_DELAY_SECONDS, type Prepared, prepare } from './setup.ts';
import { Caller } from './workload/caller.ts';
import { Client } from './workload/client.ts';
import { Follower } from './workload/follower.ts';
import { REPOS } from './workload/ground.ts';
import type { Operation } from './workload/history.ts';

export interface CampaignOptions extends RigOptions {
  readonly seed: number;
  /** Of operations under faults, at least; start and end come on top. */
  readonly seconds: number;
  readonly clients: number;
  /** Between two faults of one lane. */
  readonly gapMs?: readonly [number, number];
  /** How often each lane of the nemesis goes through its faults at most; as often as there is time for, by default. */
  readonly rounds?: number;
  /** Share of the pauses that outlast leases. */
  readonly longPauses?: number;
  /** Ends the campaign at once. */
  readonly stop?: AbortSignal;
}

export interface Campaign {
  readonly evidence: Evidence;
  readonly struck: readonly Struck[];
  readonly cutReplies: number;
  readonly cutCommits: number;
  /** Of what decides about leases: by what was lost. */
  readonly cutWrites: ReadonlyMap<WriteCut, number>;
  readonly clock: DatabaseClock['kind'];
  readonly reconnections: number;
}

const SHORTEST_TTL_SECONDS = 5;
/** Longer than the shortest lease and the lock delay after it. */
const PAUSE_MS = (SHORTEST_TTL_SECONDS + LOCK_DELAY_SECONDS + 1) * 1000;
const SET_BACK_AT_MOST_MS = 12_000;
/** Once nothing breaks any more: in it every waiter has its turn. More than all leases last, with what the clock was set back. */
const SETTLE_MS = 30_000;
const LEAVE_MS = 15_000;
const WARM_UP_MS = 15_000;
/** Given beyond the time asked for, if some fault has not hit anything yet: a busy machine is slow to start a server again. */
const OVERTIME_MS = 45_000;

/** Runs clients and a nemesis against servers of their own, and returns all that a checker needs. Leaves no process behind. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const stage = new Stage();
  const aborted = stage.aborted(options.stop);
  try {
    const played = startRig(options, stage).then((rig) => play(options, rig, stage));
    return await Promise.race([played, aborted]);
  } finally {
    await stage.end();
  }
}

async function play(options: CampaignOptions, rig: Rig, stage: Stage): Promise<Campaign> {
  const { postgres, cutters, commitCutter } = rig;
  const random = new Random(options.seed);
  const agent = new Agent({ keepAlive: true });
  stage.onEnd(() => agent.destroy());
  const ports = cutters.map(({ port }) => port);
  const prepared = await prepare(ports[0]!, rig.rootKey, agent);
  const startedMs = performance.now();
  const clock = () => performance.now() - startedMs;
  const history: Operation[] = [];

  const deps = { agent, ports, history, random, clock };
  const clients = hire(options, prepared, deps);
  const { orgId } = prepared;
  const { secret, keyId, loopId } = prepared.owners[0]!;
  const leaver = {
    orgId,
    keyId,
    loopId,
    caller: new Caller(options.clients, secret, { ...deps, random: random.fork() }),
  };
  const nemesis = new Nemesis({
    ...rig,
    random: random.fork(),
    clock,
    pauseMs: PAUSE_MS,
    longPauses: options.longPauses ?? 0.5,
    repo: REPOS[0]!,
    leaver,
    setBackAtMostMs: SET_BACK_AT_MOST_MS,
    rounds: options.rounds ?? Infinity,
    gapMs: options.gapMs ?? [1500, 5000],
  });
  const follower = new Follower(ports, prepared.adminSecret);
  stage.onEnd(() => follower.close());

  await struggle(options.seconds, clients, nemesis, stage);
  await nemesis.relent();
  const calmMs = clock();
  const forgotten = await settle(clients, (runId) => waitingOf(postgres.url, runId));
  const evidence = await gather(postgres.url, orgId, {
    history,
    setBacks: nemesis.setBacks,
    calmMs,
    lockDelaySeconds: LOCK_DELAY_SECONDS,
    forgotten,
    unfinished: clients.flatMap(({ runId }) => runId ?? []),
  });
  await until(() => follower.last >= evidence.events.length, LEAVE_MS);
  return {
    evidence: { ...evidence, followed: [...follower.received] },
    struck: nemesis.struck,
    cutReplies: cutters.reduce((sum, cutter) => sum + cutter.cut(), 0),
    cutCommits: commitCutter.cut(...COMMIT_CUTS),
    cutWrites: new Map([...CALL_CUTS, ...BATCH_CUTS].map((cut) => [cut, commitCutter.cut(cut)])),
    clock: rig.databaseClock.kind,
    reconnections: follower.connections,
  };
}

function hire(
  options: CampaignOptions,
  { owners, adminSecret }: Prepared,
  deps: ConstructorParameters<typeof Caller>[2],
): Client[] {
  const clients: Client[] = Array.from({ length: options.clients }, (_, index) => {
    const owner = index % owners.length;
    const { secret, loopId } = owners[owner]!;
    return new Client({
      index,
      owner,
      loopId,
      caller: new Caller(index, secret, { ...deps, random: deps.random.fork() }),
      admin: new Caller(index, adminSecret, { ...deps, random: deps.random.fork() }),
      random: deps.random.fork(),
      peers: () => clients,
      napMs: PAUSE_MS,
    });
  });
  return clients;
}

/** Clients and nemesis against each other, until the time is up and every kind of fault has hit, or will not any more. */
async function struggle(seconds: number, clients: readonly Client[], nemesis: Nemesis, stage: Stage): Promise<void> {
  const over = new AbortController();
  stage.onEnd(() => over.abort());
  const { signal } = over;
  // Whoever sleeps listens: each client may, and each lane.
  setMaxListeners(0, signal);
  const playing = clients.map((client) => client.play(signal));
  // First there is something to disturb.
  await until(() => signal.aborted || clients.every(({ runId }) => runId !== null), WARM_UP_MS);
  let isSpent = false;
  const raging = nemesis.rage(signal).finally(() => {
    isSpent = true;
  });
  const untilMs = performance.now() + seconds * 1000;
  const isOver = () => signal.aborted || (performance.now() > untilMs && (nemesis.hasStruckAll || isSpent));
  await until(isOver, seconds * 1000 + OVERTIME_MS);
  over.abort();
  await Promise.all([raging, ...playing]);
}

/** Everybody gives back, takes what still comes, and ends. Returns the runs that still waited when the time was up. */
async function settle(clients: readonly Client[], isWaiting: (runId: string) => Promise<boolean>): Promise<string[]> {
  const untilMs = performance.now() + SETTLE_MS;
  const forgotten: string[] = [];
  await Promise.all(
    clients.map(async (client) => {
      const { runId } = client;
      const isSettled = await client.settle(isWaiting, untilMs);
      if (!isSettled && runId !== null) forgotten.push(runId);
      await client.leave(performance.now() + LEAVE_MS);
    }),
  );
  return forgotten;
}

async function until(condition: () => boolean, withinMs: number): Promise<void> {
  const untilMs = performance.now() + withinMs;
  while (!condition() && performance.now() < untilMs) await sleep(20);
}
