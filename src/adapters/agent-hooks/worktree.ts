import { escapePattern, normalisePath } from './shell/field.ts';

/** How the root of a worktree is known, from the weakest word to the strongest. */
export const ROOT_SOURCES = ['cwd', 'header', 'reported'] as const;
export type RootSource = (typeof ROOT_SOURCES)[number];

export interface Root {
  /** Absolute, normalised. */
  readonly path: string;
  readonly source: RootSource;
}

/** One spelling of a directory for another: a checkout that was entered through a symbolic link. */
export interface Alias {
  readonly from: string;
  readonly to: string;
}

/** What is known of where an agent works when it asks. */
export interface Whereabouts {
  /** Checkouts of the repo, the surest first. */
  readonly roots: readonly string[];
  readonly alias: Alias | null;
  /** Where the agent keeps its own files, outside any checkout. */
  readonly ownDirectories: readonly string[];
}

/**
 * Where an absolute path lies. `repo`: a path of the repo, which two agents may collide on. `root`: the checkout itself.
 * `elsewhere`: surely none of the repo's business. `unexplained`: nobody knows, it may be another checkout of the repo.
 */
export type Place =
  | { readonly kind: 'repo'; readonly path: string }
  | { readonly kind: 'root' }
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'unexplained' };

/** The last such folder in a path: Claude Code puts worktrees below the main checkout, wherever the session runs. */
const AGENT_WORKTREE = /^(.*)\/\.claude\/worktrees\/[^/]+(?:\/(.+))?$/s;

const TEMPORARY = ['/tmp', '/private/tmp', '/var/tmp', '/private/var/tmp', '/var/folders', '/private/var/folders'];
const DEVICES = /^\/dev\/(null|stdout|stderr|tty|zero|full|fd\/[0-9]+)$/;
/** Scratch space that Claude Code makes for a session. */
const SCRATCH = /^(\/private)?\/tmp\/claude-[0-9]+(\/|$)/;

/** The checkout that holds the worktree `path` lies in, or `path` itself. */
export function stripAgentWorktree(path: string): string {
  const found = AGENT_WORKTREE.exec(path);
  return found === null ? path : found[1] || '/';
}

export function isUnder(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/**
 * Finds out what a path is to the repo. `/.claude/worktrees/<x>/` explains a path wherever it stands, since what is
 * below it is laid out as the repo is. `path` is absolute.
 */
export function locate(path: string, where: Whereabouts): Place {
  const normal = normalisePath(path);
  const place = inCheckout(normal, where.roots) ?? inCheckout(throughAlias(normal, where.alias), where.roots);
  if (place !== null) return place;
  return isElsewhere(normal, where) ? { kind: 'elsewhere' } : { kind: 'unexplained' };
}

/** As {@link locate}, of an absolute pattern; null where it is not below a checkout as it is written. */
export function locatePattern(pattern: string, where: Whereabouts): string | null {
  const inWorktree = AGENT_WORKTREE.exec(pattern)?.[2];
  if (inWorktree !== undefined) return inWorktree;
  const aliases = where.alias === null ? [] : [where.alias.from];
  const prefixes = [...where.roots, ...aliases].map((root) => `${root === '/' ? '' : escapePattern(root)}/`);
  const prefix = prefixes.find((one) => pattern.startsWith(one) && pattern.length > one.length);
  return prefix === undefined ? null : pattern.slice(prefix.length);
}

function inCheckout(path: string | null, roots: readonly string[]): Place | null {
  if (path === null) return null;
  const inWorktree = AGENT_WORKTREE.exec(path);
  // The folder of a worktree is no content of the repo; to remove it changes nothing that others work on.
  if (inWorktree !== null)
    return inWorktree[2] === undefined ? { kind: 'elsewhere' } : { kind: 'repo', path: inWorktree[2] };
  for (const root of roots) {
    if (path === root) return { kind: 'root' };
    if (isUnder(path, root)) return { kind: 'repo', path: path.slice(root === '/' ? 1 : root.length + 1) };
  }
  return null;
}

function throughAlias(path: string, alias: Alias | null): string | null {
  if (alias === null || !isUnder(path, alias.from)) return null;
  return normalisePath(`${alias.to}/${path.slice(alias.from.length)}`);
}

/**
 * A checkout may lie in the temporary directory itself, as in continuous integration: then another path there may be
 * another checkout, and to take it for scratch would be the worse mistake.
 */
function isElsewhere(path: string, { roots, ownDirectories }: Whereabouts): boolean {
  if (DEVICES.test(path) || SCRATCH.test(path)) return true;
  if (ownDirectories.some((directory) => isUnder(path, directory))) return true;
  return TEMPORARY.some((directory) => isUnder(path, directory) && !roots.some((root) => isUnder(root, directory)));
}

/** The root that a header or a command reports; null unless it is an absolute path in its one spelling. */
export function readRoot(text: string): string | null {
  return text.startsWith('/') && normalisePath(text) === text && !text.includes('\0') ? text : null;
}

/**
 * What the header of an http hook says of the session's root: a root, another name of it, or nothing. The client sends
 * `$PWD` as it was when it started, in Latin-1, and drops every letter that Latin-1 lacks: a root that could be what is
 * left of the real one is worse than none.
 * @param header as Node reads it, one character for each byte
 * @param cwds where the session is known to be or to have been, its first cwd first
 */
export function readHeader(header: string, cwds: readonly string[]): { root: string | null; alias: Alias | null } {
  const nothing = { root: null, alias: null };
  const candidates = spellings(header).flatMap((text) => readRoot(text) ?? []);
  const fitting = candidates.find((root) => cwds.some((cwd) => isUnder(cwd, root)));
  if (fitting !== undefined) return { root: stripAgentWorktree(fitting), alias: null };
  const [named] = candidates;
  const [first] = cwds;
  if (named === undefined || first === undefined || isRemainder(named, first)) return nothing;
  return { root: null, alias: aliasOf(named, first) };
}

/** curl sends UTF-8, the client Latin-1: the bytes tell which only if they are no valid UTF-8. */
export function spellings(header: string): string[] {
  const bytes = Buffer.from(header, 'latin1');
  const utf8 = bytes.toString('utf8');
  return utf8.includes('\ufffd') || utf8 === header ? [header] : [utf8, header];
}

function isRemainder(named: string, real: string): boolean {
  // oxlint-disable-next-line no-control-regex -- all that Latin-1 has
  return named !== real && real.replace(/[^\x00-\xff]/g, '').startsWith(named);
}

/** `/home/dev/link/src` for `/home/dev/shop/src` says that `link` is `shop`. */
function aliasOf(from: string, to: string): Alias | null {
  if (isUnder(from, to) || isUnder(to, from)) return null;
  const [a, b] = [from.split('/'), to.split('/')];
  while (a.length > 2 && b.length > 2 && a.at(-1) === b.at(-1)) {
    a.pop();
    b.pop();
  }
  return { from: a.join('/'), to: b.join('/') };
}
