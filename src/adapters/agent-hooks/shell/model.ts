/**
 * What the analysis of a shell command answers with.
 *
 * The promise: an analysis without flags names every file of the worktree that running the command can change. An
 * analysis with flags still names what it saw, but something else may be written as well. Missing a write is the
 * worse failure; a flag too many only asks somebody.
 *
 * Taken for granted, because a server cannot see it: the shell is bash (or a shell that reads the text alike), the
 * programs on the PATH are what their names say, symbolic links that existed before do not lead from one place of
 * the worktree to another, and git runs with its own configuration and hooks as the repo's owners set them up.
 */
export interface ShellAnalysis {
  readonly effects: readonly Effect[];
  readonly gitActions: readonly GitAction[];
  readonly flags: readonly Flag[];
  /** The names of the programs and builtins run, in order of first appearance. */
  readonly commands: readonly string[];
}

export interface Effect {
  readonly kind: 'edit' | 'delete';
  /**
   * Absolute and lexically normalised; a Signalbox pattern (literals escaped) if `glob`. It may be over a pattern's
   * limits or hold characters that no path may have: who cannot read it must treat the command as flagged.
   */
  readonly path: string;
  /** What does it, for people: `redirect`, `sed -i`, `rm`. */
  readonly by: string;
  /** Everything below the path is covered too. */
  readonly recursive?: true;
  readonly glob?: true;
}

export interface GitAction {
  /** The git subcommand: `commit`, `push`, `checkout`. */
  readonly kind: string;
  /** Absolute directory that git works in; null if it could not be resolved. */
  readonly directory: string | null;
  readonly remote?: string;
  readonly refspecs?: readonly string[];
  readonly force?: true;
  readonly paths?: readonly string[];
}

export interface Flag {
  readonly code: FlagCode;
  /** For people: the word or program that could not be resolved. */
  readonly detail: string;
}

/** Every code, with what it means. The codes are stable: policies name them. */
export const FLAG_CODES = {
  variable: 'a path, program or option depends on a variable whose value is not known',
  command_substitution: 'a path, program or option depends on the output of another command',
  stdin: 'paths come from standard input, as with xargs',
  glob: 'a wildcard cannot be translated into a pattern exactly, or may match a file named like an option',
  brace: 'a brace expansion too large or too irregular to expand',
  arithmetic: 'an arithmetic expression evaluates text that may itself contain a command',
  dynamic_cd: 'a relative path is written after a change to a directory that could not be resolved',
  unknown_writer: 'a program or option that is not known, which may write anything',
  interpreter: 'code of another language, a script or a build is run',
  eval: 'text is turned into shell commands when the command runs',
  environment: 'a variable or shell option is set that changes what later programs do',
  link: 'a link, or a path that stands for an open file, hides where a write lands',
  worktree: 'git rewrites the worktree as a whole',
  background: 'a job goes on after the command has returned',
  unparseable: 'the text is not a complete shell command',
  too_long: 'the text is longer than the limit',
  too_complex: 'the analysis reached its limit of depth, steps or findings',
} as const;

export type FlagCode = keyof typeof FLAG_CODES;

/** Bounds of one analysis; reaching one raises `too_long` or `too_complex`, never an error. */
export const LIMITS = {
  commandLength: 65_536,
  /** Expansions in one command: nested ones cost the parser the square of their number. */
  expansions: 2_000,
  /** Nested substitutions, functions and `sh -c` scripts. */
  depth: 24,
  /** Nodes of the syntax evaluated, those of loops once per turn. */
  steps: 20_000,
  /** Characters of nested scripts and expansions read, again at each level. */
  nestedLength: 400_000,
  findings: 1_000,
  loopTurns: 64,
  braceWords: 128,
  directories: 4,
  fieldsPerCommand: 4_096,
  /** Characters of all values together that one command's expansion may build. */
  expansionLength: 262_144,
} as const;
