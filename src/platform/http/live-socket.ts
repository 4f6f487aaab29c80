import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket } from 'ws';
import { Problem } from '../errors.ts';

const PING_MS = 20_000;

/** WebSocket close codes: 1011 is a failure of ours, 4401 the one that we tell of a key. 1001 is the server going away. */
const CLOSE_FAILED = 1011;
const CLOSE_UNAUTHENTICATED = 4401;

/** Ends a socket that is broken, or whose other side went without a word. */
export function keepAlive(socket: WebSocket): void {
  let isAlive = true;
  const ping = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
  }, PING_MS);
  socket.on('pong', () => {
    isAlive = true;
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => clearInterval(ping));
}

/** Ends a socket for which nothing could be read. @param advice what its reader does then, and has lost nothing */
export function closeFor(socket: WebSocket, error: unknown, logger: FastifyBaseLogger, advice: string): void {
  if (error instanceof Problem && error.status === 401)
    return socket.close(CLOSE_UNAUTHENTICATED, 'key revoked or expired');
  logger.warn({ err: error }, 'a WebSocket closed after a failed read');
  socket.close(CLOSE_FAILED, `read failed; ${advice}`);
}
