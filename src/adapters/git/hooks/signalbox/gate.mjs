/** What both gates do with what a push brings: verify it, say what came of it, and refuse whatever cannot be known. */
import { Refused, Unreachable } from './api.mjs';
import { Told } from './config.mjs';
import { explain } from './explain.mjs';
import { GitError } from './git.mjs';
import { heldByNow, openIn, tolerate } from './judge.mjs';
import { listed, say } from './text.mjs';

/** @import { Settings } from './config.mjs' */
/** @import { Server } from './cover.mjs' */
/** @import { Piece, Verdict } from './judge.mjs' */

/**
 * @typedef {object} Push
 * @property {Settings} settings
 * @property {readonly Piece[]} pieces
 * @property {readonly string[]} odd paths that no lease can name
 * @property {() => Server} verifying asked for what the verdict rests on, within the time that it may take from there
 * @property {Server} explaining asked for the rest
 * @property {string} whose leases these are, for the refusal
 * @property {readonly string[]} advice
 */

/** @param {Push} push @returns {Promise<boolean>} whether it may go on */
export async function judgePush(push) {
  const { settings, pieces, odd, explaining, whose, advice } = push;
  const mayReport = await reportsUnleased(settings);
  if (odd.length > 0 && !mayReport) throw new Told(`no lease can name these paths; rename them: ${listed(odd, 10)}`);
  const verdict = await verdictOn(push, mayReport);
  const unleased = [...odd, ...verdict.unleased];
  if (unleased.length > 0)
    say(`unleased: no lease covers ${unleased.length} path(s) that this push changes: ${listed(unleased, 10)}`);
  const { refused } = verdict;
  if (refused.length === 0) return true;
  const all = new Set(pieces.flatMap(({ paths }) => paths)).size;
  const bad = new Set(refused.flatMap(({ paths }) => paths)).size;
  say(`push refused: ${whose} covers ${bad} of the ${all} path(s) that it changes.`);
  // Refused is refused, also when the server goes away while it is asked for the reasons.
  const next = await explain(explaining, refused, advice).catch(() => {
    say('  who holds them could not be asked.');
    return advice;
  });
  for (const text of ['Nothing was pushed.', ...next]) say(text);
  return false;
}

/**
 * Whether what is open may go through all the same can take longer to ask than the lock delay lasts: after it, what was
 * covered has to be covered still.
 * @param {Push} push
 * @param {boolean} mayReport
 * @returns {Promise<Verdict>}
 */
async function verdictOn({ pieces, verifying, explaining }, mayReport) {
  const found = await openIn(verifying(), pieces);
  const waited = found.filter(({ piece }) => piece.waited === true);
  const fresh = found.filter(({ piece }) => piece.waited !== true);
  if (waited.length === 0 && (fresh.length === 0 || !mayReport)) return { refused: fresh, unleased: [] };
  const refused = mayReport ? [] : fresh;
  // What was refused stays so, whatever becomes of the next question.
  const asked = async (/** @type {Promise<Verdict>} */ asking) => {
    const verdict = await asking.catch((/** @type {unknown} */ error) => {
      if (refused.length === 0) throw error;
      return { refused: [], unleased: [] };
    });
    refused.push(...verdict.refused);
    return verdict.unleased;
  };
  await asked(heldByNow(explaining, waited));
  const unleased = mayReport ? await asked(tolerate(explaining, fresh)) : [];
  if (refused.length > 0) return { refused, unleased };
  const known = new Map(found.map(({ piece, paths }) => [piece, new Set(paths)]));
  const lost = (await openIn(verifying(), pieces)).map(({ piece, paths }) => {
    return { piece, paths: paths.filter((path) => !known.get(piece)?.has(path)) };
  });
  return { refused: lost.filter(({ paths }) => paths.length > 0), unleased };
}

/** Whether edits without a lease go through where they collide with nobody. @param {Settings} settings */
async function reportsUnleased(settings) {
  const chosen = (await settings.one('signalbox.unleased')) ?? 'refuse';
  if (chosen !== 'refuse' && chosen !== 'report') throw new Told('signalbox.unleased is neither refuse nor report.');
  return chosen === 'report';
}

/**
 * Whatever happens on the way, only a push that was verified goes on.
 * @param {Settings} settings
 * @param {(input: string) => Promise<boolean>} verify given what git says on standard input
 */
export async function decide(settings, verify) {
  process.exitCode = 1;
  const mayGoOn = await standardInput()
    .then(verify)
    .catch((/** @type {unknown} */ error) => refuse(settings, error));
  if (mayGoOn) process.exitCode = 0;
}

/** @param {Settings} settings @param {unknown} error @returns {Promise<boolean>} whether the push may go on all the same */
async function refuse(settings, error) {
  const why = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Unreachable)) {
    const expected = error instanceof Told || error instanceof Refused || error instanceof GitError;
    say(`push refused: ${expected ? why : `the leases could not be verified: ${why}`}`);
    return false;
  }
  if (await settings.isSet('signalbox.pushFailOpen')) {
    say(`the leases were not verified (${why}); this repository is configured to push all the same.`);
    return true;
  }
  say(`push refused: the server could not be asked whether the leases still stand: ${why}. Try again later.`);
  return false;
}

/** @returns {Promise<string>} */
async function standardInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
