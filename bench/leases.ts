/**
 * `npm run bench:leases [-- --json] [-- --seconds 4] [-- --rounds 3] [-- --only name,name]`
 * Leases through the whole server (key check, validation, row-level security, exact overlap, the event, a durable commit
 * before the answer), each on a path of its own, beside a bare Fastify echo of the same body, a Fastify route that does one
 * durable single-row INSERT, and etcd's create-if-absent if `etcd` is on PATH. All take turns in one run, so that a noisy
 * machine is noisy for all of them; the medians are compared. Every answer is checked, and the answers against the log.
 */

import { type Baselines, baselineProbes } from './leases/baseline-probes.ts';
import { startEtcd } from './leases/etcd.ts';
import { createStages, measureStages, ROWS, type Row } from './leases/stages.ts';
import { Subject } from './leases/subject.ts';
import { openDatabase } from './lib/database.ts';
import { type Child, type Result, report, startChild, stopChild } from './lib/harness.ts';

const ROOT_KEY = 'bench-root-key-bench-root-key-bench-root-key';
/** Long enough for the just-in-time compiler: a cold server is another thing than a slow one. */
const WARM_UP = { connections: 128, seconds: 6, warmupSeconds: 0 };

const given = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const seconds = Number(given('seconds') ?? 4);
const rounds = Number(given('rounds') ?? 3);

function selectedRows(): Row[] {
  const only = given('only')?.split(',');
  const unknown = only?.find((name) => !ROWS.some((row) => row.name === name));
  if (unknown !== undefined) throw new Error(`no row ${unknown}: there are ${ROWS.map(({ name }) => name).join(', ')}`);
  return ROWS.filter(({ name }) => only?.includes(name) ?? true);
}

/** What was started, to be ended in reverse. */
const closing: (() => Promise<unknown>)[] = [];

async function main(): Promise<void> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
  try {
    await Promise.race([bench(selectedRows()), interrupted]);
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

async function bench(selected: readonly Row[]): Promise<void> {
  const database = await openDatabase();
  closing.push(database.close);
  const etcd = selected.some(({ baseline }) => baseline === 'etcd') ? await startEtcd() : null;
  if (etcd !== null) closing.push(etcd.close);
  const { port } = await start('signalbox.ts', [database.url, ROOT_KEY]);
  const baselines = {
    echo: (await start('baselines.ts', ['echo'])).port,
    insert: (await start('baselines.ts', ['insert', database.url])).port,
    etcd: etcd?.port ?? null,
  };
  const org = async (name: string) => {
    const subject = await Subject.prepare(port, database.url, ROOT_KEY, name);
    closing.push(() => subject.log.close());
    return subject;
  };
  const [ours, empty] = [await org('ours'), await org('empty')];
  const rows = selected.filter(({ baseline }) => baseline !== 'etcd' || etcd !== null);
  const results = await compare(ours, empty, baselines, rows);
  if (rows.length < selected.length) console.log('\none-repo-128-vs-etcd is left out: `etcd` is not on PATH');
  report('Leases, durable, authenticated, with their events', results, (name) =>
    name.startsWith('p99-') ? 'ms' : '/s',
  );
}

async function start(file: string, args: readonly string[]): Promise<Child> {
  const child = await startChild(file, args);
  closing.push(() => stopChild(child));
  return child;
}

async function compare(ours: Subject, empty: Subject, baselines: Baselines, rows: readonly Row[]): Promise<Result[]> {
  const { echo, insert } = baselineProbes(baselines, ours.lanes);
  await echo(WARM_UP);
  await insert(WARM_UP);
  const warm = await ours.acquire('acme/warm-up', WARM_UP);
  const medians = new Map<string, number>();
  const peak = async () => medians.get('one-repo') ?? warm.perSecond;
  const stages = createStages(ours, empty, baselines, { seconds, rounds, peak });
  await measureStages(stages, rows, rounds, medians);
  return rows.map(({ name, ours: probe, baseline, goal, ...direction }) => {
    const [value, against] = [medians.get(probe)!, medians.get(baseline)!];
    return { name, ours: value, baseline: against, ratio: value / against, goal, ...direction };
  });
}

await main();
