import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Problem } from '../errors.ts';
import type { App } from './app.ts';
import { answerOnSocket } from './errors.ts';

/** Node drops what is above that, perhaps the length of the body. */
const MAX_HEADERS = 1000;
/** What may come on a connection while an earlier request on it is still being answered. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * Older Nodes take each offer of another protocol for an upgrade once anything listens to upgrades. Node 22.21 and 24.9
 * on ask this, and serve what is none as plain HTTP. They lose what was sent after it, though: so they are left only those
 * with a body, which later ones no longer hand out with an upgrade.
 */
export const UPGRADE_OPTIONS: ServerOptions = {
  shouldUpgradeCallback: (request: IncomingMessage) =>
    asksForWebSocket(request) ||
    (request.headers['content-length'] ?? request.headers['transfer-encoding']) === undefined,
} as ServerOptions;

/** HTTP/1.0 knows no upgrades, and only a GET can become a WebSocket: all else is served as if it had not asked. */
function asksForWebSocket({ method, httpVersion, headers }: IncomingMessage): boolean {
  return method === 'GET' && httpVersion === '1.1' && headers.upgrade?.toLowerCase() === 'websocket';
}

/**
 * Who offers another protocol than WebSocket is answered in plain HTTP (RFC 9110, 7.8): Java's client and `curl --http2`
 * offer HTTP/2 with each request.
 * @returns what emits `upgrade` for those who ask for a WebSocket, until the server closes
 */
export function dispatchUpgrades(app: App): Server {
  const sockets = new EventEmitter();
  let isClosing = false;
  app.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (!asksForWebSocket(request)) void serveAsPlain(app.server, request, socket, head);
    else if (isClosing) answerOnSocket(socket, new Problem(503, 'draining', 'The server is shutting down.'));
    else sockets.emit('upgrade', request, socket, head);
  });
  // All that the plug-in does with the server is to listen.
  return sockets as Server;
}

/** Gives the connection back to the server as if it were a new one, whose first request is this one without its offer. */
async function serveAsPlain(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
  // Node has taken its own listener away.
  const giveUp = (): unknown => socket.destroy();
  socket.on('error', giveUp);
  const rest = await whatFollows(socket, head);
  socket.off('error', giveUp);
  if (socket.destroyed) return;
  if (request.rawHeaders.length >= 2 * MAX_HEADERS) {
    answerOnSocket(socket, new Problem(431, 'headers_too_large', 'These are too many headers.'));
    return;
  }
  // The server adds these two each time, and takes all of its others away.
  for (const event of ['pause', 'resume']) socket.removeAllListeners(event);
  socket.pause();
  socket.unshift(Buffer.concat([Buffer.from(withoutOffer(request), 'latin1'), rest]));
  server.emit('connection', socket);
  socket.resume();
}

/** The body, and what was sent after it. Answers go out in order: the server has to be done with the requests before. */
async function whatFollows(socket: Socket, head: Buffer): Promise<Buffer> {
  const pieces = [head];
  let bytes = head.length;
  const keep = (piece: Buffer): void => {
    bytes += piece.length;
    if (bytes > MAX_WAITING_BYTES) socket.destroy();
    else pieces.push(piece);
  };
  // The answer under way; Node's own name for it, and nothing else tells.
  const current = () => (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null;
  if (current() !== null) socket.on('data', keep);
  for (let answer = current(); answer !== null; answer = current())
    await new Promise((resolve) => answer.once('close', resolve));
  socket.off('data', keep);
  return Buffer.concat(pieces);
}

/** The head of the request as it was sent, without what only an upgrade needs. */
function withoutOffer({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    const kept = /^connection$/i.test(name) ? value.replaceAll(/(?<![^\s,])upgrade(?![^\s,])/gi, '') : value;
    if (!/^(?:upgrade|http2-settings)$/i.test(name)) lines.push(`${name}: ${kept}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
