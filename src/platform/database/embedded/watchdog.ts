import { spawn } from 'node:child_process';
import type { Account } from './account.ts';
import { serverEnvironment } from './cluster.ts';

/**
 * Reads until its input ends, which is when this process ends, however it does; then stops the postmaster, if that is
 * still the one it was started for.
 */
const SCRIPT = `
pid=$1 file=$2
while read -r _; do :; done
ours() { [ "$(head -n 1 "$file" 2>/dev/null)" = "$pid" ] && kill -0 "$pid" 2>/dev/null; }
for signal in INT QUIT KILL; do
  ours || exit 0
  kill -s $signal "$pid"
  i=0
  while [ $i -lt 10 ] && ours; do sleep 1; i=$((i + 1)); done
done
`;

/**
 * Stops PostgreSQL when this process is killed. Returns what ends the watchdog once PostgreSQL has been stopped. A shell of a few hundred kilobytes: PostgreSQL itself does not notice.
 * If the watchdog is killed as well, the next start finds the orphan and stops it. None on Windows.
 */
export function startWatchdog(pid: number, pidFile: string, account: Account | null): () => void {
  if (process.platform === 'win32') return () => {};
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'signalbox-watchdog', String(pid), pidFile], {
    ...account,
    cwd: '/',
    env: serverEnvironment(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without it the next start still recovers: not worth failing for.
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  // The pipe is open until this process ends, and must not be what keeps it from ending.
  (child.stdin as { unref?: () => void }).unref?.();
  return () => child.stdin.end();
}
