import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import type { Reply } from '../rig/http.ts';
import type { Call, Caller } from './caller.ts';
import { randomWish, type Wish } from './ground.ts';
import { leaseIn, type ToldLease, ticketIn } from './history.ts';

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

interface Ticket {
  readonly id: string;
  readonly wish: Wanted;
}

interface Wanted extends Wish {
  readonly purpose: string;
  readonly mode: 'exclusive' | 'shared';
  readonly ttlSeconds: number;
}

const ATTEMPTS = 4;
/** Remembered of what is over, to be tried again all the same. */
const PAST = 8;

type Step =
  | 'acquire'
  | 'admit'
  | 'twins'
  | 'renew'
  | 'release'
  | 'verify'
  | 'heartbeat'
  | 'finish'
  | 'last-wish'
  | 'resume'
  | 'duplicate'
  | 'stale'
  | 'foreign'
  | 'poll'
  | 'cancel'
  | 'impatient'
  | 'revoke'
  | 'nap';
type Weights = Partial<Readonly<Record<Step, number>>>;

/** What it does next, by what it has. */
const ANYWAY: Weights = {
  heartbeat: 1,
  finish: 0.3,
  'last-wish': 0.3,
  resume: 0.2,
  revoke: 0.3,
  duplicate: 0.6,
  twins: 0.4,
  stale: 0.8,
  nap: 0.05,
};
const EMPTY_HANDED: Weights = { ...ANYWAY, acquire: 10, admit: 1.5 };
const HOLDING: Weights = {
  ...ANYWAY,
  revoke: 0.7,
  acquire: 3,
  admit: 0.7,
  renew: 3,
  release: 6,
  verify: 0.7,
  stale: 1.5,
  foreign: 0.6,
  nap: 0.15,
};
const WAITING: Weights = {
  poll: 6,
  cancel: 1,
  impatient: 0.5,
  heartbeat: 1,
  renew: 1,
  release: 3,
  acquire: 0.5,
  finish: 0.2,
  nap: 0.1,
};

/**
 * An agent's harness as it is at its worst: takes and gives back leases of one run after the other, retries what was not
 * answered with the same key or without one, sleeps past its leases and goes on, and tries what it has no right to.
 */
export class Client {
  readonly index: number;
  readonly owner: number;
  readonly held = new Map<string, ToldLease>();
  readonly #options: ClientOptions;
  readonly #random: Random;
  readonly #over: ToldLease[] = [];
  readonly #oldCalls: Call[] = [];
  readonly #tickets = new Map<string, Ticket>();
  #run: { id: string; epoch: number } | null = null;
  #finished: { id: string; epoch: number } | null = null;
  #wishes = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
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
      if (this.#run === null) await this.#start();
      else await this.#step(this.#choose(), stop);
      await sleep(this.#random.between(0, 25));
    }
  }

