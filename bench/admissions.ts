/**
 * `npm run bench:admissions [-- --json] [-- --seconds 5] [-- --rounds 3]`
 * Admissions (key check, validation, policies, exclusive lease, decision and two events, durable) on one repo, beside a bare
 * Fastify echo of the same body and a Fastify route that does one durable single-row INSERT. The three take turns in one
 * run, so that a noisy machine is noisy for all of them; the medians are compared.
 */
import { post } from './lib/api.ts';
import { openDatabase } from './lib/database.ts';
import { type Child, measure, median, type Result, report, startChild, stopChild } from './lib/harness.ts';

const option = (name: string, fallback: number) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const seconds = option('seconds', 5);
const rounds = option('rounds', 3);
const ROOT_KEY = 'bench-root-key-bench-root-key-bench-root-key';

const POLICY = `name: house
defaults: { path.edit: allow, path.delete: allow }
rules:
  - id: payments-need-a-human
    effect: require_approval
    actions: [path.edit, path.delete]
    where: { repo: acme/shop, path: { $glob: "services/payments/**" } }
    reason: Payments code moves money; a person looks first.
`;

async function main(): Promise<void> {
  const { url, close } = await openDatabase();
  const children: Child[] = [];
  try {
    children.push(
      await startChild('signalbox.ts', [url, ROOT_KEY]),
      await startChild('baselines.ts', ['echo']),
      await startChild('baselines.ts', ['insert', url]),
    );
    report(
      'Admissions on one repo, durable, beside a bare echo and one durable INSERT',
      await compare(children),
      (name) => (name.startsWith('one-') ? 'ms' : '/s'),
    );
  } finally {
    for (const child of children) await stopChild(child);
    await close();
  }
}

async function compare([ours, echo, insert]: Child[]): Promise<Result[]> {
  const { key, runId } = await prepare(ours!.port);
  const body = JSON.stringify({
    runId,
    repo: 'acme/shop',
    action: 'path.edit',
    paths: ['src/module-{n}/index.ts'],
    purpose: 'bench',
  });
  // Long enough for the just-in-time compiler: a cold server is another thing than a slow one.
  const common = { body, seconds, warmupSeconds: 6 };
  const jobs = {
    echo: { ...common, port: echo!.port, path: '/echo', headers: {}, expect: { status: 200, text: '"runId"' } },
    insert: { ...common, port: insert!.port, path: '/insert', headers: {}, expect: { status: 200, text: '"id"' } },
    ours: {
      ...common,
      port: ours!.port,
      path: '/api/v1/admissions',
      headers: { authorization: `Bearer ${key}` },
      // What is denied or waits is a 200, too, and cheaper. Only the answer itself begins so; the decision of one that waits says allow.
      expect: { status: 200, text: '{"outcome":"allow",' },
    },
  };
  const rates: Record<keyof typeof jobs, number[]> = { echo: [], insert: [], ours: [] };
  const trips: Record<keyof typeof jobs, number[]> = { echo: [], insert: [], ours: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const name of ['echo', 'insert', 'ours'] as const) {
      const many = await measure({ ...jobs[name], connections: 128 });
      const one = await measure({ ...jobs[name], connections: 1, seconds: Math.min(seconds, 3), warmupSeconds: 1 });
      rates[name].push(many.perSecond);
      trips[name].push(one.p50Ms);
      console.log(
        `  round ${round + 1} ${name.padEnd(6)} 128 connections ${many.perSecond.toFixed(0)}/s p50 ${many.p50Ms.toFixed(1)} p99 ${many.p99Ms.toFixed(1)} ms; 1 connection p50 ${one.p50Ms.toFixed(2)} p99 ${one.p99Ms.toFixed(2)} ms`,
      );
    }
  }
  const rate = (name: keyof typeof jobs) => median(rates[name]);
  const trip = (name: keyof typeof jobs) => median(trips[name]);
  return [
    {
      name: 'admissions-128-vs-echo',
      ours: rate('ours'),
      baseline: rate('echo'),
      ratio: rate('ours') / rate('echo'),
      goal: 0.5,
    },
    {
      name: 'admissions-128-vs-insert',
      ours: rate('ours'),
      baseline: rate('insert'),
      ratio: rate('ours') / rate('insert'),
      goal: 1,
    },
    {
      name: 'one-agent-round-trip-vs-insert',
      ours: trip('ours'),
      baseline: trip('insert'),
      ratio: trip('ours') / trip('insert'),
      goal: 2,
      lowerIsBetter: true,
    },
  ];
}

async function prepare(port: number): Promise<{ key: string; runId: string }> {
  const { apiKey } = await post(port, '/orgs', ROOT_KEY, { slug: `bench-${process.pid}`, name: 'Bench' });
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/policies/house/draft`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${apiKey.secret}`, 'content-type': 'application/yaml' },
    body: POLICY,
  });
  if (!response.ok) throw new Error(`the policy was answered ${response.status}: ${await response.text()}`);
  await post(port, '/policies/house/publish', apiKey.secret, {});
  const loop = await post(port, '/loops', apiKey.secret, { name: 'bench', repo: 'acme/shop' });
  const run = await post(port, `/loops/${loop.id}/runs`, apiKey.secret, {});
  return { key: apiKey.secret, runId: run.id };
}

await main();
