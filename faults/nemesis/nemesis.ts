import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { DatabaseClock } from '../rig/clock.ts';
import {
  BATCH_CUTS,
  CALL_CUTS,
  COMMIT_CUTS,
  type CommitCut,
  type Cutter,
  REPLY_CUTS,
  type ReplyCut,
  type WriteCut,
} from '../rig/cutters.ts';
import type { Postgres } from '../rig/postgres.ts';
import type { ServerProcess } from '../rig/servers.ts';
import { pauseWhileHolding } from './holding.ts';
import { type Leaver, overtake, rival } from './overtaking.ts';

export type FaultName =
  | 'kill'
  | 'pause'
  | 'hold'
  | 'cut'
  | 'cut-commit'
  | 'cut-call'
  | 'cut-batch'
  | 'restart'
  | 'clock'
  | 'overtake'
  | 'rival';

/** What befalls at the same time: two servers, everything around them, and runs of the nemesis's own. */
const LANES: readonly (readonly FaultName[])[] = [
  ['kill'],
  ['pause', 'hold'],
  ['cut', 'cut-commit', 'cut-call', 'cut-batch', 'restart', 'clock'],
  ['overtake', 'rival'],
];
export const FAULTS: readonly FaultName[] = LANES.flat();

/** So long writes to cut are waited for; those that come later are cut all the same. */
const WRITES_COME_MS = 20_000;

export interface Struck {
  readonly fault: FaultName;
  readonly atMs: number;
  readonly detail: string;
  /** Not if it found nobody or came too late. Of cuts that only wait for something to cut, `cutReplies` and the like tell more. */
  readonly isHit: boolean;
}

type Strike = Pick<Struck, 'detail' | 'isHit'>;

const hit = (detail: string): Strike => ({ detail, isHit: true });
const missed = (detail = 'missed'): Strike => ({ detail, isHit: false });

export interface NemesisOptions {
  readonly servers: readonly ServerProcess[];
  readonly cutters: readonly Cutter<ReplyCut>[];
  readonly commitCutter: Cutter<CommitCut>;
  readonly postgres: Postgres;
  readonly databaseClock: DatabaseClock;
  readonly random: Random;
  readonly clock: () => number;
  /** The longest lease of the shortest kind and the lock delay: a pause outlasts both. */
  readonly pauseMs: number;
  /** Share of the pauses that are as long as that; the one that holds the repo's row always is. */
  readonly longPauses: number;
  readonly repo: string;
  readonly leaver: Leaver;
  /** In all, so that leases still end within the campaign. */
  readonly setBackAtMostMs: number;
  /** How often each lane goes through its faults, at most. */
  readonly rounds: number;
  /** Between two faults of one lane. */
  readonly gapMs: readonly [number, number];
}

/** Does its worst, so that one server at least is always left. What it did, and whether it hit, is in `struck`. */
export class Nemesis {
  readonly struck: Struck[] = [];
  /** Times, by the machine's clock, between which PostgreSQL's went back. */
  readonly setBacks: { readonly fromMs: number; readonly toMs: number; readonly byMs: number }[] = [];
  readonly #options: NemesisOptions;
  readonly #taken = new Set<ServerProcess>();

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  /** Whether every kind of fault has hit something. */
  get hasStruckAll(): boolean {
    return FAULTS.every((fault) => this.struck.some((one) => one.fault === fault && one.isHit));
  }