  /** Gives everything back and takes what still comes. Returns whether nothing is left to wait for when the time is up. */
  async settle(isWaiting: (runId: string) => Promise<boolean>, untilMs: number): Promise<boolean> {
    while (this.#run !== null) {
      if (performance.now() > untilMs) return false;
      for (const lease of this.held.values()) await this.#release(lease);
      for (const ticket of this.#tickets.values()) await this.#poll(ticket);
      if (this.held.size + this.#tickets.size > 0) continue;
      // Of a ticket whose answer was lost only the database knows; who falls silent over it is passed over.
      if (!(await isWaiting(this.#run.id))) return true;
      await this.#heartbeat();
      await sleep(100);
    }
    return true;
  }

  /** Ends the run for certain. */
  async leave(untilMs: number): Promise<void> {
    while (this.#run !== null && performance.now() < untilMs) await this.#finish();
  }

  #choose(): Step {
    if (this.#tickets.size > 0) return this.#random.weighted(WAITING);
    return this.#random.weighted(this.held.size > 0 ? HOLDING : EMPTY_HANDED);
  }

  async #step(step: Step, stop: AbortSignal): Promise<void> {
    const lease = this.held.size === 0 ? null : this.#random.pick([...this.held.values()]);
    switch (step) {
      case 'acquire':
        return this.#acquire();
      case 'admit':
        return this.#admit();
      case 'twins':
        return this.#twins();
      case 'last-wish':
        return this.#lastWish();
      case 'renew':
        return lease === null ? undefined : this.#renew(lease);
      case 'release':
        return lease === null ? undefined : this.#release(lease);
      case 'verify':
        return lease === null || lease.paths.length === 0 ? undefined : this.#verify(lease);
      case 'heartbeat':
        return this.#heartbeat();
      case 'finish':
        return this.#finish();
      case 'resume':
        return this.#resume();
      case 'duplicate':
        return this.#duplicate();
      case 'stale':
        return this.#stale(lease);
      case 'foreign':
        return this.#foreign();
      case 'revoke':
        return this.#revoke(lease);
      case 'poll':
      case 'impatient':
      case 'cancel': {
        const ticket = [...this.#tickets.values()].at(-1);
        if (ticket === undefined) return undefined;
        if (step === 'impatient') return this.#askFor(ticket.wish);
        return step === 'poll' ? this.#poll(ticket) : this.#cancel(ticket);
      }
      case 'nap':
        // As a laptop that is closed: the leases run out meanwhile, and it goes on as if they had not.
        return sleep(this.#options.napMs, undefined, { signal: stop }).catch(() => {});
    }
  }

  async #start(): Promise<void> {
    const reply = await this.#options.caller.insist(
      { kind: 'start', method: 'POST', path: `/loops/${this.#options.loopId}/runs`, body: {}, key: this.#newKey() },
      ATTEMPTS,
    );
    if (reply?.status === 201) this.#run = { id: String(reply.body['id']), epoch: 1 };
  }

  #want(): Wanted {
    const wish = randomWish(this.#random);
    const mode = this.#random.chance(0.75) ? 'exclusive' : 'shared';
    this.#wishes += 1;
    return {
      ...wish,
      mode,
      ttlSeconds: this.#random.pick([5, 5, 5, 6, 8]),
      purpose: `wish ${this.index}-${this.#wishes}`,
    };
  }

  #patience(): number {
    return this.#random.chance(0.4) ? this.#random.pick([0.3, 1, 2]) : 0;
  }

  #newKey(): string {
    this.#wishes += 1;
    return `key-${this.index}-${this.#wishes}`;
  }

  async #acquire(): Promise<void> {
    const wanted = this.#want();
    const waitSeconds = this.#patience();
    const body = { ...wanted, waitSeconds };
    await this.#ask({ kind: 'acquire', path: '/leases', body, wanted, waitSeconds });
  }

  /** Two tool calls of one agent at once, for the same thing but not as long. */
  async #twins(): Promise<void> {
    const wish = this.#want();
    const runId = this.#run!.id;
    const twin = (more: object, purpose: string): Call => {
      const sent = { ...wish, ...more, purpose };
      return {
        kind: 'acquire',
        method: 'POST',
        path: '/leases',
        body: { ...sent, runId },
        runId,
        key: this.#newKey(),
        sent,
      };
    };
    const calls = [twin({ ttlSeconds: 5 }, wish.purpose), twin({ ttlSeconds: 9 }, `${wish.purpose} again`)];
    const replies = await Promise.all(calls.map((call) => this.#options.caller.insist(call, ATTEMPTS)));
    for (const lease of replies.map(leaseIn)) if (lease !== null) this.held.set(lease.id, lease);
  }

  /** Asks for more while it ends. */
  async #lastWish(): Promise<void> {
    await Promise.all([this.#acquire(), sleep(this.#random.between(0, 3)).then(() => this.#finish())]);
  }

  /** The same once more, as another wish, without waiting. */
  async #askFor({
    repo,
    paths,
    patterns,
    resources = [],
    mode,
    ttlSeconds,
  }: Omit<Wanted, 'purpose'> | ToldLease): Promise<void> {
    const { purpose } = this.#want();
    const wanted = { repo, paths, patterns, resources, mode, ttlSeconds, purpose };
    await this.#ask({ kind: 'acquire', path: '/leases', body: wanted, wanted, waitSeconds: 0 });
  }

  async #admit(): Promise<void> {
    const wanted = { ...this.#want(), patterns: [], resources: [] };
    if (wanted.paths.length === 0) return;
    const { repo, paths, purpose, mode, ttlSeconds } = wanted;
    const waitSeconds = this.#patience();
    const body = {
      repo,
      paths,
      purpose,
      action: 'path.edit',
      lease: { mode, ttlSeconds },
      ...(waitSeconds > 0 ? { waitSeconds } : {}),
    };
    await this.#ask({ kind: 'admit', path: '/admissions', body, wanted, waitSeconds });
  }

  async #ask(asked: {
    kind: 'acquire' | 'admit';
    path: string;
    body: object;
    wanted: Wanted;
    waitSeconds: number;
  }): Promise<void> {
    const { kind, path, body, wanted, waitSeconds } = asked;
    const runId = this.#run!.id;
    const key = this.#random.chance(0.7) ? this.#newKey() : null;
    const sent = { ...wanted, waitSeconds };
    const call: Call = {
      kind,
      method: 'POST',
      path,
      body: { ...body, runId },
      runId,
      key,
      sent,
      heldSeconds: waitSeconds,
    };
    // Without a key every attempt would be another wish.
    const reply = await this.#options.caller.insist(call, key === null ? 1 : ATTEMPTS);
    const lease = leaseIn(reply);
    if (lease !== null && this.#run?.id === runId) this.held.set(lease.id, lease);
    const ticket = ticketIn({ kind, reply });
    if (ticket !== null && this.#run?.id === runId) this.#tickets.set(ticket.id, { id: ticket.id, wish: wanted });
    if (key !== null && lease !== null) remember(this.#oldCalls, call);
  }

  /** The same request with the same key once more, maybe long after: a proxy's retry, a queue that delivers twice. */
  async #duplicate(): Promise<void> {
    if (this.#oldCalls.length > 0) await this.#options.caller.once(this.#random.pick(this.#oldCalls));
  }

  #onLease(kind: 'renew' | 'release', { id, fence, ...lease }: ToldLease, more: Partial<Call> = {}): Call {
    const sent = { leaseId: id, fence, ...(kind === 'renew' ? { ttlSeconds: lease.ttlSeconds } : {}) };
    const { leaseId: _, ...body } = sent;
    const key = this.#random.chance(0.5) ? this.#newKey() : null;
    return { kind, method: 'POST', path: `/leases/${id}/${kind}`, body, runId: lease.runId, key, sent, ...more };
  }

  async #renew(lease: ToldLease): Promise<void> {
    const reply = await this.#options.caller.insist(this.#onLease('renew', lease), 2);
    if (reply === null || reply.status === 200) return;
    this.held.delete(lease.id);
    // What it has lost it wants back.
    if (this.#random.chance(0.5)) await this.#askFor(lease);
  }

  async #release(lease: ToldLease): Promise<void> {
    const reply = await this.#options.caller.insist(this.#onLease('release', lease), ATTEMPTS);
    this.held.delete(lease.id);
    if (reply?.status === 200) remember(this.#over, lease);
  }

  async #verify(lease: ToldLease): Promise<void> {
    await this.#options.caller.once(verification(lease));
  }

  #heartbeatIn(run: { id: string; epoch: number }): Call {
    const { id, epoch } = run;
    return {
      kind: 'heartbeat',
      method: 'POST',
      path: `/runs/${id}/heartbeat`,
      body: { epoch },
      runId: id,
      sent: { epoch },
    };
  }

  async #heartbeat(): Promise<void> {
    const reply = await this.#options.caller.once(this.#heartbeatIn(this.#run!));
    if (reply !== null) this.#isLate(reply);
  }

