import { median } from '../lib/harness.ts';
import type { Measured } from '../lib/job.ts';
import { type Baselines, baselineProbes } from './baseline-probes.ts';
import type { Drive, Subject } from './subject.ts';

export type Probe = () => Promise<Measured>;

/** Probes that take turns, round after round. */
export interface Stage {
  /** What the medians are of. */
  readonly figure: 'perSecond' | 'p99Ms';
  prepare?(): Promise<void>;
  readonly probes: Readonly<Record<string, Probe>>;
}

/** A row of the table: one probe over another. */
export interface Row {
  readonly name: string;
  readonly ours: string;
  readonly baseline: string;
  readonly goal: number;
  readonly lowerIsBetter?: boolean;
}

export const ROWS: readonly Row[] = [
  { name: 'one-repo-128-vs-echo', ours: 'one-repo', baseline: 'echo', goal: 0.5 },
  { name: 'one-repo-128-vs-insert', ours: 'one-repo', baseline: 'insert', goal: 1 },
  { name: 'one-repo-128-vs-etcd', ours: 'one-repo', baseline: 'etcd', goal: 5 },
  { name: 'one-connection-vs-insert', ours: 'one-connection', baseline: 'insert-1', goal: 0.5 },
  { name: 'repos-64-vs-echo', ours: 'repos-64', baseline: 'echo', goal: 0.5 },
  { name: 'contended-vs-one-repo', ours: 'contended', baseline: 'one-repo', goal: 0.7 },
  { name: 'keyed-vs-one-repo', ours: 'keyed', baseline: 'one-repo', goal: 0.7 },
  { name: 'renew-vs-acquire', ours: 'renew', baseline: 'one-repo', goal: 1 },
  { name: 'live-100k-vs-100', ours: 'live-100k', baseline: 'live-100', goal: 0.9 },
  { name: 'waiters-10k-vs-0', ours: 'waiters-10k', baseline: 'waiters-0', goal: 0.9 },
  { name: 'p99-half-load-vs-insert', ours: 'p99-ours', baseline: 'p99-insert', goal: 2, lowerIsBetter: true },
];

const HOT_FILES = 1000;
/** So that 128 connections hold about half of the hot files, and about half of what is asked for is refused. */
const HOLD = 4;
const RENEWED_LEASES = 1000;
const LIVE_MANY = 100_000;
const LIVE_FEW = 100;
/** Acquires in a repo with few leases, before the next such repo takes its place: else it would not have few for long. */
const STAY = 500;
const WAITERS = 10_000;
const WAITED_FOR = 1000;

export interface StageOptions {
  readonly seconds: number;
  readonly rounds: number;
  /** Acquires a second on one repo with 128 connections, as measured in this run. */
  peak(): Promise<number>;
}

/** Of the two orgs `empty` stays so but for what is measured in it: what others hold there cannot hide what it costs. */
export function createStages(ours: Subject, empty: Subject, baselines: Baselines, options: StageOptions): Stage[] {
  const drive: Drive = { connections: 128, seconds: options.seconds, warmupSeconds: 2 };
  return [
    rates(ours, baselines, drive),
    latencies(ours, baselines, drive, options),
    liveLeases(ours, empty, drive, options),
    waiters(ours, empty, drive),
  ];
}

function rates(ours: Subject, baselines: Baselines, drive: Drive): Stage {
  const alone = { ...drive, connections: 1, warmupSeconds: 1 };
  let renew: ((drive: Drive) => Promise<Measured>) | undefined;
  const { echo, insert, etcd } = baselineProbes(baselines, ours.lanes);
  return {
    figure: 'perSecond',
    async prepare() {
      renew = await ours.renewals('acme/renewed', RENEWED_LEASES);
    },
    probes: {
      echo: () => echo(drive),
      insert: () => insert(drive),
      ...(etcd === null ? {} : { etcd: () => etcd(drive) }),
      'one-repo': () => ours.acquire('acme/shop', drive),
      'insert-1': () => insert(alone),
      'one-connection': () => ours.acquire('acme/quiet', alone),
      'repos-64': () => ours.acquire('acme/service-{n%64}', drive),
      contended: () => ours.fight('acme/arena', { files: HOT_FILES, hold: HOLD }, drive),
      keyed: () => ours.acquireKeyed('acme/shop', drive),
      renew: () => renew!(drive),
    },
  };
}

