import { MAIN_AGENT } from './root-book.ts';
import { normalisePath } from './shell/field.ts';
import { isUnder, ROOT_SOURCES, type Root, readHeader, stripAgentWorktree, type Whereabouts } from './worktree.ts';

/** What one call of an agent says of where it is, with what was known before. */
export interface Sighting {
  /** `''` for the session's main agent. */
  readonly agentId: string;
  /** Where the agent is now; it follows `cd`. */
  readonly cwd: string | null;
  /** Where the session was when its run started. */
  readonly firstCwd: string | null;
  /** `x-signalbox-root` as Node reads it. */
  readonly header: string;
  /** Roots written down before, by agent id. */
  readonly known: ReadonlyMap<string, Root>;
  readonly ownDirectories: readonly string[];
}

/** A root to write down, because it is new or surer. */
export interface RootNote {
  readonly agentId: string;
  readonly root: Root;
}

/**
 * Settles where an agent works: what a command reported, else the header, else the session's first cwd; and for a
 * subagent in a worktree of its own, that worktree.
 */
export function whereaboutsOf(sighting: Sighting): { where: Whereabouts; notes: RootNote[] } {
  const { agentId, known, ownDirectories } = sighting;
  const cwd = absolute(sighting.cwd);
  const firstCwd = absolute(sighting.firstCwd) ?? cwd;
  const cwds = [firstCwd, cwd].filter((one) => one !== null);
  const { root: named, alias } = readHeader(sighting.header, cwds);
  const candidates = surestFirst([
    known.get(MAIN_AGENT),
    named === null ? undefined : { path: named, source: 'header' },
    firstCwd === null ? undefined : { path: stripAgentWorktree(firstCwd), source: 'cwd' },
  ]);
  const [session] = candidates;
  // Below a worktree that Claude Code made lies the main checkout, also when the session runs in a linked worktree.
  const around = cwd === null || stripAgentWorktree(cwd) === cwd ? null : stripAgentWorktree(cwd);
  const paths = [session?.path, around, ...candidates.map(({ path }) => path)];
  const explained = apart(paths.filter((path) => path != null));
  const own = agentId === MAIN_AGENT ? undefined : (known.get(agentId) ?? ownRoot(cwd, explained));
  const notes = [
    ...(session === undefined ? [] : [{ agentId: MAIN_AGENT, root: session }]),
    ...(own === undefined ? [] : [{ agentId, root: own }]),
  ];
  const roots = own === undefined ? explained : [own.path, ...explained];
  return { where: { roots, alias, ownDirectories }, notes };
}

/** A subagent that starts where no root of the session is has a worktree of its own, made by somebody else's hook. */
function ownRoot(cwd: string | null, explained: readonly string[]): Root | undefined {
  if (cwd === null || explained.some((root) => isUnder(cwd, root))) return undefined;
  return { path: cwd, source: 'cwd' };
}

function surestFirst(roots: readonly (Root | undefined)[]): Root[] {
  const rank = (root: Root): number => ROOT_SOURCES.indexOf(root.source);
  return roots.filter((root) => root !== undefined).toSorted((a, b) => rank(b) - rank(a));
}

/** Without those that lie in a surer one or around it: they would name its files in a second way. */
function apart(paths: readonly string[]): string[] {
  const kept: string[] = [];
  for (const path of paths) {
    if (!kept.some((surer) => isUnder(path, surer) || isUnder(surer, path))) kept.push(path);
  }
  return kept;
}

function absolute(path: string | null): string | null {
  return path !== null && path.startsWith('/') ? normalisePath(path) : null;
}
