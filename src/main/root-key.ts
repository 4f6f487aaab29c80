import { newSecret } from '../modules/identity/index.ts';
import { keep, readKept } from './kept-file.ts';

export const ROOT_KEY_FILE = 'root-key';

/**
 * The root key of a server that was given none: made on the first start and kept in the data directory. Only for the
 * embedded database, which no other server shares.
 */
export async function keptRootKey(dataDirectory: string): Promise<string> {
  const kept = (await readKept(dataDirectory, ROOT_KEY_FILE))?.trim();
  if (kept !== undefined && kept !== '') return kept;
  const made = newSecret();
  await keep(dataDirectory, ROOT_KEY_FILE, `${made}\n`);
  return made;
}
