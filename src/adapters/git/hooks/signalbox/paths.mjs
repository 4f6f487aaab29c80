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
 * @param {readonly Buffer[]} all
 * @returns {{ paths: string[], odd: string[] }} each once; `odd` are those that cannot be told
 */
export function readPaths(all) {
  /** @type {Set<string>} */
  const paths = new Set();
  /** @type {Set<string>} */
  const odd = new Set();
  for (const bytes of all) {
    const path = readPath(bytes);
    if (path === null) odd.add(bytes.toString());
    else paths.add(path);
  }
  return { paths: [...paths].toSorted(), odd: [...odd] };
}
