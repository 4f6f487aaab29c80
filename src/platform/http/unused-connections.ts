import type { FastifyInstance } from 'fastify';

/**
 * Closes, when the server does, connections over which nobody has asked anything yet. Browsers and clients open some in
 * advance; Node takes them for busy, and a drain would wait a minute and more for their first request.
 */
export function closeUnusedConnections(app: Pick<FastifyInstance, 'server' | 'addHook'>): void {
  const unused = new Set<{ destroy(): unknown }>();
  const known = new WeakSet();
  app.server.on('connection', (socket) => {
    // It comes again after an offer to upgrade that was not taken up.
    if (known.has(socket)) return;
    known.add(socket);
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  for (const event of ['request', 'upgrade'] as const)
    app.server.on(event, ({ socket }: { readonly socket: { destroy(): unknown } }) => unused.delete(socket));
  app.addHook('preClose', (done) => {
    for (const socket of unused) socket.destroy();
    done();
  });
}

/**
 * Cuts off, so long after the server was told to close, whoever is still sending a request or reading an answer: a client that has
 * gone to sleep in the middle is not to keep everything after it from being stopped in order.
 */
export function cutOffLateClients(app: Pick<FastifyInstance, 'server' | 'addHook'>, afterMs: number): void {
  app.addHook('preClose', (done) => {
    const late = setTimeout(() => app.server.closeAllConnections(), afterMs);
    app.server.once('close', () => clearTimeout(late));
    done();
  });
}
