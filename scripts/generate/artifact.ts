import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Files by path relative to a directory, `/`-separated. */
export type FileTree = ReadonlyMap<string, string>;

/**
 * One thing that is generated and committed: `directory` is owned whole, so that a file nobody generates any more is
 * drift as well.
 */
export interface Artifact {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  readonly render: () => Promise<FileTree>;
}

/** All text files below `directory`; none if it does not exist. */
export async function readTree(directory: string): Promise<FileTree> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
  const tree = new Map<string, string>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    tree.set(path.relative(directory, file).split(path.sep).join('/'), await readFile(file, 'utf8'));
  }
  return tree;
}

/** The paths at which `actual` is not `expected`, sorted: missing, superfluous or different. */
export function drift(expected: FileTree, actual: FileTree): string[] {
  const paths = new Set([...expected.keys(), ...actual.keys()]);
  return [...paths].filter((file) => expected.get(file) !== actual.get(file)).toSorted();
}

/** Makes `directory` hold exactly `tree`. Files that are already right are left alone, for the sake of watchers. */
export async function writeTree(directory: string, tree: FileTree): Promise<void> {
  for (const file of drift(tree, await readTree(directory))) {
    const target = path.join(directory, file);
    const content = tree.get(file);
    if (content === undefined) {
      await rm(target);
      continue;
    }
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, content);
  }
}
