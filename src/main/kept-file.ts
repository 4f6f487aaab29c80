import { type FileHandle, mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';

/** The text of a file of the data directory; null if there is none yet. */
export async function readKept(directory: string, name: string): Promise<string | null> {
  try {
    return await readFile(path.join(directory, name), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Writes a secret into the data directory, for the owner's eyes only. After a crash it is there whole or not at all:
 * half a root key would be worse than none.
 */
export async function keep(directory: string, name: string, text: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const target = path.join(directory, name);
  const draft = `${target}.${process.pid}.new`;
  await using(await open(draft, 'w', 0o600), async (file) => {
    await file.writeFile(text);
    await file.sync();
  });
  await rename(draft, target);
  await using(await open(directory, 'r'), (folder) => folder.sync());
}

async function using(handle: FileHandle, work: (handle: FileHandle) => Promise<void>): Promise<void> {
  try {
    await work(handle);
  } finally {
    await handle.close();
  }
}
