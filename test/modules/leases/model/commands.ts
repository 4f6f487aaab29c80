import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import { CLOSING_SECONDS, LOW_SECONDS, PAST_SECONDS } from './compare.ts';
import { demand } from './demand.ts';
import { inAnyOrder } from './in-any-order.ts';
import { judge } from './judge.ts';
import { acquire, change, type Plan, pickLease, plan, RUNS, resolve } from './plans.ts';
import { endTicket, isDeadlocked, type Model } from './reference.ts';
import { note, perform, tell, tellReply } from './sending.ts';
import { type Holder, settled } from './settling.ts';
import { HELD_OPEN, type Step, send } from './steps.ts';
import { TooBusy, type World } from './world.ts';

const NOTICED_MS = 100;
/** Few enough for all orders to be tried. */
const AT_ONCE_MAX = 5;

type Command = fc.AsyncCommand<Holder, World>;

const mayLose = ({ kind }: Step): boolean => kind === 'release' || kind === 'revoke';
const anySilent = (m: Model): boolean => m.runs.some(({ status }) => status === 'silent');

/** What all commands share: they are told in the trace, and a mismatch comes with it. */
abstract class Told implements Command {
  abstract check({ now }: Readonly<Holder>): boolean;
  /** Returns whether a run may have lost what it held by it. */
  protected abstract act(holder: Holder, world: World): Promise<boolean>;
  abstract toString(): string;

  async run(holder: Holder, world: World): Promise<void> {
    world.trace.push(this.toString());
    try {
      const mayDeadlock = anySilent(holder.now) || isDeadlocked(holder.now);
      const lostSomething = await this.act(holder, world);
      // Nobody is let into a deadlock. What a run loses while it waits, or its coming back, may make one of waits that stood.
      const isRefused = mayDeadlock || lostSomething || !isDeadlocked(holder.now);
      demand(isRefused, 'no deadlock that nobody was refused for', holder.now.tickets);
    } catch (error) {
      if (error instanceof TooBusy) throw error;
      const trace = world.trace.slice(-40).join('\n');
      throw new Error(`${(error as Error).message}\nafter:\n${trace}`, { cause: error });
    }
  }
}

class One extends Told {
  readonly what: Plan;
  readonly server: number;

  constructor(what: Plan, server: number) {
    super();
    this.what = what;
    this.server = server;
  }

  check({ now }: Readonly<Holder>): boolean {
    return resolve(now, this.what) !== null;
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const wasSilent = anySilent(holder.now);
    const step = resolve(holder.now, this.what)!;
    world.trace.push(`  ${tell(holder.now, step)}`);
    const m = await perform(holder.now, world, step, this.server);
    await settled(holder, world, [m], wasSilent);
    return mayLose(step);
  }

  toString(): string {
    return `one@${this.server} ${JSON.stringify(this.what)}`;
  }
}

/** Requests at once: they must come out as if they had come one after the other, in any order. */
class Together extends Told {
  readonly plans: readonly Plan[];
  readonly servers: readonly number[];

  constructor(plans: readonly (readonly [Plan, number])[]) {
    super();
    this.plans = plans.map(([what]) => what);
    this.servers = plans.map(([, at]) => at);
  }

  check({ now }: Readonly<Holder>): boolean {
    return this.plans.every((what) => isShort(now, what));
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const m = holder.now;
    const steps = this.plans.map((what) => resolve(m, what)!);
    for (const step of steps) note(m, step);
    for (const step of steps) world.trace.push(`  ${tell(m, step)}`);
    const replies = await Promise.all(steps.map((step, at) => send(world, m, step, this.servers[at]!)));
    for (const reply of replies) tellReply(world, reply);
    const { models, problems } = inAnyOrder(
      m,
      steps.map((step, at) => ({ step, reply: replies[at]! })),
    );
    demand(models.length > 0, `one after the other: ${problems.join('\n')}`, null);
    await settled(holder, world, models, anySilent(m) || steps.some(({ kind }) => kind === 'finish'));
    return steps.some(mayLose);
  }

  toString(): string {
    return `together@${this.servers.join()} ${JSON.stringify(this.plans)}`;
  }
}

/** One that nothing leaves open. */
function isShort(m: Model, what: Plan): boolean {
  const step = resolve(m, what);
  if (step === null || step.kind === 'poll' || step.kind === 'look') return false;
  const asked = step.kind === 'retry' ? step.asked : step.kind === 'acquire' ? step : null;
  return asked === null || asked.waitSeconds !== HELD_OPEN;
}

/** A client that hangs up on a request held open. Without a key that leads back to it, its place is given up: unless others have it. */
class HangUp extends Told {
  readonly at: number;

  constructor(at: number) {
    super();
    this.at = at;
  }

  check(): boolean {
    return true;
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const [request] = world.held.splice(this.at % Math.max(1, world.held.length), 1);
    if (request === undefined) return false;
    world.trace.push(`  on ticket ${request.ticket}${request.isKept ? ' with a key' : ''}`);
    request.hangUp();
    // Until the server has noticed, it takes the run for alive.
    await sleep(NOTICED_MS);
    const m = holder.now;
    const ticket = m.tickets[request.ticket]!;
    if (!request.isKept && !ticket.joined) endTicket(ticket, 'cancelled', 'cancelled');
    await settled(holder, world, [m], anySilent(m));
    return false;
  }

