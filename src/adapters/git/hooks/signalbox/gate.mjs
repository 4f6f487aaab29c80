/** What both gates do with what a push brings: verify it, say what came of it, and refuse whatever cannot be known. */
import { Refused, Unreachable } from './api.mjs';
import { isSet, setting, Told } from './config.mjs';
import { explain } from './explain.mjs';
import { GitError } from './git.mjs';
import { openIn, tolerate } from './judge.mjs';
import { listed, say } from './text.mjs';

/** @import { Server } from './cover.mjs' */
/** @import { Piece } from './judge.mjs' */

/**
 * @param {object} push
 * @param {readonly Piece[]} push.pieces
 * @param {readonly string[]} push.odd paths that no lease can name
 * @param {Server} push.verifying asked for what the verdict rests on, within the time that it may take
 * @param {Server} push.explaining asked for the rest
 * @param {string} push.whose leases these are, for the refusal
 * @param {readonly string[]} push.advice
 * @returns {Promise<boolean>} whether it may go on
 */
export async function judgePush({ pieces, odd, verifying, explaining, whose, advice }) {
  const mayReport = await reportsUnleased();
  if (odd.length > 0 && !mayReport) throw new Told(`no lease can name these paths; rename them: ${listed(odd, 10)}`);
  const open = await openIn(verifying, pieces);
  const verdict = mayReport ? await tolerate(explaining, open) : { refused: open, unleased: [] };
  const unleased = [...odd, ...verdict.unleased];
  if (unleased.length > 0)
    say(`unleased: no lease covers ${unleased.length} path(s) that this push changes: ${listed(unleased, 10)}`);
  if (verdict.refused.length === 0) return true;
  const all = new Set(pieces.flatMap(({ paths }) => paths)).size;
  const bad = new Set(verdict.refused.flatMap(({ paths }) => paths)).size;
  say(`push refused: ${whose} covers ${bad} of the ${all} path(s) that it changes.`);
  // Refused is refused, also when the server goes away while it is asked for the reasons.
  await explain(explaining, verdict.refused).catch(() => say('  who holds them could not be asked.'));
  for (const text of ['Nothing was pushed.', ...advice]) say(text);
  return false;
}

/** Whether edits without a lease go through where they collide with nobody. */
async function reportsUnleased() {
  const chosen = (await setting('signalbox.unleased')) ?? 'refuse';
  if (chosen !== 'refuse' && chosen !== 'report') throw new Told('signalbox.unleased is neither refuse nor report.');
  return chosen === 'report';
}

/**
 * Whatever happens on the way, only a push that was verified goes on.
 * @param {(input: string) => Promise<boolean>} verify given what git says on standard input
 */
export async function decide(verify) {
  process.exitCode = 1;
  const mayGoOn = await standardInput().then(verify).catch(refuse);
  if (mayGoOn) process.exitCode = 0;
}

/** @param {unknown} error @returns {Promise<boolean>} whether the push may go on all the same */
async function refuse(error) {
  const why = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Unreachable)) {
    const expected = error instanceof Told || error instanceof Refused || error instanceof GitError;
    say(`push refused: ${expected ? why : `the leases could not be verified: ${why}`}`);
    return false;
  }
  if (await isSet('signalbox.pushFailOpen')) {
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
