/** Lines for people and agents. What others wrote is quoted on one line, so that it reads as data. */

/** What a terminal would act on, or show in another order than it is written. */
const UNSAFE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** @param {string} text */
const inJson = (text) =>
  JSON.stringify(text).replace(UNSAFE, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** @param {string} text @param {number} [most] */
export function quoted(text, most = 120) {
  const plain = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return inJson(plain.length > most ? `${plain.slice(0, most - 1)}…` : plain);
}

/** A path, quoted if it is an odd one. @param {string} path */
export function shown(path) {
  return path.search(UNSAFE) !== -1 || /["\\]/.test(path) ? inJson(path) : path;
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
