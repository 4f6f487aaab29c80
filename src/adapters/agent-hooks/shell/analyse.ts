import { parse } from 'unbash';
import type { ShellAnalysis } from './model.ts';
import { LIMITS } from './model.ts';
import { Scope } from './scope.ts';
import { Session } from './session.ts';
import { runNested } from './walk.ts';

/** Where the command would run. */
export interface ShellContext {
  /** Absolute path of the shell's working directory. */
  readonly cwd: string;
  /** Absolute path of the home directory, if known. */
  readonly home?: string;
}

/**
 * Which files a shell command would change, without running it.
 *
 * Synchronous, bounded by {@link LIMITS}, and never throws: whatever cannot be analysed is an answer with a flag.
 */
export function analyseCommand(command: string, { cwd, home }: ShellContext): ShellAnalysis {
  const session = new Session(runNested);
  if (command.length > LIMITS.commandLength) {
    session.flag('too_long', `${command.length} characters`);
    return session.result();
  }
  if ((command.match(/\$[{([]/g)?.length ?? 0) > LIMITS.expansions) {
    session.flag('too_complex', 'too many expansions');
    return session.result();
  }
  if (command.includes('\0')) session.flag('unparseable', 'NUL');
  const scope = new Scope(cwd.startsWith('/') ? [cwd] : undefined);
  if (home !== undefined) scope.variables.set('HOME', { kind: 'text', text: home });
  try {
    runNested(session, parse(command), scope);
  } catch (error) {
    // Running out of stack, in the parser or here, must end as a question to somebody, not as a pass.
    session.flag('too_complex', error instanceof Error ? error.message : 'failed');
  }
  return session.result();
}
