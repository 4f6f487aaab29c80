import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { Reply } from '../rig/http.ts';
import type { Call, Caller } from './caller.ts';
import type { Run, Ticket, Wanted } from './calls.ts';
import * as calls from './calls.ts';
import { quietWish, randomWish, type Wish } from './ground.ts';
import { leaseIn, type ToldLease, ticketIn } from './history.ts';
import { chooseStep, type Step } from './steps.ts';

export interface ClientOptions {
  readonly index: number;
  /** Clients of one owner may act for each other's runs. */
  readonly owner: number;
  readonly loopId: string;
  readonly caller: Caller;
  /** With an admin's key. */
  readonly admin: Caller;
  readonly random: Random;
  /** All clients, this one included. */
  readonly peers: () => readonly Client[];
  /** Longer than any lease and the lock delay after it. */
  readonly napMs: number;
}

const ATTEMPTS = 4;
/** Remembered of what is over, to be tried again all the same. */
const PAST = 8;

/**
 * An agent's harness as it is at its worst: takes and gives back leases of one run after the other, retries what was not
 * answered with the same key or without one, sleeps past its leases and goes on, and tries what it has no right to.
 */
export class Client {
  readonly index: number;
  readonly owner: number;
  readonly held = new Map<string, ToldLease>();
  readonly #options: ClientOptions;
  readonly #caller: Caller;
  readonly #random: Random;
  readonly #over: ToldLease[] = [];
  readonly #oldCalls: Call[] = [];
  readonly #tickets = new Map<string, Ticket>();
  #run: Run | null = null;
  #finished: Run | null = null;
  #names = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#caller = options.caller;
    this.#random = options.random;
    this.index = options.index;
    this.owner = options.owner;
  }

  get runId(): string | null {
    return this.#run?.id ?? null;
  }

  /** Until told to stop; what is under way then ends first. */
  async play(stop: AbortSignal): Promise<void> {
    // Not all at once: nobody's agents do.
    await sleep(this.#random.between(0, 1000));
    while (!stop.aborted) {
      const has = { leases: this.held.size, tickets: this.#tickets.size };
      if (this.#run === null) await this.#start();
      else await this.#step(chooseStep(this.#random, has), this.#run, stop);
      await sleep(this.#random.between(0, 25));
    }
  }

  /** Gives everything back and takes what still comes. Returns whether nothing is left to wait for when the time is up. */
  async settle(isWaiting: (runId: string) => Promise<boolean>, untilMs: number): Promise<boolean> {
    while (this.#run !== null) {
      if (performance.now() > untilMs) return false;
      for (const lease of this.held.values()) await this.#release(lease);
      for (const ticket of this.#tickets.values()) await this.#poll(ticket, this.#run);
      if (this.held.size + this.#tickets.size > 0) continue;
      // Of a ticket whose answer was lost only the database knows; who falls silent over it is passed over.
      if (!(await isWaiting(this.#run.id))) return true;
      await this.#heartbeat(this.#run);
      await sleep(100);
    }
    return true;
  }

  /** Ends the run for certain. */
  async leave(untilMs: number): Promise<void> {
    while (this.#run !== null && performance.now() < untilMs) await this.#finish(this.#run);
  }

  async #step(step: Step, run: Run, stop: AbortSignal): Promise<void> {
    const lease = this.held.size === 0 ? null : this.#random.pick([...this.held.values()]);
    const ticket = [...this.#tickets.values()].at(-1);
    switch (step) {
      case 'acquire':
        return this.#ask(this.#want(), run, this.#random.chance(0.4) ? this.#random.pick([0.3, 1, 2]) : 0);
      case 'admit':
        return this.#admit(run);
      case 'twins':
        return this.#twins(run);
      case 'quiet':
        return this.#quiet(run);
      case 'last-wish':
        return this.#lastWish(run);
      case 'renew':
        return lease === null ? undefined : this.#renew(lease, run);
      case 'release':
        return lease === null ? undefined : this.#release(lease);
      case 'verify':
        if (lease !== null && lease.paths.length > 0) await this.#caller.once(calls.verify(lease));
        return undefined;
      case 'heartbeat':
        return this.#heartbeat(run);
      case 'finish':
        return this.#finish(run);
      case 'resume':
        return this.#resume(run);
      case 'duplicate':
        // A proxy's retry, a queue that delivers twice: the same request with the same key, maybe long after.
        if (this.#oldCalls.length > 0) await this.#caller.once(this.#random.pick(this.#oldCalls));
        return undefined;
      case 'stale':
        return this.#stale(lease);
      case 'foreign':
        return this.#foreign();
      case 'revoke':
        return this.#revoke(lease, run);
      case 'poll':
        return ticket === undefined ? undefined : this.#poll(ticket, run);
      case 'cancel':
        return ticket === undefined ? undefined : this.#cancel(ticket, run);
      case 'impatient':
        return ticket === undefined ? undefined : this.#ask(this.#again(ticket.wish), run, 0);
      case 'nap':
        // As a laptop that is closed: the leases run out meanwhile, and it goes on as if they had not.
        return sleep(this.#options.napMs, undefined, { signal: stop }).catch(() => {});
    }
  }

  #newName(kind: 'wish' | 'key'): string {
    return `${kind}-${this.index}-${(this.#names += 1)}`;
  }

  #want(wish: Wish = randomWish(this.#random)): Wanted {
    const mode = this.#random.chance(0.75) ? 'exclusive' : 'shared';
    const ttlSeconds = this.#random.pick([5, 5, 5, 6, 8]);
    return { ...wish, mode, ttlSeconds, purpose: this.#newName('wish') };
  }

  /** The same once more, as another wish. */
  #again({ repo, paths, patterns, resources, mode, ttlSeconds }: Wanted | ToldLease): Wanted {
    return { repo, paths, patterns, resources, mode, ttlSeconds, purpose: this.#newName('wish') };
  }

  #maybeKey(share: number): string | null {
    return this.#random.chance(share) ? this.#newName('key') : null;
  }

  async #start(): Promise<void> {
    const reply = await this.#caller.insist(calls.start(this.#options.loopId, this.#newName('key')), ATTEMPTS);
    if (reply?.status === 201) this.#run = { id: String(reply.body['id']), epoch: 1 };
  }

  async #ask(wanted: Wanted, run: Run, waitSeconds: number): Promise<void> {
    await this.#send(calls.acquire(wanted, run.id, this.#maybeKey(0.7), waitSeconds), wanted);
  }

  async #admit(run: Run): Promise<void> {
    const wanted = { ...this.#want(), patterns: [], resources: [] };
    const waitSeconds = this.#random.chance(0.3) ? 1 : 0;
    if (wanted.paths.length > 0)
      await this.#send(calls.admit(wanted, run.id, this.#maybeKey(0.7), waitSeconds), wanted);
  }

  /** Two tool calls of one agent at once, for the same thing but not as long. */
  async #twins(run: Run): Promise<void> {
    const short = { ...this.#want(), ttlSeconds: 5 };
    const long = { ...this.#again(short), ttlSeconds: 9 };
    const key = () => this.#newName('key');
    await Promise.all([short, long].map((wanted) => this.#send(calls.acquire(wanted, run.id, key()), wanted)));
  }

  /** What hardly anybody else wants, without a key: a server may decide that by what it remembers, in one call. */
  async #quiet(run: Run): Promise<void> {
    const wanted = this.#want(quietWish(this.#random));
    const ask = this.#random.pick([calls.acquire, calls.admit]);
    await this.#send(ask(wanted, run.id, null, 0), wanted);
  }

  /** Asks for more while it ends, and when it has: without a key, as a server that still remembers it as running may answer. */
  async #lastWish(run: Run): Promise<void> {
    const finish = sleep(this.#random.between(0, 3)).then(() => this.#finish(run));
    await Promise.all([this.#ask(this.#want(), run, 0), this.#ask(this.#want(), run, 0), finish]);
    if (this.#finished?.id !== run.id) return;
    const late = calls.acquire(this.#want(quietWish(this.#random)), run.id, null);
    await this.#caller.once({ ...late, mustFail: 'ended run' });
  }

  async #send(call: Call, wish: Wanted): Promise<void> {
    // Without a key every attempt would be another wish.
    const reply = await this.#caller.insist(call, call.key === null ? 1 : ATTEMPTS);
    if (this.#run?.id !== call.runId) return;
    const lease = leaseIn(reply);
    const ticket = ticketIn({ kind: call.kind, reply });
    if (lease !== null) this.held.set(lease.id, lease);
    if (ticket !== null) this.#tickets.set(ticket.id, { id: ticket.id, wish });
    if (lease !== null && call.key !== null) remember(this.#oldCalls, call);
  }

  async #renew(lease: ToldLease, run: Run): Promise<void> {
    const reply = await this.#caller.insist(calls.renew(lease, this.#maybeKey(0.5)), 2);
    if (reply === null || reply.status === 200) return;
    this.held.delete(lease.id);
    // What it has lost it wants back.
    if (this.#random.chance(0.5)) await this.#ask(this.#again(lease), run, 0);
  }

  async #release(lease: ToldLease): Promise<void> {
    const reply = await this.#caller.insist(calls.release(lease, this.#maybeKey(0.5)), ATTEMPTS);
    this.held.delete(lease.id);
    if (reply?.status === 200) remember(this.#over, lease);
  }

  async #heartbeat(run: Run): Promise<void> {
    const reply = await this.#caller.once(calls.heartbeat(run));
    if (reply !== null) this.#isLate(reply);
  }

  /** Whether a resume whose answer was lost has counted: then its epoch is ours. */
  #isLate({ status, body }: Reply): boolean {
    if (status !== 409 || body['code'] !== 'epoch_stale' || this.#run === null) return false;
    this.#run = { id: this.#run.id, epoch: Number(body['epoch']) };
    return true;
  }

  async #finish(run: Run): Promise<void> {
    const reply = await this.#caller.insist(calls.finish(run), 5 * ATTEMPTS);
    if (reply === null || this.#isLate(reply)) return;
    if (reply.status === 200) {
      for (const lease of this.held.values()) remember(this.#over, lease);
      this.#finished = run;
    }
    this.held.clear();
    this.#tickets.clear();
    this.#run = null;
  }

  /** Another process of the same run takes over; whoever still has the old epoch is late. */
  async #resume(run: Run): Promise<void> {
    const reply = await this.#caller.once(calls.resume(run));
    if (reply?.status !== 200) return;
    this.#run = { id: run.id, epoch: Number(reply.body['epoch']) };
    await this.#caller.once({ ...calls.heartbeat(run), mustFail: 'old epoch' });
  }

  async #stale(live: ToldLease | null): Promise<void> {
    const change = this.#random.pick([calls.renew, calls.release]);
    if (live !== null && this.#random.chance(0.4)) {
      const fence = Math.max(1, live.fence + this.#random.pick([-7, -1, 1]));
      await this.#caller.once({ ...change({ ...live, fence }, this.#maybeKey(0.5)), mustFail: 'wrong fence' });
    } else if (this.#over.length > 0) {
      const lease = this.#random.pick(this.#over);
      const isVerified = lease.paths.length > 0 && this.#random.chance(0.3);
      const call = isVerified ? calls.verify(lease) : change(lease, this.#maybeKey(0.5));
      await this.#caller.once({ ...call, mustFail: 'ended lease' });
    } else if (this.#finished !== null) {
      await this.#caller.once({ ...calls.heartbeat(this.#finished), mustFail: 'ended run' });
    }
  }

  /** With the true fence of somebody else's lease. */
  async #foreign(): Promise<void> {
    const leases = this.#options.peers().flatMap((peer) => (peer.owner === this.owner ? [] : [...peer.held.values()]));
    if (leases.length === 0) return;
    const change = this.#random.pick([calls.renew, calls.release]);
    const call = change(this.#random.pick(leases), this.#maybeKey(0.5));
    await this.#caller.once({ ...call, mustFail: "another's lease" });
  }

  /** An admin takes a lease back, from whomever; one of its own it wants back at once. */
  async #revoke(own: ToldLease | null, run: Run): Promise<void> {
    const isOwn = own !== null && this.#random.chance(0.7);
    const leases = isOwn ? [own] : this.#options.peers().flatMap((peer) => [...peer.held.values()]);
    if (leases.length === 0) return;
    await this.#options.admin.once(calls.revoke(this.#random.pick(leases)));
    if (isOwn) await this.#ask(this.#again(own), run, 0);
  }

  async #poll(ticket: Ticket, run: Run): Promise<void> {
    const waitSeconds = this.#random.pick([0, 0.5, 1.5]);
    this.#settled(ticket, await this.#caller.once(calls.poll(ticket, run.id, waitSeconds)));
  }

  async #cancel(ticket: Ticket, run: Run): Promise<void> {
    const reply = await this.#caller.once(calls.cancel(ticket, run.id));
    if (reply?.status === 409) await this.#poll(ticket, run);
    else this.#settled(ticket, reply);
  }

  #settled(ticket: Ticket, reply: Reply | null): void {
    const told = ticketIn({ kind: 'poll', reply });
    if (told === null || told.status === 'waiting') return;
    this.#tickets.delete(ticket.id);
    const lease = leaseIn(reply);
    if (told.status === 'granted' && lease !== null) this.held.set(lease.id, lease);
  }
}

function remember<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > PAST) list.shift();
}
