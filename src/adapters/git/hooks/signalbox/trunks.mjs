/** Trunks are the branches where what lands is looked at once more, whatever branch it waited on. */
import { GATE, Told } from './config.mjs';
import { line } from './git.mjs';

/**
 * The full names of the trunks here: those that are configured, if only as none, or else the branch of HEAD.
 * `isStrict`: what waited on another branch has to be covered by live leases once more. On a trunk that nobody has named it
 * lands unless somebody else holds the path by then: most work is merged long after its run is over.
 * @typedef {{ refs: ReadonlySet<string>, isStrict: boolean }} Trunks
 */

/** @returns {Promise<Trunks>} */
export async function trunksHere() {
  const names = await GATE.all('signalbox.trunk');
  if (names !== null) return { refs: trunksOf(names), isStrict: true };
  const head = await line(['symbolic-ref', '--quiet', 'HEAD']);
  // It need not be there yet: what comes first to it is in the way of who holds the paths, as all that follows.
  return { refs: new Set(head === null ? [] : [head]), isStrict: false };
}

/** @param {readonly string[]} names @returns {ReadonlySet<string>} */
function trunksOf(names) {
  for (const name of names)
    if (/[\s*?[]/.test(name)) throw new Told('signalbox.trunk names one branch each, as it is.');
  return new Set(names.map((name) => (name.startsWith('refs/') ? name : `refs/heads/${name}`)));
}
