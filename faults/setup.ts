import type { Agent } from 'node:http';
import { type Reply, type Request, send } from './rig/http.ts';
import { REPOS } from './workload/ground.ts';

export const LOCK_DELAY_SECONDS = 1;
/** The shortest that there is: a client that naps is stalled for a while. */
const STALL_SECONDS = 10;
const OWNERS = 5;

export interface Prepared {
  readonly orgId: string;
  readonly adminSecret: string;
  /** Members, each with a key and a loop. */
  readonly owners: readonly { readonly secret: string; readonly keyId: string; readonly loopId: string }[];
}

/** An org with short delays, and those who will use it. Nothing breaks yet. */
export async function prepare(port: number, rootKey: string, agent: Agent): Promise<Prepared> {
  const call = async (secret: string, method: Request['method'], path: string, body?: unknown): Promise<Reply> => {
    const reply = await send(agent, { port, method, path, secret, body, timeoutMs: 20_000 });
    if (reply === null) throw new Error(`${method} ${path}: no answer`);
    return reply;
  };
  const made = async (secret: string, path: string, body: unknown): Promise<Record<string, never>> => {
    const reply = await call(secret, 'POST', path, body);
    if (reply.status >= 300) throw new Error(`${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body as Record<string, never>;
  };
  const { org, apiKey } = await made(rootKey, '/orgs', { slug: 'faults', name: 'Faults' });
  const adminSecret = String(apiKey!['secret']);
  const settings = { lockDelaySeconds: LOCK_DELAY_SECONDS, stallSeconds: STALL_SECONDS };
  const patched = await call(adminSecret, 'PATCH', '/org/settings', settings);
  if (patched.status !== 200) throw new Error(`/org/settings: ${patched.status}`);
  const owners: { secret: string; keyId: string; loopId: string }[] = [];
  for (let n = 1; n <= OWNERS; n += 1) {
    const member = await made(adminSecret, '/members', { name: `Owner ${n}`, email: `owner${n}@example.com` });
    const key = await made(adminSecret, '/api-keys', { name: `key ${n}`, role: 'member', memberId: member['id'] });
    const secret = String(key['secret']);
    const loop = await made(secret, '/loops', { name: `loop-${n}`, repo: REPOS[n % REPOS.length] });
    owners.push({ secret, keyId: String(key['id']), loopId: String(loop['id']) });
  }
  return { orgId: String(org!['id']), adminSecret, owners };
}
