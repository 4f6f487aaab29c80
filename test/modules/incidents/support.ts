import type { Reply } from '../../support/server.ts';
import { file, newCommit, report } from '../changes/support.ts';
import { REPO, type Runner } from '../leases/support.ts';

export const SERVICE = 'checkout';
export const ENVIRONMENT = 'production';

export const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();

/** A recorded change with a commit of its own. */
export interface Landed {
  readonly id: string;
  readonly commit: string;
}

/** Records a change to these paths through the API. */
export async function land(
  runner: Runner,
  paths: readonly string[],
  more: Record<string, unknown> = {},
): Promise<Landed> {
  const commit = newCommit();
  const files = paths.map((path) => file(path, `before ${commit}`, `after ${commit}`));
  const { status, body } = await report(runner, { commit, files, ...more });
  if (status !== 201) throw new Error(`expected 201, got ${status}: ${JSON.stringify(body)}`);
  return { id: body.id, commit };
}

type Poster = Pick<Runner['caller'], 'post'>;

export function deploy(
  caller: Poster,
  body: Record<string, unknown>,
  headers?: Record<string, string>,
): Promise<Reply> {
  return caller.post('/deploys', { service: SERVICE, environment: ENVIRONMENT, repo: REPO, ...body }, headers);
}

export function open(caller: Poster, body: Record<string, unknown>, headers?: Record<string, string>): Promise<Reply> {
  const incident = { title: 'Payments fail', service: SERVICE, environment: ENVIRONMENT, startedAt: hoursAgo(0) };
  return caller.post('/incidents', { ...incident, evidence: { paths: ['src/pay.ts'] }, ...body }, headers);
}
