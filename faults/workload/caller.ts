import type { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.ts';
import { type Reply, type Request, send } from '../rig/http.ts';
import type { Fault, Kind, Operation, Sent } from './history.ts';

export interface Call {
  readonly kind: Kind;
  readonly method: Request['method'];
  readonly path: string;
  readonly body?: unknown;
  readonly runId?: string | null;
  readonly key?: string | null;
  readonly mustFail?: Fault | null;
  readonly sent?: Sent;
  /** Beyond what the server may hold the answer open. */
  readonly heldSeconds?: number;
}

export interface CallerDeps {
  readonly agent: Agent;
  /** One port a server, always the same. */
  readonly ports: readonly number[];
  readonly history: Operation[];
  readonly random: Random;
  /** Milliseconds since the campaign began. */
  readonly clock: () => number;
}

const TIMEOUT_MS = 3000;
const AVOIDED_MS = 3000;
const PAUSE_AFTER_LOSS_MS = 60;

/** Sends requests to any of the servers and writes each down. */
export class Caller {
  readonly #deps: CallerDeps;
  readonly #client: number;
  readonly #secret: string;
  /** By server, until when. */
  readonly #avoided = new Map<number, number>();

  constructor(client: number, secret: string, deps: CallerDeps) {
    this.#client = client;
    this.#secret = secret;
    this.#deps = deps;
  }

  /** One attempt. Null: whether it took effect is not known. */
  async once(call: Call): Promise<Reply | null> {
    const { agent, ports, history, clock, random } = this.#deps;
    const server = this.#choose();
    const { kind, method, path, body, runId = null, key = null, mustFail = null, sent = {}, heldSeconds = 0 } = call;
    const invokedMs = clock();
    const reply = await send(agent, {
      port: ports[server]!,
      method,
      path,
      secret: this.#secret,
      body,
      idempotencyKey: key,
      timeoutMs: TIMEOUT_MS + heldSeconds * 1000,
    });
    const answeredMs = reply === null ? null : clock();
    history.push({ client: this.#client, kind, runId, server, key, mustFail, sent, invokedMs, answeredMs, reply });
    if (isDefinite(reply)) return reply;
    this.#avoided.set(server, clock() + AVOIDED_MS);
    await sleep(PAUSE_AFTER_LOSS_MS * (0.5 + random.next()));
    return null;
  }

  /** Whoever did not answer is mostly left alone for a while, as by a proxy that looks after its servers. */
  #choose(): number {
    const { ports, random, clock } = this.#deps;
    const all = ports.map((_, server) => server);
    const good = all.filter((server) => (this.#avoided.get(server) ?? 0) < clock());
    return random.pick(good.length === 0 || random.chance(0.1) ? all : good);
  }

  /** Up to so many attempts, the same request with the same key each time, until one has an answer that says what became of it. */
  async insist(call: Call, attempts: number): Promise<Reply | null> {
    for (let attempt = 1; ; attempt += 1) {
      const reply = await this.once(call);
      if (reply !== null || attempt === attempts) return reply;
    }
  }
}

function isDefinite(reply: Reply | null): boolean {
  return reply !== null && reply.status < 500 && reply.status !== 429;
}
