import { afterAll, beforeAll, expect } from 'vitest';
import { startTestServer, type TestOrg, type TestServer } from '../../support/server.ts';
import { newRunner, type Runner, type Told } from './support.ts';

/** Two servers on one database. */
export interface Pair {
  readonly server: TestServer;
  readonly other: TestServer;
}

/** Sets them up for the tests of a file, with those who get in line there. */
export function waitingLine() {
  const pair = {} as { -readonly [part in keyof Pair]: Pair[part] };
  beforeAll(async () => {
    pair.server = await startTestServer({ start: 'signals' });
    pair.other = await startTestServer({ database: pair.server.database, start: 'signals' });
  });
  afterAll(async () => {
    await pair.other?.close();
    await pair.server?.close();
  });

  async function crew(count: number): Promise<[TestOrg, ...Runner[]]> {
    const org = await pair.server.newOrg();
    return [org, ...(await Promise.all(Array.from({ length: count }, () => newRunner(org))))];
  }

  async function waiters({ runId }: Runner): Promise<number> {
    const rows = await pair.server.sql(`SELECT FROM lease_waiter WHERE run_id = $1 AND status = 'waiting'`, [runId]);
    return rows.length;
  }

  return { pair: pair as Pair, crew, waiters };
}

/** Asks for a lease and leaves with a ticket, at once. */
export async function queue(
  runner: Runner,
  body: Record<string, unknown>,
  headers?: Record<string, string>,
): Promise<string> {
  const reply = await runner.acquire({ waitSeconds: 0.001, ...body }, headers);
  expect(reply.status).toBe(202);
  return reply.body.ticket.id as string;
}

export const ticketOf = async (runner: Runner, id: string, waitSeconds = 0) =>
  (await runner.caller.get(`/lease-tickets/${id}?waitSeconds=${waitSeconds}`)).body;

export async function held(runner: Runner, body: Record<string, unknown>): Promise<Told> {
  const reply = await runner.acquire(body);
  expect(reply.status).toBe(201);
  return reply.body.lease as Told;
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not come to that');
}
