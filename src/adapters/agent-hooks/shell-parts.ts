import type { Part } from '../../modules/admission/index.ts';
import { escapePattern } from './shell/field.ts';
import { analyseCommand, type Effect, type GitAction, type ShellAnalysis } from './shell/index.ts';
import { isUnder, locate, locatePattern, type Whereabouts } from './worktree.ts';

/** What a shell command asks for. */
export interface ShellAsk {
  readonly parts: readonly Part[];
  /** Paths and patterns of the repo that it changes, for the record. */
  readonly paths: readonly string[];
}

interface Touched {
  readonly paths: Set<string>;
  readonly patterns: Set<string>;
}

/** The flag of a command that changes something no checkout of the repo explains. */
const OUTSIDE_REPO = 'outside_repo';
/** The flag of a command that changes a directory with all below it, or whatever matches a wildcard. */
const RECURSIVE = 'recursive';

/**
 * Reads a command as the parts of one admission: `command.run` always, its effects on paths of the repo, and what git
 * makes of it. Paths that no checkout explains are not held, but flagged, so that a policy can ask about them.
 */
export function askOfShell(command: string, cwd: string, home: string | undefined, where: Whereabouts): ShellAsk {
  const analysis = analyseCommand(command, home === undefined ? { cwd } : { cwd, home });
  const flags = new Set<string>(analysis.flags.map(({ code }) => code));
  const edits = touchedBy('edit', analysis, where, flags);
  const deletes = touchedBy('delete', analysis, where, flags);
  return {
    parts: [
      { action: 'command.run', subjects: [{ command, flags: [...flags] }] },
      ...onPaths('path.edit', edits),
      ...onPaths('path.delete', deletes),
      ...analysis.gitActions.flatMap((action) => gitParts(action, where)),
    ],
    paths: [...new Set([...edits.paths, ...deletes.paths, ...edits.patterns, ...deletes.patterns])],
  };
}

function onPaths(action: 'path.edit' | 'path.delete', { paths, patterns }: Touched): Part[] {
  if (paths.size + patterns.size === 0) return [];
  const subjects = [...paths].map((path) => ({ path }));
  return [{ action, subjects, ...(patterns.size === 0 ? {} : { patterns: [...patterns] }) }];
}

function touchedBy(kind: Effect['kind'], analysis: ShellAnalysis, where: Whereabouts, flags: Set<string>): Touched {
  const touched = { paths: new Set<string>(), patterns: new Set<string>() };
  for (const effect of analysis.effects) {
    if (effect.kind !== kind) continue;
    const found = effect.glob === true ? globbed(effect, where) : named(effect, where);
    if (found === null) flags.add(OUTSIDE_REPO);
    else {
      if (found.patterns.length > 0) flags.add(RECURSIVE);
      for (const path of found.paths) touched.paths.add(path);
      for (const pattern of found.patterns) touched.patterns.add(pattern);
    }
  }
  return touched;
}

interface Found {
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
}

/** Null for what lies outside the repo. */
function named({ path, recursive }: Effect, where: Whereabouts): Found | null {
  const at = locate(path, where);
  if (at.kind === 'repo')
    return { paths: [at.path], patterns: recursive === true ? [`${escapePattern(at.path)}/`] : [] };
  if (recursive === true && where.roots.some((root) => isUnder(root, path))) return { paths: [], patterns: ['**'] };
  return at.kind === 'root' ? { paths: [], patterns: [] } : null;
}

function globbed({ path, recursive }: Effect, where: Whereabouts): Found | null {
  const pattern = locatePattern(path, where);
  if (pattern === null) return null;
  return { paths: [], patterns: recursive === true ? [pattern, `${pattern}/`] : [pattern] };
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
