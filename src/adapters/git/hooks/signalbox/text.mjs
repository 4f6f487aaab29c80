/** Lines for people and agents. What others wrote is quoted on one line, so that it reads as data. */

/** @param {string} text @param {number} [most] */
export function quoted(text, most = 120) {
  const plain = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return JSON.stringify(plain.length > most ? `${plain.slice(0, most - 1)}…` : plain);
}

/** A path as git shows odd ones: quoted if it holds anything that a terminal would act on. @param {string} path */
export function shown(path) {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return /[\u0000-\u001f\u007f-\u009f"\\\u2028\u2029]/.test(path) ? JSON.stringify(path) : path;
}

/** @param {readonly string[]} paths @param {number} most */
export function listed(paths, most) {
  const first = paths.slice(0, most).map(shown).join(', ');
  return paths.length > most ? `${first} and ${paths.length - most} more` : first;
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`signalbox: ${text}\n`);
}
