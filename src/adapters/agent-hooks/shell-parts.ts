import type { Part } from '../../modules/admission/index.ts';
import { escapePattern } from './shell/field.ts';
import { analyseCommand, type GitAction, type ShellAnalysis } from './shell/index.ts';
import { isUnder, locate, locatePattern, type Whereabouts } from './worktree.ts';

/** What a shell command asks for: its parts for the policies, and what it must hold. */
export interface ShellAsk {
  readonly parts: readonly Part[];
  /** Patterns to hold besides the paths of the parts. */
  readonly patterns: readonly string[];
  /** Paths of the repo that it changes, for the record. */
  readonly paths: readonly string[];
}

interface Found {
  readonly edits: Set<string>;
  readonly deletes: Set<string>;
  readonly patterns: Set<string>;
  readonly flags: Set<string>;
}

/** The flag of a command that changes something no checkout of the repo explains. */
export const OUTSIDE_REPO = 'outside_repo';
/** The flag of a command that changes a directory with all below it, or whatever matches a wildcard. */
export const RECURSIVE = 'recursive';

/**
 * Reads a command as the parts of one admission: `command.run` always, its effects on paths of the repo, and what git
 * makes of it. Paths that no checkout explains are not held, but flagged, so that a policy can ask about them.
 */
export function askOfShell(command: string, cwd: string, home: string | undefined, where: Whereabouts): ShellAsk {
  const analysis = analyseCommand(command, home === undefined ? { cwd } : { cwd, home });
  const found: Found = { edits: new Set(), deletes: new Set(), patterns: new Set(), flags: new Set() };
  for (const { code } of analysis.flags) found.flags.add(code);
  for (const effect of analysis.effects) place(effect, where, found);
  const paths = [...new Set([...found.edits, ...found.deletes])];
  return {
    parts: [
      { action: 'command.run', subjects: [{ command, flags: [...found.flags] }] },
      ...onPaths('path.edit', found.edits),
      ...onPaths('path.delete', found.deletes),
      ...analysis.gitActions.flatMap((action) => gitParts(action, where)),
    ],
    patterns: [...found.patterns],
    paths: [...paths, ...found.patterns],
  };
}

function onPaths(action: 'path.edit' | 'path.delete', paths: ReadonlySet<string>): Part[] {
  return paths.size === 0 ? [] : [{ action, subjects: [...paths].map((path) => ({ path })) }];
}

function place(effect: ShellAnalysis['effects'][number], where: Whereabouts, found: Found): void {
  const touched = effect.kind === 'delete' ? found.deletes : found.edits;
  if (effect.glob === true) return placeGlob(effect, where, found, touched);
  const at = locate(effect.path, where);
  const holdsRoot = effect.recursive === true && where.roots.some((root) => isUnder(root, effect.path));
  if (at.kind === 'repo') {
    touched.add(at.path);
    if (effect.recursive !== true) return;
    found.flags.add(RECURSIVE);
    found.patterns.add(`${escapePattern(at.path)}/`);
  } else if (holdsRoot) {
    found.flags.add(RECURSIVE);
    found.patterns.add('**');
  } else if (at.kind !== 'root') found.flags.add(OUTSIDE_REPO);
}

/** For policies a wildcard stands for the directory it looks in; what is held is all that it may match. */
function placeGlob(
  { path, recursive }: ShellAnalysis['effects'][number],
  where: Whereabouts,
  found: Found,
  touched: Set<string>,
): void {
  const pattern = locatePattern(path, where);
  if (pattern === null) return void found.flags.add(OUTSIDE_REPO);
  found.flags.add(RECURSIVE);
  found.patterns.add(pattern);
  if (recursive === true) found.patterns.add(`${pattern}/`);
  const directory = /^((?:[^/*?[{\\]+\/)*)/.exec(pattern)?.[1] ?? '';
  if (directory !== '') touched.add(directory.slice(0, -1));
}

function gitParts({ kind, directory, remote, refspecs, force }: GitAction, where: Whereabouts): Part[] {
  // Another repository's commits are not this one's; a directory that is not known may be this one.
  if (directory !== null && ['elsewhere', 'unexplained'].includes(locate(directory, where).kind)) return [];
  if (kind === 'commit') return [{ action: 'commit', subjects: [{}] }];
  if (kind !== 'push') return [];
  const branches = refspecs === undefined || refspecs.length === 0 ? ['HEAD'] : refspecs.map(branchOf);
  const subject = { remote: remote ?? 'origin', ...(force === true ? { force } : {}) };
  return [{ action: 'push', subjects: [...new Set(branches)].map((branch) => ({ ...subject, branch })) }];
}

/** The branch that a refspec changes at the remote. */
function branchOf(refspec: string): string {
  const target = refspec.replace(/^\+/, '').split(':').at(-1)!;
  return target.replace(/^refs\/heads\//, '') || 'HEAD';
}
