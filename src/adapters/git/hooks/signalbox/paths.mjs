import { isNull } from './git.mjs';

/** @import { Entry } from './git.mjs' */

/** What the server takes for a path: valid Unicode in NFC, without control characters, of at most 4096 bytes. */
const PATH_BYTES = 4096;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param {Buffer} bytes
 * @returns {string | null} null: no lease can name it, so it cannot be told either
 */
export function readPath(bytes) {
  let text;
  try {
    text = decoder.decode(bytes).normalize('NFC');
  } catch {
    return null;
  }
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(text) || /^[A-Za-z]:[\\/]/.test(text)) return null;
  return Buffer.byteLength(text) > PATH_BYTES ? null : text;
}

/**
 * The paths of changed files, each once. `odd` are those that no lease can name; where one of them was deleted it is
 * left out, because nobody can hold it and this is how it goes away.
 * @param {Iterable<Entry>} entries
 * @returns {{ paths: string[], odd: string[] }}
 */
export function readPaths(entries) {
  /** @type {Set<string>} */
  const paths = new Set();
  /** @type {Set<string>} */
  const odd = new Set();
  for (const { path: bytes, after } of entries) {
    const path = readPath(bytes);
    if (path !== null) paths.add(path);
    else if (!isNull(after.name)) odd.add(bytes.toString());
  }
  return { paths: [...paths].toSorted(), odd: [...odd] };
}
