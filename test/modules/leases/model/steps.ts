import type { Reply } from '../../../support/server.ts';
import type { Asked, Model, Request } from './reference.ts';
import type { World } from './world.ts';

/** One request to the server. Leases and tickets are named by their places in the model's lists. */
export type Step =
  | { readonly kind: 'acquire'; readonly request: Request; readonly waitSeconds: number; readonly key: string | null }
  /** The same, asked with the edit itself. */
  | { readonly kind: 'admit'; readonly request: Request }
  /** Of a request whose answer was kept; `isOther`: with another body. */
  | { readonly kind: 'retry'; readonly asked: Asked; readonly isOther: boolean }
  | {
      readonly kind: 'renew' | 'release';
      readonly lease: number;
      readonly by: number;
      readonly isRightFence: boolean;
      readonly ttlSeconds: number | null;
    }
  | { readonly kind: 'revoke'; readonly lease: number; readonly isAdmin: boolean }
  | { readonly kind: 'heartbeat' | 'finish'; readonly run: number }
  | { readonly kind: 'cancel' | 'poll'; readonly ticket: number; readonly by: number }
  | { readonly kind: 'look'; readonly lease: number };

/** So short that the answer is the ticket. */
export const AT_ONCE = 0.001;
/** As long as it takes: the request is held open, in the background. */
export const HELD_OPEN = 300;
const REASON = 'taken back by the model';

export const acquireBody = (world: World, { request, waitSeconds }: Pick<Asked, 'request' | 'waitSeconds'>) => ({
  ...world.bodyOf(request),
  ...(waitSeconds > 0 ? { waitSeconds } : {}),
});

export async function send(world: World, m: Model, step: Step, server: number): Promise<Reply> {
  const lease = 'lease' in step ? m.leases[step.lease]! : null;
  switch (step.kind) {
    case 'acquire':
      return world.as(step.request.run, server).post('/leases', acquireBody(world, step), keyed(step.key));
    case 'admit': {
      const { mode, ttlSeconds, patterns: _none, ...named } = world.bodyOf(step.request);
      const body = { ...named, action: 'path.edit', lease: { mode, ttlSeconds } };
      return world.as(step.request.run, server).post('/admissions', body);
    }
    case 'retry': {
      const { asked } = step;
      const body = { ...acquireBody(world, asked), ...(step.isOther ? { purpose: 'another one' } : {}) };
      return world.as(asked.request.run, server).post('/leases', body, keyed(asked.key));
    }
    case 'renew':
    case 'release': {
      const fence = lease!.fence! + (step.isRightFence ? 0 : 1);
      const body = { fence, ...(step.ttlSeconds === null ? {} : { ttlSeconds: step.ttlSeconds }) };
      return world.as(step.by, server).post(`/leases/${lease!.id}/${step.kind}`, body);
    }
    case 'revoke': {
      const caller = step.isAdmin ? world.admin(server) : world.as(lease!.run, server);
      return caller.post(`/leases/${lease!.id}/revoke`, { reason: REASON });
    }
    case 'heartbeat':
      return world.as(step.run, server).post(`/runs/${m.runs[step.run]!.id}/heartbeat`, { epoch: 1 });
    case 'finish':
      return world
        .as(step.run, server)
        .post(`/runs/${m.runs[step.run]!.id}/finish`, { epoch: 1, outcome: { status: 'succeeded' } });
    case 'cancel':
      return world.as(step.by, server).delete(`/lease-tickets/${m.tickets[step.ticket]!.id}`);
    case 'poll':
      return world.as(step.by, server).get(`/lease-tickets/${m.tickets[step.ticket]!.id}`);
    case 'look':
      return look(world, m, step.lease, server);
  }
}

/** One view of a lease from three sides: itself, the list of its repo, and a gate that asks about it. */
async function look(world: World, m: Model, index: number, server: number): Promise<Reply> {
  const { id, fence, repo } = m.leases[index]!;
  const admin = world.admin(server);
  const one = await admin.get(`/leases/${id}`);
  const list = await admin.get(`/leases?repo=${repo}&limit=500`);
  const paths = ['src/a.ts'];
  const gate = await admin.post('/leases/verify', { repo, paths, leases: [{ id, fence }] });
  const listed = list.body.items.map((item: { id: string }) => item.id);
  return { ...one, body: { state: one.body.state, listed, stale: gate.body.stale, ok: gate.body.ok } };
}

function keyed(key: string | null): Record<string, string> {
  return key === null ? {} : { 'idempotency-key': key };
}
