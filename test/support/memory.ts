import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const IN_MEMORY = '/dev/shm';
/** Several times what a run has at once, in bytes. */
const ENOUGH = 8 * 1024 ** 3;

/**
 * A folder in memory for what tests leave behind only until they end: hundreds of databases, of a thousand files each, and git
 * repositories. Null where there is none with enough space, or where nothing in it may be run, as hooks are.
 */
export function memoryFolder(): string | null {
  let probe: string | null = null;
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    if (bavail * bsize < ENOUGH) return null;
    probe = mkdtempSync(path.join(IN_MEMORY, 'signalbox-probe-'));
    const script = path.join(probe, 'run');
    writeFileSync(script, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    execFileSync(script);
    return IN_MEMORY;
  } catch {
    return null;
  } finally {
    if (probe !== null) rmSync(probe, { recursive: true, force: true });
  }
}
