import { setTimeout as sleep } from 'node:timers/promises';
import { differences } from './compare.ts';
import { demand, Mismatch } from './demand.ts';
import { judgeTicketAnswer } from './judge-acquire.ts';
import { hearRefused, type Model } from './reference.ts';
import type { World } from './world.ts';

/** The model as it stands. Where things may have come in more than one order, what is seen afterwards tells which. */
export interface Holder {
  now: Model;
}
export const PATIENCE_MS = 8000;
/** Without a sweep a turn that has come is given at once: this is for a busy machine. */
const BEFORE_SWEEP_MS = 4000;

/** Waits until the rows are as one of the models says once it has settled; that is how things stand from then on. */
export async function settled(
  holder: Holder,
  world: World,
  models: readonly Model[],
  needsSweep: boolean,
): Promise<void> {
  await heard(world, models);
  if (needsSweep) await sweep(world);
  const started = Date.now();
  let late = false;
  for (let pauseMs = 2; ; pauseMs = Math.min(2 * pauseMs, 100)) {
    const seen = await world.see();
    const attempts = models.map((m) => structuredClone(m)).map((m) => ({ m, found: differences(m, seen) }));
    const right = attempts.find(({ found }) => found.length === 0);
    if (right !== undefined) {
      demand(!late, 'a turn at once, not by a sweep', attempts[0]!.m.tickets);
      holder.now = right.m;
      return answered(holder, world);
    }
    const spentMs = Date.now() - started;
    if (spentMs > PATIENCE_MS) throw new Mismatch(attempts.map(({ found }) => found.join('\n')).join('\nor\n'));
    if (spentMs > BEFORE_SWEEP_MS) {
      late = !needsSweep;
      await sweep(world);
    }
    await sleep(pauseMs);
  }
}

/**
 * A refusal is a beat that is written soon after the answer, and not at all by a server that remembers one of a moment ago:
 * that a run has been silent for an hour is made up here. So it is written here once more.
 */
async function heard(world: World, models: readonly Model[]): Promise<void> {
  const [{ runs, refused }] = models as [Model];
  for (const at of refused) if (models.some((m) => m.runs[at]!.status === 'silent')) await world.hear(runs[at]!.id);
  for (const m of models) {
    hearRefused(m);
    m.refused.clear();
  }
}

const sweep = (world: World): Promise<void> => world.fleet.servers[0]!.signalbox.services.housekeeping.pass();

/** Requests that were held open for tickets that are settled now have been answered. */
async function answered({ now }: Holder, world: World): Promise<void> {
  const isSettled = (at: number) => now.tickets[at]!.status !== 'waiting';
  for (const request of world.held.filter((it) => isSettled(it.ticket))) {
    const ticket = now.tickets[request.ticket]!;
    world.held.splice(world.held.indexOf(request), 1);
    const reply = await Promise.race([request.answer, sleep(PATIENCE_MS, undefined, { ref: false })]);
    demand(reply !== undefined && reply !== null, 'an answer to the request held open', ticket);
    judgeTicketAnswer(now, ticket, reply, true);
  }
}

/** At the end nothing is left to do: a sweep changes nothing, and nobody who holds and wants nothing is in an index. */
export async function atRest(holder: Holder, world: World): Promise<void> {
  await settled(holder, world, [holder.now], true);
  const stray = await world.strayKeys();
  demand(stray.length === 0, 'no stray keys', stray);
  for (const { status, reason } of holder.now.tickets) world.answers.push(`ticket ${status} ${reason ?? ''}`);
  for (const { end } of holder.now.leases) world.answers.push(`lease ${end}`);
}
