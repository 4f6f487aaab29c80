/**
 * `npm run bench:ingest [-- --json] [-- --seconds 5] [-- --rounds 3] [-- --connections 4]`
 * Spans through OTLP/HTTP (protobuf, key checked, row-level security, deduplicated, durable before 200) in requests of 512,
 * beside the same rows staged and inserted by a plain Node script on one connection, a transaction for every 512. The two
 * take turns in one run, so that a noisy machine is noisy for both; the medians are compared.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MeasuredSpans, SpanJob } from './ingest/job.ts';
import { post } from './lib/api.ts';
import { openDatabase } from './lib/database.ts';
import { type Child, median, report, startChild, stopChild } from './lib/harness.ts';

const option = (name: string, fallback: number) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const seconds = option('seconds', 5);
const rounds = option('rounds', 3);
const connections = option('connections', 4);
const ROOT_KEY = 'bench-root-key-bench-root-key-bench-root-key';
/** Ours does what the script does, and besides takes HTTP, checks the key, decodes protobuf and judges each span. */
const GOAL = 0.7;

async function main(): Promise<void> {
  const { url, close } = await openDatabase();
  let child: Child | undefined;
  try {
    child = await startChild('signalbox.ts', [url, ROOT_KEY]);
    await compare(child.port, url);
  } finally {
    if (child !== undefined) await stopChild(child);
    await close();
  }
}

async function compare(port: number, url: string): Promise<void> {
  const { apiKey } = await post(port, '/orgs', ROOT_KEY, { slug: `bench-${process.pid}`, name: 'Bench' });
  const rates = { ours: [] as number[], plain: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of ['plain', 'ours'] as const) {
      const job = { kind, port, url, key: apiKey.secret, connections: kind === 'ours' ? connections : 1, seconds };
      const measured = await runJob(job);
      rates[kind].push(measured.spansPerSecond);
      console.log(
        `  round ${round + 1} ${kind.padEnd(5)} ${measured.spansPerSecond.toFixed(0)} spans/s, a request of 512 p50 ${measured.p50Ms.toFixed(1)} p99 ${measured.p99Ms.toFixed(1)} ms`,
      );
    }
  }
  const [ours, baseline] = [median(rates.ours), median(rates.plain)];
  const name = 'ingest-vs-plain-node';
  report(
    'Spans durable, authenticated, deduplicated, beside plain Node staging the same rows on one connection',
    [{ name, ours, baseline, ratio: ours / baseline, goal: GOAL }],
    () => 'spans/s',
  );
}

async function runJob(job: SpanJob): Promise<MeasuredSpans> {
  const script = fileURLToPath(new URL('ingest/job.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script, JSON.stringify(job)]);
  return JSON.parse(stdout) as MeasuredSpans;
}

await main();
