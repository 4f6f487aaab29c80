import { z } from 'zod';
import type { CommitSignal } from '../../platform/database/commit-signal.ts';
import { principalOf } from '../../platform/http/request.ts';
import { MAX_LIMIT } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { type EventLog, eventView } from './event-log.ts';
import { streamEvents } from './live-feed.ts';

const seq = () => z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

const query = z
  .object({
    after: seq()
      .optional()
      .describe('Where to begin: events with a higher seq. Without it, or a cursor, from the first.'),
    cursor: seq().optional().describe('Another name of `after`, as lists have it.'),
    limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(100),
  })
  .refine(({ after, cursor }) => after === undefined || cursor === undefined, {
    path: ['cursor'],
    error: 'is another name of `after`: send one of them',
  });

/** The seq after which the answer begins. */
const startOf = ({ after, cursor }: z.output<typeof query>): number => after ?? cursor ?? 0;

const answer = z.object({
  items: z.array(eventView),
  nextCursor: z
    .string()
    .nullable()
    .describe('The `cursor`, or `after`, of the next page; null when the log ends here.'),
});

/** GET /events: a page of the log as JSON, or, asked to upgrade, the log from there on, one event a message. */
export function activityRoutes(app: App, deps: { log: EventLog; signal: CommitSignal }): void {
  app.route({
    method: 'GET',
    url: '/events',
    schema: {
      operationId: 'listEvents',
      tags: ['activity'],
      summary: 'The activity log in order, as JSON or over WebSocket',
      querystring: query,
      response: { 200: answer },
    },
    handler: async (request) => {
      const start = startOf(request.query);
      const { events: items, more } = await deps.log.after(principalOf(request), start, request.query.limit);
      return { items, nextCursor: more ? String(items.at(-1)!.seq) : null };
    },
    wsHandler: (socket, request) => {
      // Checked before the upgrade, as for any request: a wrong query is a 422 there.
      const after = startOf(query.parse(request.query));
      const feed = {
        principal: principalOf(request),
        after,
        log: deps.log,
        signal: deps.signal,
        logger: request.log,
      };
      streamEvents(socket, feed);
    },
  });
}
