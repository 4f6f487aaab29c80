import websocket from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import { Problem } from '../errors.ts';
import type { App } from './app.ts';
import { answerOnSocket } from './errors.ts';
import { dispatchUpgrades } from './upgrades.ts';

const MAX_MESSAGE_BYTES = 64 * 1024;
/** Of a server that goes away; clients that reconnect by themselves go by it. */
const GOING_AWAY = 1001;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by itself for a route with a `wsHandler`. */
    isWebSocket?: boolean;
  }
}

/** Routes may have a `wsHandler`. A WebSocket that cannot be had is refused by a problem, like anything else. */
export async function registerWebSockets(app: App): Promise<void> {
  app.addHook('onRoute', (route) => {
    if (route.wsHandler !== undefined) route.config = { ...route.config, isWebSocket: true };
  });
  const options = { maxPayload: MAX_MESSAGE_BYTES, server: dispatchUpgrades(app) };
  await app.register(websocket, { options, errorHandler, preClose });
  app.addHook('onRequest', (request, reply, done) => {
    // Whatever is answered here is a refusal, and the connection ends with it.
    if (request.ws) reply.header('connection', 'close');
    done();
  });
  app.addHook('preHandler', (request, _reply, done) => {
    const isRefused = request.ws && !request.is404 && request.routeOptions.config.isWebSocket !== true;
    done(isRefused ? new Problem(400, 'no_websocket', 'There is no WebSocket at this address.') : undefined);
  });
  app.websocketServer.on('wsClientError', ({ message }, socket) => {
    const headers = { 'sec-websocket-version': '13, 8' };
    answerOnSocket(socket, new Problem(400, 'websocket_invalid', `${message}.`, {}, headers));
  });
}

function errorHandler(error: Error & { code?: unknown }, socket: WebSocket, request: FastifyRequest): void {
  // A frame that is none or too big, or a connection that broke: the client's, and `ws` closes by itself.
  if (typeof error.code === 'string') {
    request.log.info({ code: error.code }, `a WebSocket ended: ${error.message}`);
    return;
  }
  request.log.error({ err: error }, 'a WebSocket failed');
  socket.terminate();
}

/** Hangs up on all clients, and waits for none of them. */
function preClose(this: { readonly websocketServer: App['websocketServer'] }, done: () => void): void {
  for (const client of this.websocketServer.clients) client.close(GOING_AWAY, 'the server is shutting down');
  this.websocketServer.close();
  done();
}