function liveLeases(ours: Subject, empty: Subject, drive: Drive, { rounds, peak }: StageOptions): Stage {
  let round = 0;
  let repos = 0;
  return {
    figure: 'perSecond',
    async prepare() {
      // Half as many again as are needed at the peak; were they too few, the first would be used twice.
      repos = Math.ceil((1.5 * (await peak()) * (drive.warmupSeconds + drive.seconds)) / STAY);
      for (let at = 0; at < rounds; at += 1) await empty.fill(`acme/few-${at}-{i/${LIVE_FEW}}`, LIVE_FEW * repos);
      await ours.fill('acme/many', LIVE_MANY);
      await expectLive(empty, 'acme/few-0-0', LIVE_FEW);
      await expectLive(ours, 'acme/many', LIVE_MANY);
    },
    probes: {
      'live-100': () => empty.acquire(`acme/few-${round++}-{i/${STAY}%${repos}}`, drive),
      'live-100k': () => ours.acquire('acme/many', drive),
    },
  };
}

async function expectLive(ours: Subject, repo: string, leases: number): Promise<void> {
  const live = await ours.log.liveLeases(repo);
  if (live !== leases) throw new Error(`${repo} has ${live} live leases, not ${leases}`);
}

/** Two repos alike, with the same files held; for those of the one, ten runs wait for each. */
function waiters(ours: Subject, empty: Subject, drive: Drive): Stage {
  let since = 0;
  return {
    figure: 'perSecond',
    async prepare() {
      since = await ours.log.seq();
      await empty.block('acme/unwanted', WAITED_FOR);
      await ours.block('acme/wanted', WAITED_FOR);
      await ours.queue('acme/wanted', WAITED_FOR, WAITERS);
    },
    probes: {
      'waiters-0': () => empty.acquire('acme/unwanted', drive),
      'waiters-10k': async () => {
        const measured = await ours.acquire('acme/wanted', drive);
        // They must still be waiting, or it was not measured beside them.
        await ours.log.expect(since, { 'lease.queued': WAITERS, 'lease.wait_ended': 0 });
        return measured;
      },
    },
  };
}

function latencies(ours: Subject, baselines: Baselines, drive: Drive, { peak }: StageOptions): Stage {
  const { insert } = baselineProbes(baselines, ours.lanes);
  let rate = 0;
  return {
    figure: 'p99Ms',
    async prepare() {
      rate = Math.round((await peak()) / 2);
      console.log(`  open loop: ${rate} requests a second`);
    },
    probes: {
      'p99-insert': () => insert({ ...drive, rate }),
      'p99-ours': () => ours.acquire('acme/shop', { ...drive, rate }),
    },
  };
}

/** Runs what these rows need. Returns the median of each probe. */
export async function measureStages(
  stages: readonly Stage[],
  rows: readonly Row[],
  rounds: number,
  medians: Map<string, number>,
): Promise<void> {
  const wanted = new Set(rows.flatMap(({ ours, baseline }) => [ours, baseline]));
  for (const { figure, prepare, probes } of stages) {
    const names = Object.keys(probes).filter((name) => wanted.has(name));
    if (names.length === 0) continue;
    if (prepare !== undefined) {
      const startedAt = performance.now();
      await prepare();
      console.log(`  prepared ${names.join(', ')} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
    }
    const values = new Map<string, number[]>(names.map((name) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      // There and back, so that a drift is not to the advantage of the same one each time.
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        const measured = await probes[name]!();
        values.get(name)!.push(measured[figure]);
        console.log(`  round ${round + 1} ${name.padEnd(16)} ${describe(measured)}`);
      }
    }
    for (const [name, list] of values) medians.set(name, median(list));
  }
}

function describe({ perSecond, p50Ms, p99Ms, lateP99Ms, answers }: Measured): string {
  const late = lateP99Ms === undefined ? '' : `, sent late p99 ${lateP99Ms.toFixed(1)} ms`;
  const kinds = Object.entries(answers);
  const mix = kinds.length < 2 ? '' : ` (${kinds.map(([kind, count]) => `${kind} ${count}`).join(', ')})`;
  return `${perSecond.toFixed(0).padStart(6)}/s  p50 ${p50Ms.toFixed(2)}  p99 ${p99Ms.toFixed(2)} ms${late}${mix}`;
}
