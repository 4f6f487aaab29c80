import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Files by path relative to a directory, `/`-separated. */
export type FileTree = ReadonlyMap<string, string>;

/**
 * One thing that is generated and committed. `directory` is owned whole, so that a file nobody generates any more is
 * drift as well; or, with `files`, only those in it.
 */
export interface Artifact {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  readonly files?: readonly string[];
  readonly render: () => Promise<FileTree>;
}

type Owned = Pick<Artifact, 'directory' | 'files'>;

/** The files that an artifact owns, as they are on disk; those that do not exist are not in it. */
export async function readTree({ directory, files }: Owned): Promise<FileTree> {
  return files === undefined ? readDirectory(directory) : readFiles(directory, files);
}

async function readFiles(directory: string, files: readonly string[]): Promise<FileTree> {
  const tree = new Map<string, string>();
  for (const file of files) {
    const content = await readFile(path.join(directory, file), 'utf8').catch(noneIfMissing);
    if (content !== null) tree.set(file, content);
  }
  return tree;
}

async function readDirectory(directory: string): Promise<FileTree> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(noneIfMissing);
  const tree = new Map<string, string>();
  for (const entry of entries ?? []) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    tree.set(path.relative(directory, file).split(path.sep).join('/'), await readFile(file, 'utf8'));
  }
  return tree;
}

function noneIfMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

/** The paths at which `actual` is not `expected`, sorted: missing, superfluous or different. */
export function drift(expected: FileTree, actual: FileTree): string[] {
  const paths = new Set([...expected.keys(), ...actual.keys()]);
  return [...paths].filter((file) => expected.get(file) !== actual.get(file)).toSorted();
}

/** Makes what is owned be exactly `tree`. Files that are already right are left alone, for the sake of watchers. */
export async function writeTree(owned: Owned, tree: FileTree): Promise<void> {
  for (const file of drift(tree, await readTree(owned))) {
    const target = path.join(owned.directory, file);
    const content = tree.get(file);
    if (content === undefined) {
      await rm(target);
      continue;
    }
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}
