import { setTimeout as sleep } from 'node:timers/promises';
import type { Reply } from '../../../support/server.ts';
import { demand } from './demand.ts';
import { judge } from './judge.ts';
import { hear, type Model } from './reference.ts';
import { PATIENCE_MS } from './settling.ts';
import { acquireBody, HELD_OPEN, type Step, send } from './steps.ts';
import { type Seen, TooBusy, type World } from './world.ts';

/** Sends a request and compares its answer; one that will be held open is left open. */
export async function perform(m: Model, world: World, step: Step, server: number): Promise<Model> {
  const asked = step.kind === 'retry' ? step.asked : step.kind === 'acquire' ? step : null;
  note(m, step);
  const follows = step.kind === 'retry' && !step.isOther ? m.kept.get(step.asked.key)! : null;
  const isOpen = asked?.waitSeconds === HELD_OPEN;
  if (isOpen && follows !== null && 'ticket' in follows && m.tickets[follows.ticket]!.status === 'waiting') {
    const { request } = asked;
    world.hold({ run: request.run, ticket: follows.ticket, server, body: acquireBody(world, asked), key: asked.key });
    await world.untilHeard(m.runs[request.run]!.id);
    hear(m.runs[request.run]!);
    world.trace.push('  held open, again');
    return m;
  }
  const reply =
    isOpen && step.kind === 'acquire' ? await ask(m, world, step, server) : await send(world, m, step, server);
  tellReply(world, reply);
  judge(m, step, reply, true);
  return m;
}

/** Under one key there is one request. */
export function note(m: Model, step: Step): void {
  if (step.kind !== 'acquire' || step.key === null || m.kept.has(step.key)) return;
  const { key, request, waitSeconds } = step;
  const at = m.asked.findIndex((asked) => asked.key === key);
  m.asked.splice(at < 0 ? m.asked.length : at, 1, { key, request, waitSeconds });
}

/** A request that is held open if it waits: the ticket in the database is its answer then, for the time being. */
async function ask(m: Model, world: World, step: Extract<Step, { kind: 'acquire' }>, server: number): Promise<Reply> {
  const { request, key } = step;
  const known = new Set(m.tickets.map(({ id }) => id));
  world.hold({ run: request.run, ticket: m.tickets.length, server, body: acquireBody(world, step), key });
  const held = world.held.at(-1)!;
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    const reply = await Promise.race([held.answer, sleep(5)]);
    if (reply !== undefined) {
      world.held.pop();
      demand(reply !== null, 'an answer', step);
      return reply;
    }
    const row = (await world.see()).tickets.find(({ id }) => !known.has(id));
    if (row !== undefined) return waitingReply(row);
    demand(Date.now() < deadline, 'an answer, or a ticket', step);
  }
}

function waitingReply({ id }: Seen['tickets'][number]): Reply {
  const headers = new Headers({ location: `/api/v1/lease-tickets/${id}` });
  return { status: 202, body: { ticket: { id, isOpen: true } }, headers };
}

/** Notes an answer. @throws TooBusy */
export function tellReply(world: World, { status, body }: Reply): void {
  if (status === 503) throw new TooBusy('503');
  world.answers.push(`${status} ${body?.code ?? ''}`);
  world.trace.push(`  -> ${status} ${body?.code ?? body?.ticket?.id ?? body?.lease?.id ?? body?.outcome ?? ''}`);
}

/** A step in words. */
export function tell(m: Model, step: Step): string {
  const parts: string[] = [step.kind];
  if ('request' in step) {
    const { run, repo, mode, claims } = step.request;
    parts.push(`run ${run} ${mode} ${repo} [${claims.map(({ text }) => text).join(' ')}]`);
  }
  if ('waitSeconds' in step) parts.push(`waits ${step.waitSeconds}`);
  if ('run' in step) parts.push(`run ${step.run}`);
  if ('by' in step) parts.push(`by run ${step.by}`);
  if ('lease' in step) parts.push(`lease ${m.leases[step.lease]!.id} of run ${m.leases[step.lease]!.run}`);
  if ('ticket' in step) parts.push(`ticket ${m.tickets[step.ticket]!.id} of run ${m.tickets[step.ticket]!.run}`);
  if ('asked' in step) parts.push(step.asked.key);
  return parts.join(' ');
}
