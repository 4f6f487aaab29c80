import { copyFile, type FileHandle, open, stat, truncate } from 'node:fs/promises';
import { unlessMissing } from './errors.ts';

const LIMIT_BYTES = 4 * 1024 * 1024;

/** Opens PostgreSQL's log for appending. `start` is where what it says from now on begins. */
export async function openLog(file: string): Promise<{ handle: FileHandle; start: number }> {
  await boundLog(file);
  const handle = await open(file, 'a', 0o600);
  return { handle, start: (await handle.stat()).size };
}

/**
 * Keeps the log and one older piece of it below the limit each. It is emptied in place, because PostgreSQL holds it
 * open; as that appends, it goes on at the new end. A line written between the copy and the cut is lost.
 */
export async function boundLog(file: string, limitBytes = LIMIT_BYTES): Promise<void> {
  const size = (await unlessMissing(stat(file), null))?.size ?? 0;
  if (size <= limitBytes) return;
  await copyFile(file, `${file}.1`);
  await truncate(file);
}

export async function readLogFrom(file: string, start: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const buffer = Buffer.alloc(Math.max(0, size - start));
    await handle.read(buffer, 0, buffer.length, start);
    return buffer.toString('utf8');
  } finally {
    await handle.close();
  }
}
