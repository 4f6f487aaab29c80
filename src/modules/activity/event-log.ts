import { z } from 'zod';
import type { Event } from '../../generated/prisma/client.ts';
import type { Database } from '../../platform/database/database.ts';
import { time, uuid } from '../../platform/http/schemas.ts';
import type { Principal } from '../../platform/principal.ts';

export const eventView = z
  .object({
    seq: z.int().describe('1, 2, 3 … in the org, in commit order, without a gap.'),
    at: time(),
    kind: z.string(),
    actor: z.object({
      kind: z.enum(['member', 'key', 'system']),
      id: uuid(),
      keyId: uuid().nullable(),
      role: z.string(),
    }),
    subject: z.object({ kind: z.string(), id: z.string() }),
    data: z.record(z.string(), z.unknown()),
    hash: z
      .string()
      .describe(
        "Hex. SHA-256 of the previous event's hash, seq as 8 bytes big-endian, and the SHA-256 of the canonical JSON of {actor, at, data, kind, subject}.",
      ),
  })
  .meta({ id: 'Event' });

export type EventView = z.output<typeof eventView>;

/** The org's append-only log, read in order. */
export class EventLog {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Events after `after`, oldest first, at most `limit` and about `PAGE_BYTES`, but one at least if there is one; `more`
   * says whether there may be others. A writer holds the org's head row until it has committed, so what is visible never
   * has a hole that is filled later: the last seq read is a safe place to go on from.
   * @throws Problem 401 when the key was revoked meanwhile
   */
  async after(principal: Principal, after: number, limit: number): Promise<{ events: EventView[]; more: boolean }> {
    return this.#db.read(principal, async (tx) => {
      // The sizes first, without reading what is stored out of line: a page of large events is cut before it is loaded.
      const sizes = await tx.db.$queryRaw<{ seq: bigint; bytes: number }[]>`
        SELECT seq, pg_column_size(data) AS bytes FROM event WHERE org_id = ${tx.orgId}::uuid AND seq > ${after} ORDER BY seq LIMIT ${limit}`;
      const taken = takeBytes(sizes);
      const last = sizes[taken - 1];
      if (last === undefined) return { events: [], more: false };
      const rows = await tx.db.event.findMany({
        where: { orgId: tx.orgId, seq: { gt: after, lte: last.seq } },
        orderBy: { seq: 'asc' },
      });
      // Once more, after the rows: a key that was revoked since the transaction began is not to see what came with that or
      // after it.
      await tx.db.$queryRaw`SELECT enter_org(${tx.orgId}::uuid, ${principal.keyId}::uuid)::text`;
      return { events: rows.map(viewEvent), more: taken < sizes.length || sizes.length === limit };
    });
  }
}

/** Of stored, compressed data. */
const PAGE_BYTES = 2 * 1024 * 1024;

/** How many rows from the first on fit into a page; at least one. */
function takeBytes(sizes: readonly { bytes: number }[]): number {
  let total = 0;
  const over = sizes.findIndex(({ bytes }) => {
    total += bytes;
    return total > PAGE_BYTES;
  });
  return over < 0 ? sizes.length : Math.max(1, over);
}

function viewEvent(event: Event): EventView {
  return {
    seq: Number(event.seq),
    at: event.at.toISOString(),
    kind: event.kind,
    actor: event.actor as EventView['actor'],
    subject: event.subject as EventView['subject'],
    data: event.data as EventView['data'],
    hash: Buffer.from(event.hash).toString('hex'),
  };
}
