import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import type { HeldAnswers } from '../../platform/http/held-open.ts';
import { closeFor, keepAlive } from '../../platform/http/live-socket.ts';
import { principalOf } from '../../platform/http/request.ts';
import { heldSeconds, pageOf, pageQuery, repoName, uuid } from '../../platform/http/schemas.ts';
import type { App } from '../../platform/http/server.ts';
import { ticketSummary, ticketView } from './views.ts';
import type { LeaseTickets } from './waiting/tickets.ts';

const tags = ['leases'];
const idParam = z.object({ id: uuid() });
/** Of a request that is not held open. */
const NEVER = new AbortController().signal;
/** Close code of a socket that has told all there is. */
const CLOSE_SETTLED = 1000;

/** Who waits, one by one or all, and giving up. */
export function ticketRoutes(app: App, tickets: LeaseTickets, held: HeldAnswers): void {
  app.get(
    '/lease-tickets',
    {
      schema: {
        operationId: 'listLeaseTickets',
        tags,
        summary: 'Who waits for a lease, first come first',
        querystring: pageQuery().extend({ repo: repoName().optional(), runId: uuid().optional() }),
        response: { 200: pageOf(ticketSummary) },
      },
    },
    async (request) => tickets.list(principalOf(request), request.query),
  );
  app.route({
    method: 'GET',
    url: '/lease-tickets/:id',
    schema: {
      operationId: 'getLeaseTicket',
      tags,
      summary: 'A request that waits for its lease, at once or as soon as it is settled',
      description:
        'Asked to upgrade, a WebSocket: the ticket as a message, at once, again every 20 seconds, and when it is settled, which ends it (1000).',
      params: idParam,
      querystring: z.object({ waitSeconds: heldSeconds() }),
      response: { 200: ticketView },
    },
    // What is no ticket of the org is refused as anywhere, and not after the upgrade.
    preHandler: async (request) => {
      if (request.ws) await tickets.wait(principalOf(request), idParam.parse(request.params).id, 0, NEVER);
    },
    handler: async (request, reply) =>
      held.hold(reply, (ended) =>
        tickets.wait(principalOf(request), request.params.id, request.query.waitSeconds * 1000, ended),
      ),
    wsHandler: (socket, request) => {
      void followTicket(socket, request, tickets);
    },
  });
  app.delete(
    '/lease-tickets/:id',
    {
      schema: {
        operationId: 'cancelLeaseTicket',
        tags,
        summary: 'Give up waiting',
        description: 'By its run, or by an admin, whosever it is. 409: ticket_settled with ticketStatus, leaseId.',
        params: idParam,
        response: { 200: ticketView },
      },
    },
    async (request) => tickets.cancel(principalOf(request), request.params.id),
  );
}

async function followTicket(socket: WebSocket, request: FastifyRequest, tickets: LeaseTickets): Promise<void> {
  const ended = new AbortController();
  keepAlive(socket);
  socket.on('close', () => ended.abort());
  try {
    const views = tickets.follow(principalOf(request), idParam.parse(request.params).id, ended.signal);
    for await (const view of views) if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(view));
    socket.close(CLOSE_SETTLED, 'settled');
  } catch (error) {
    closeFor(socket, error, request.log, 'ask again');
  }
}
