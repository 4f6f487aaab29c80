import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket } from 'ws';
import type { CommitSignal } from '../../platform/database/commit-signal.ts';
import { closeFor, keepAlive } from '../../platform/http/live-socket.ts';
import type { Principal } from '../../platform/principal.ts';
import type { EventLog } from './event-log.ts';

const PAGE = 200;
/** Commit signals are hints; this is the longest that a lost one delays an event. */
const POLL_MS = 1000;
/** A reader that is this far behind waits; what it has not taken stays in the log. */
const HIGH_WATER_BYTES = 4 * 1024 * 1024;

/**
 * Streams one org's events to one socket, in order from `after`, until either side closes. It reads the log itself, so
 * which server wrote an event does not matter and nothing is skipped or sent twice; the key is checked at every read.
 */
export function streamEvents(
  socket: WebSocket,
  feed: { principal: Principal; after: number; log: EventLog; signal: CommitSignal; logger: FastifyBaseLogger },
): void {
  let position = feed.after;
  let reading = false;
  let again = false;

  const pump = async (): Promise<void> => {
    again = true;
    if (reading) return;
    reading = true;
    try {
      while (again && socket.readyState === socket.OPEN && socket.bufferedAmount < HIGH_WATER_BYTES) {
        again = false;
        const { events, more } = await feed.log.after(feed.principal, position, PAGE);
        for (const event of events) socket.send(JSON.stringify(event));
        position = events.at(-1)?.seq ?? position;
        if (more) again = true;
      }
    } catch (error) {
      closeFor(socket, error, feed.logger, 'reconnect with your last seq');
    } finally {
      reading = false;
    }
  };

  const unsubscribe = feed.signal.subscribe(feed.principal.orgId, () => void pump());
  const poll = setInterval(() => void pump(), POLL_MS);
  keepAlive(socket);
  socket.on('close', () => {
    unsubscribe();
    clearInterval(poll);
  });
  void pump();
}
