import type { FastifyReply } from 'fastify';

/**
 * Runs what may hold an answer open, with a signal that aborts as soon as the client has gone or the server drains.
 * AbortSignal.any would keep each of these alive as long as the server's own signal.
 */
export async function heldOpen<T>(
  reply: FastifyReply,
  draining: AbortSignal,
  work: (ended: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const end = (): void => over.abort();
  if (draining.aborted) end();
  draining.addEventListener('abort', end, { once: true });
  reply.raw.once('close', end);
  try {
    return await work(over.signal);
  } finally {
    draining.removeEventListener('abort', end);
    reply.raw.off('close', end);
  }
}
