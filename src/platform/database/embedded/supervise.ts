import { setTimeout as sleep } from 'node:timers/promises';
import type { EmbeddedLog, Postmaster } from './start.ts';

/** Who has served this long may be started again at once; others after a pause, which grows from one to the next. */
const SOUND_AFTER_MS = 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

/**
 * Starts PostgreSQL again, on its port, whenever it ends unasked: killed for its memory, or by whoever meant another
 * one. Without it the server would stand there, unready, until somebody restarts it. Tries as long as it takes: a full
 * disk is emptied, a port is freed, and nobody but the operator knows when.
 *
 * @param restart starts another one on a port.
 */
export function supervise(
  first: Postmaster,
  restart: (port: number) => Promise<Postmaster>,
  log: EmbeddedLog,
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const asked = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
  let current = first;
  const pause = (ms: number) => sleep(ms, undefined, { ref: false, signal: stopping.signal }).catch(() => {});

  async function follow(): Promise<void> {
    let pauseMs = 0;
    let startedAt = performance.now();
    while (true) {
      await Promise.race([current.ended, asked]);
      if (stopping.signal.aborted) return;
      log.warn({ pid: current.pid }, 'the embedded PostgreSQL has ended unasked: it is started again');
      if (performance.now() - startedAt >= SOUND_AFTER_MS) pauseMs = 0;
      pauseMs = await again(pauseMs);
      startedAt = performance.now();
    }
  }

  /** Until one is started or this is to end. @returns how long to wait before the next time. */
  async function again(afterMs: number): Promise<number> {
    let pauseMs = afterMs;
    while (true) {
      await pause(pauseMs);
      if (stopping.signal.aborted) return pauseMs;
      pauseMs = Math.min(Math.max(2 * pauseMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
      try {
        // What the last one has left: its watchdog, above all.
        await current.stop();
        current = await restart(current.port);
        log.info({ pid: current.pid, port: current.port }, 'embedded PostgreSQL is ready again');
        return pauseMs;
      } catch (error) {
        log.warn({ err: error, pauseMs }, 'the embedded PostgreSQL cannot be started again yet');
      }
    }
  }

  const followed = follow();
  return {
    stop: async () => {
      stopping.abort();
      await followed;
      await current.stop();
    },
  };
}
