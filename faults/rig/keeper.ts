import { type ChildProcess, spawn } from 'node:child_process';

/** Reads `+pid` and `-pid` until its input ends, which is when this process ends, however it does; kills who is left. */
const SCRIPT = `
pids=
while read -r line; do
  case $line in
    +*) pids="$pids \${line#+}" ;;
    -*) rest=; for pid in $pids; do [ "$pid" = "\${line#-}" ] || rest="$rest $pid"; done; pids=$rest ;;
  esac
done
for pid in $pids; do kill -s KILL "$pid"; done 2>/dev/null
`;

/**
 * Sees to it that no process of a campaign outlives it, whatever kills the campaign itself: a server that is stopped by
 * SIGSTOP would stand still for ever.
 */
export class Keeper {
  readonly #shell: ChildProcess;

  constructor() {
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell.stdin!.on('error', () => {});
    this.#shell.unref();
    (this.#shell.stdin as { unref?: () => void }).unref?.();
  }

  watch(child: ChildProcess): void {
    this.#shell.stdin!.write(`+${child.pid}\n`);
    child.once('exit', () => this.#shell.stdin!.write(`-${child.pid}\n`));
  }

  close(): void {
    this.#shell.stdin!.end();
  }
}