  /** Whether a resume whose answer was lost has counted: then its epoch is ours. */
  #isLate({ status, body }: Reply): boolean {
    if (status !== 409 || body['code'] !== 'epoch_stale' || this.#run === null) return false;
    this.#run = { id: this.#run.id, epoch: Number(body['epoch']) };
    return true;
  }

  async #finish(): Promise<void> {
    const run = this.#run!;
    const body = { epoch: run.epoch, outcome: { status: 'succeeded' } };
    const call: Call = {
      kind: 'finish',
      method: 'POST',
      path: `/runs/${run.id}/finish`,
      body,
      runId: run.id,
      sent: { epoch: run.epoch },
    };
    const reply = await this.#options.caller.insist(call, 20);
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
  async #resume(): Promise<void> {
    const run = this.#run!;
    const reply = await this.#options.caller.once({
      kind: 'resume',
      method: 'POST',
      path: `/runs/${run.id}/resume`,
      body: {},
      runId: run.id,
    });
    if (reply?.status !== 200) return;
    this.#run = { id: run.id, epoch: Number(reply.body['epoch']) };
    await this.#options.caller.once({ ...this.#heartbeatIn(run), mustFail: 'old epoch' });
  }

  async #stale(live: ToldLease | null): Promise<void> {
    const { caller } = this.#options;
    const kind = this.#random.pick(['renew', 'release'] as const);
    if (live !== null && this.#random.chance(0.4)) {
      const fence = Math.max(1, live.fence + this.#random.pick([-7, -1, 1]));
      await caller.once(this.#onLease(kind, { ...live, fence }, { mustFail: 'wrong fence' }));
    } else if (this.#over.length > 0) {
      const lease = this.#random.pick(this.#over);
      const mustFail = 'ended lease';
      const isVerified = lease.paths.length > 0 && this.#random.chance(0.3);
      await caller.once(isVerified ? { ...verification(lease), mustFail } : this.#onLease(kind, lease, { mustFail }));
    } else if (this.#finished !== null) {
      await caller.once({ ...this.#heartbeatIn(this.#finished), mustFail: 'ended run' });
    }
  }

  /** An admin takes a lease back, from whomever; one of its own it wants back at once. */
  async #revoke(own: ToldLease | null): Promise<void> {
    const isOwn = own !== null && this.#random.chance(0.7);
    const leases = isOwn ? [own] : this.#options.peers().flatMap((peer) => [...peer.held.values()]);
    if (leases.length === 0) return;
    const lease = this.#random.pick(leases);
    const body = { reason: 'the nemesis wants it so' };
    const sent = { leaseId: lease.id };
    const path = `/leases/${lease.id}/revoke`;
    await this.#options.admin.once({ kind: 'revoke', method: 'POST', path, body, runId: lease.runId, sent });
    if (isOwn) await this.#askFor(lease);
  }

  /** With the true fence of somebody else's lease. */
  async #foreign(): Promise<void> {
    const leases = this.#options.peers().flatMap((peer) => (peer.owner === this.owner ? [] : [...peer.held.values()]));
    if (leases.length === 0) return;
    const kind = this.#random.pick(['renew', 'release'] as const);
    await this.#options.caller.once(this.#onLease(kind, this.#random.pick(leases), { mustFail: "another's lease" }));
  }

  async #poll(ticket: Ticket): Promise<void> {
    const waitSeconds = this.#random.pick([0, 0.5, 1.5]);
    const { wish } = ticket;
    const path = `/lease-tickets/${ticket.id}?waitSeconds=${waitSeconds}`;
    const sent = { ...wish, ticketId: ticket.id };
    this.#settled(ticket, await this.#look({ kind: 'poll', method: 'GET', path, sent, heldSeconds: waitSeconds }));
  }

  async #cancel(ticket: Ticket): Promise<void> {
    const sent = { ticketId: ticket.id, purpose: ticket.wish.purpose };
    const reply = await this.#look({ kind: 'cancel', method: 'DELETE', path: `/lease-tickets/${ticket.id}`, sent });
    if (reply?.status === 409) await this.#poll(ticket);
    else this.#settled(ticket, reply);
  }

  async #look(call: Call): Promise<Reply | null> {
    return this.#options.caller.once({ ...call, runId: this.#run!.id });
  }

  #settled(ticket: Ticket, reply: Reply | null): void {
    const told = ticketIn({ kind: 'poll', reply });
    if (told === null || told.status === 'waiting') return;
    this.#tickets.delete(ticket.id);
    const lease = leaseIn(reply);
    if (told.status === 'granted' && lease !== null) this.held.set(lease.id, lease);
  }
}

function verification({ id, fence, repo, runId, paths }: ToldLease): Call {
  const body = { repo, paths, leases: [{ id, fence }] };
  return { kind: 'verify', method: 'POST', path: '/leases/verify', body, runId, sent: { leaseId: id, fence } };
}

function remember<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > PAST) list.shift();
}