  /** All lanes at once, so that a database restarts under a paused server. */
  async rage(stop: AbortSignal): Promise<void> {
    await Promise.all(LANES.map((lane) => this.#lane(lane, stop)));
  }

  /** Lets go of everything: all servers are up again. */
  async relent(): Promise<void> {
    for (const server of this.#options.servers) server.resume();
    const down = this.#options.servers.filter(({ standing }) => standing === 'down');
    await Promise.all(down.map((server) => server.start()));
  }

  /** Every kind once in an order of chance, then again, as often as there are rounds. */
  async #lane(faults: readonly FaultName[], stop: AbortSignal): Promise<void> {
    const { random, gapMs, rounds } = this.#options;
    for (let round = 1; round <= rounds && !stop.aborted; round += 1) {
      for (const fault of random.shuffled(faults)) {
        await sleep(random.between(...gapMs), undefined, { signal: stop }).catch(() => {});
        if (stop.aborted) return;
        await this.strike(fault, stop);
      }
    }
  }

  async strike(fault: FaultName, stop: AbortSignal): Promise<void> {
    const atMs = this.#options.clock();
    this.struck.push({ fault, atMs, ...(await this.#strike(fault, stop)) });
  }

  async #strike(fault: FaultName, stop: AbortSignal): Promise<Strike> {
    const { random, cutters, commitCutter, postgres, pauseMs, longPauses } = this.#options;
    switch (fault) {
      case 'kill':
        return this.#onVictim(stop, async (victim) => {
          await victim.kill();
          await sleep(random.between(0, 800));
          await victim.start();
          return hit(victim.name);
        });
      case 'pause':
        return this.#onVictim(stop, async (victim) => {
          const ms = random.chance(longPauses) ? pauseMs : random.between(200, 2000);
          victim.pause();
          await sleep(ms, undefined, { signal: stop }).catch(() => {});
          victim.resume();
          return hit(`${victim.name} for ${ms} ms`);
        });
      case 'hold':
        return this.#onVictim(stop, (victim) => this.#hold(victim, stop));
      case 'cut': {
        const cut = random.pick(REPLY_CUTS);
        const count = random.between(1, 6);
        for (const cutter of cutters) cutter.cutNext(cut, count);
        return hit(`${count} a server, ${cut}`);
      }
      case 'cut-commit': {
        const cut = random.pick(COMMIT_CUTS);
        commitCutter.cutNext(cut, random.between(1, 3));
        return hit(cut);
      }
      case 'cut-call':
        return this.#cutWrites(CALL_CUTS, stop);
      case 'cut-batch':
        return this.#cutWrites(BATCH_CUTS, stop);
      case 'restart':
        await postgres.restartAtOnce();
        return hit('');
      case 'clock':
        return this.#setBack();
      case 'overtake': {
        const isOvertaken = await overtake(this.#options.leaver, { url: postgres.url, random, stop });
        return isOvertaken ? hit('a run ended before its grant was written') : missed();
      }
      case 'rival': {
        const isAsked = await rival(this.#options.leaver, { url: postgres.url, random, stop });
        return isAsked ? hit('asked before the grant of the same was written') : missed();
      }
    }
  }

  /** Takes one of the servers that are up, if that leaves another. */
  async #onVictim(stop: AbortSignal, strike: (victim: ServerProcess) => Promise<Strike>): Promise<Strike> {
    const { random, servers } = this.#options;
    const free = () => servers.filter((server) => server.standing === 'up' && !this.#taken.has(server));
    while (free().length < 2) {
      if (stop.aborted) return missed('nobody to spare');
      await sleep(50);
    }
    const victim = random.pick(free());
    this.#taken.add(victim);
    return strike(victim).finally(() => this.#taken.delete(victim));
  }

  async #hold(victim: ServerProcess, stop: AbortSignal): Promise<Strike> {
    const { postgres, repo, pauseMs } = this.#options;
    const isHolding = await pauseWhileHolding(victim, { url: postgres.url, repo, stop });
    if (isHolding) await sleep(pauseMs, undefined, { signal: stop }).catch(() => {});
    victim.resume();
    return isHolding ? hit(`${victim.name} held the row of ${repo}`) : missed();
  }

  /** In both forms, and waits for the first of each: none may come for a while. */
  async #cutWrites(cuts: readonly WriteCut[], stop: AbortSignal): Promise<Strike> {
    const { random, commitCutter } = this.#options;
    const before = new Map(cuts.map((cut) => [cut, commitCutter.cut(cut)]));
    const each = random.between(1, 3);
    for (let pair = 1; pair <= each; pair += 1) for (const cut of random.shuffled(cuts)) commitCutter.cutNext(cut);
    const isMade = () => cuts.every((cut) => commitCutter.cut(cut) > before.get(cut)!);
    const untilMs = performance.now() + WRITES_COME_MS;
    while (!isMade() && performance.now() < untilMs && !stop.aborted) await sleep(20);
    return isMade() ? hit(`${each} of each form`) : missed();
  }

  async #setBack(): Promise<Strike> {
    const { databaseClock, postgres, random, setBackAtMostMs } = this.#options;
    const left = setBackAtMostMs - this.setBacks.reduce((sum, { byMs }) => sum + byMs, 0);
    const byMs = Math.min(left, random.between(500, 4000));
    if (byMs <= 0) return missed('far enough back');
    const fromMs = Date.now();
    await databaseClock.setBack(postgres, byMs);
    this.setBacks.push({ fromMs, toMs: Date.now(), byMs });
    return hit(`${byMs} ms`);
  }
}