  toString(): string {
    return `hang up ${this.at}`;
  }
}

/** Time passes for one lease: it runs low, runs out, or its lock delay is over too. */
class Expire extends Told {
  readonly lease: number;
  readonly how: 'low' | 'closing' | 'past';

  constructor(lease: number, how: 'low' | 'closing' | 'past') {
    super();
    this.lease = lease;
    this.how = how;
  }

  check({ now }: Readonly<Holder>): boolean {
    const at = pickLease(now, this.lease);
    if (at === null) return false;
    const { age, end } = now.leases[at]!;
    if (end !== null && end !== 'revoked') return false;
    return this.how === 'past' ? age !== 'past' : age === 'fresh';
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const m = holder.now;
    const lease = m.leases[pickLease(m, this.lease)!]!;
    const leftSeconds = { low: LOW_SECONDS, closing: CLOSING_SECONDS, past: PAST_SECONDS }[this.how];
    world.trace.push(`  lease ${lease.id} of run ${lease.run}`);
    await world.moveExpiry(lease.id!, leftSeconds);
    if (this.how === 'low') lease.leftSeconds = LOW_SECONDS;
    else lease.age = this.how;
    await settled(holder, world, [m], true);
    return true;
  }

  toString(): string {
    return `expire ${this.lease} ${this.how}`;
  }
}

/** A run is not heard of any more. */
class Silence extends Told {
  readonly who: number;

  constructor(who: number) {
    super();
    this.who = who;
  }

  check({ now }: Readonly<Holder>): boolean {
    return now.runs[this.who]!.status === 'running';
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const m = holder.now;
    const run = m.runs[this.who]!;
    // Whoever holds a request open for it speaks for it.
    if (world.held.some(({ ticket }) => m.tickets[ticket]!.run === this.who)) return false;
    await world.silence(run.id);
    run.status = 'silent';
    await settled(holder, world, [m], true);
    return true;
  }

  toString(): string {
    return `silence ${this.who}`;
  }
}

/**
 * A server dies: right after it has answered, so that whatever it would have done next is left to others; or, with a
 * request under a key, before the client knows, which then asks another server.
 */
class Crash extends Told {
  readonly server: number;
  readonly what: Plan;
  readonly afterMs: number | null;

  constructor(server: number, what: Plan, afterMs: number | null) {
    super();
    this.server = server;
    this.what = what;
    this.afterMs = afterMs;
  }

  check({ now }: Readonly<Holder>): boolean {
    return isShort(now, this.what);
  }

  async act(holder: Holder, world: World): Promise<boolean> {
    const m = holder.now;
    const step = resolve(m, this.what)!;
    note(m, step);
    world.trace.push(`  ${tell(m, step)}`);
    const isRetried = this.afterMs !== null && step.kind === 'acquire' && step.key !== null;
    const sent = send(world, m, step, this.server).catch(() => null);
    let reply = isRetried ? null : await sent;
    if (isRetried) await sleep(this.afterMs);
    await world.fleet.crash(this.server);
    for (const request of world.held.filter(({ server }) => server === this.server)) {
      world.held.splice(world.held.indexOf(request), 1);
      request.hangUp();
    }
    if (isRetried) {
      await sent;
      reply = await send(world, m, step, 1 - this.server);
    }
    demand(reply !== null, 'an answer', step);
    tellReply(world, reply);
    judge(m, step, reply, false);
    await settled(holder, world, [m], true);
    return mayLose(step);
  }

  toString(): string {
    return `crash@${this.server} after ${this.afterMs} ${JSON.stringify(this.what)}`;
  }
}

const server = fc.nat({ max: 1 });
const some = (weight: number, arbitrary: fc.Arbitrary<Command>) => ({ weight, arbitrary });

export const command: fc.Arbitrary<Command> = fc.oneof(
  some(
    16,
    fc.tuple(plan, server).map(([what, at]) => new One(what, at)),
  ),
  some(
    5,
    // Mostly of one server, where they meet in one batch.
    fc
      .tuple(
        fc.array(fc.tuple(change, server), { minLength: 2, maxLength: AT_ONCE_MAX }),
        fc.option(server, { freq: 3 }),
      )
      .map(([plans, one]) => new Together(plans.map(([what, at]) => [what, one ?? at]))),
  ),
  some(
    1,
    fc.nat().map((at) => new HangUp(at)),
  ),
  some(
    3,
    fc
      .tuple(
        fc.nat({ max: 999 }),
        fc.constantFrom('low' as const, 'closing' as const, 'closing' as const, 'past' as const),
      )
      .map(([lease, how]) => new Expire(lease, how)),
  ),
  some(
    1,
    fc.nat({ max: RUNS - 1 }).map((who) => new Silence(who)),
  ),
  some(
    1,
    fc
      .tuple(server, fc.oneof(acquire, change), fc.option(fc.nat({ max: 12 }), { freq: 2 }))
      .map(([at, what, afterMs]) => new Crash(at, what, afterMs)),
  ),
);
