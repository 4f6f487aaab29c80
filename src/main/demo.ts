import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Signalbox } from '../app.ts';
import { PACKAGE_ROOT } from '../platform/package-root.ts';
import { keep, readKept } from './kept-file.ts';

const DEMO_FILE = 'demo.json';
export const DEMO_REPO = 'acme/shop';
/** A path that the demo's published policy sends to a human. */
export const DEMO_GUARDED_PATH = 'services/payments/ledger.ts';

const demoSchema = z.object({
  org: z.string(),
  adminKey: z.string(),
  members: z.array(z.object({ name: z.string(), key: z.string() })).min(1),
});

/** What the first start made, to be printed by every start. */
export type Demo = z.output<typeof demoSchema>;

type Http = Pick<Signalbox['app'], 'inject'>;
type Answer = { readonly id: string; readonly secret: string };

const MEMBERS = [
  { name: 'Ada', email: 'ada@example.com' },
  { name: 'Grace', email: 'grace@example.com' },
];
/** The teams that the example policies ask for approval. */
const TEAMS = ['payments', 'platform'];
const PUBLISHED = 'payments-checkpoint';
/** Left a draft: a freeze by date and hour would puzzle whoever only wants to look around. */
const DRAFTED = 'no-night-deploys';
const LEASE_SECONDS = 86_400;

const LOOP = `name: checkout-refactor
repo: ${DEMO_REPO}
description: Moves checkout to the new tax rules, a little every night.
trigger: cron("0 2 * * MON-FRI")
scope: [services/checkout/**]
team: payments
guardrails: { max_iterations: 5, budget: $5/run, halt_on: no_progress(2) }
`;

/**
 * The demo org as the data directory remembers it; made on the first start, through the API like everything else.
 * Every request has an Idempotency-Key of its own, so that a start that was killed in the middle is taken up by the
 * next one. Null when it cannot be completed: the org is there, and its keys are not.
 * @throws Error when the API refuses what it should not.
 */
export async function ensureDemo(app: Http, rootKey: string, dataDirectory: string): Promise<Demo | null> {
  const kept = await readKept(dataDirectory, DEMO_FILE);
  if (kept !== null) return demoSchema.parse(JSON.parse(kept));
  const org = await createOrg(app, rootKey);
  if (org === null) return null;
  const demo = await furnish(app, org);
  await keep(dataDirectory, DEMO_FILE, `${JSON.stringify(demo, null, 2)}\n`);
  return demo;
}

/** Null when the slug is taken by an org whose key nobody kept. */
async function createOrg(app: Http, rootKey: string): Promise<{ slug: string; adminKey: string } | null> {
  const body = { slug: 'demo', name: 'Demo' };
  const answer = await request(app, { method: 'POST', url: '/orgs', key: rootKey, step: 'org', body });
  if (isLost(answer)) return null;
  const { apiKey } = created('the org', answer) as { apiKey: Answer };
  return { slug: body.slug, adminKey: apiKey.secret };
}

/** Made by an earlier start, too long ago or under another root key, so that its answer cannot be had again. */
function isLost({ status, body }: Reply): boolean {
  const { code } = body as { code?: unknown };
  return (status === 409 && code === 'slug_taken') || (status === 422 && code === 'idempotency_mismatch');
}

async function furnish(app: Http, { slug, adminKey }: { slug: string; adminKey: string }): Promise<Demo> {
  const post = poster(app, adminKey);
  const teams: string[] = [];
  for (const name of TEAMS) teams.push((await post<Answer>(`team-${name}`, '/teams', { name })).id);
  const members: Demo['members'] = [];
  for (const { name, email } of MEMBERS) {
    const member = await post<Answer>(`member-${name}`, '/members', { name, email, teams });
    const key = { name: `${name}'s key`, role: 'member', memberId: member.id };
    members.push({ name, key: (await post<Answer>(`key-${name}`, '/api-keys', key)).secret });
  }
  for (const name of [PUBLISHED, DRAFTED]) await draft(app, adminKey, name);
  await post('publish', `/policies/${PUBLISHED}/publish`, { expectedVersion: 0 });
  await startLoop(app, members[0]!.key);
  return { org: slug, adminKey, members };
}

async function draft(app: Http, key: string, name: string): Promise<void> {
  const body = await readFile(path.join(PACKAGE_ROOT, 'policies', `${name}.yaml`), 'utf8');
  created(
    `the policy ${name}`,
    await request(app, { method: 'PUT', url: `/policies/${name}/draft`, key, step: name, body }),
  );
}

/** A loop of the first member's at work: there is something to see, and something to run into. */
async function startLoop(app: Http, key: string): Promise<void> {
  const post = poster(app, key);
  const loop = await post<Answer>('loop', '/loops', LOOP);
  const run = await post<Answer>('run', `/loops/${loop.id}/runs`, { trigger: 'cron', branch: 'loops/checkout' });
  await post('lease', '/leases', {
    repo: DEMO_REPO,
    runId: run.id,
    patterns: ['services/checkout/**'],
    ttlSeconds: LEASE_SECONDS,
    purpose: 'Checkout moves to the new tax rules; its tests change on purpose.',
  });
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

interface Request {
  readonly method: 'POST' | 'PUT';
  readonly url: string;
  readonly key: string;
  readonly step: string;
  /** Text is YAML. */
  readonly body: string | object;
}

function poster(app: Http, key: string) {
  return async <T>(step: string, url: string, body: string | object): Promise<T> =>
    created(step, await request(app, { method: 'POST', url, key, step, body })) as T;
}

async function request(app: Http, { method, url, key, step, body }: Request): Promise<Reply> {
  const reply = await app.inject({
    method,
    url: `/api/v1${url}`,
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': typeof body === 'string' ? 'application/yaml' : 'application/json',
      'idempotency-key': `demo-${step}`,
    },
    payload: body,
  });
  return { status: reply.statusCode, body: reply.json() };
}

function created(what: string, { status, body }: Reply): unknown {
  if (status < 300) return body;
  const { code, detail } = body as { code?: unknown; detail?: unknown };
  throw new Error(`demo: ${what} was refused with ${status} ${String(code)}: ${String(detail)}`);
}
