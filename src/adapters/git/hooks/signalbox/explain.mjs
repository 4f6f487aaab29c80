/** Says why a push was refused, as advice to whoever pushed: who holds what, and what became of the leases. */
import { askEach } from './api.mjs';
import { ofOthers } from './holders.mjs';
import { listed, quoted, say, shown } from './text.mjs';

/** @import { Lease, Stale } from './api.mjs' */
/** @import { Author, Server } from './cover.mjs' */
/** @import { Open } from './judge.mjs' */

/** Paths and commits explained one by one; the others are counted. */
const PATHS = 20;
const COMMITS = 5;
const LEASES = 5;

/** What the server says of a lease that counts for nothing. One that is not here is told in its own word. */
/** @type {Readonly<Record<string, string>>} */
const REASONS = {
  expired: 'its time ran out',
  ended: 'it has ended',
  revoked: 'it was revoked',
  fence: 'this is not its fence',
  unknown: 'the server knows no such lease',
  other_repo: 'it is of another repo',
};

/** Instead of the advice to acquire a lease, where that is not to be had. */
const REVOKED = [
  'What was revoked is closed to that run until then, whatever it asks for: say so and stop. Whoever revoked it may',
  'have the work go on in another run.',
];

/**
 * @param {Server} server
 * @param {readonly Open[]} refused
 * @param {readonly string[]} advice
 * @returns {Promise<readonly string[]>} what to do about it
 */
export async function explain(server, refused, advice) {
  const paths = [...new Set(refused.flatMap((open) => open.paths))].toSorted();
  const authors = refused.flatMap(({ piece }) => piece.authors);
  const told = paths.slice(0, PATHS);
  const holders = await askEach(told, (path) => server.holders(path));
  for (const [at, path] of told.entries()) say(`  ${shown(path)}: ${standing(holders[at] ?? [], authors)}`);
  if (paths.length > PATHS) say(`  and ${paths.length - PATHS} more`);
  const histories = await askEach(refused.slice(0, COMMITS), (open) => historyOf(server, open));
  for (const { text } of histories) if (text !== null) say(text);
  return histories.some(({ isRevoked }) => isRevoked) ? REVOKED : advice;
}

/** @param {readonly Lease[]} leases that hold a path @param {readonly Author[]} authors who answer for what is pushed */
function standing(leases, authors) {
  const [other] = ofOthers(leases, authors);
  if (other !== undefined) return heldBy(other);
  const [own] = leases;
  if (own === undefined) return 'no lease covers it, and nobody holds it now.';
  if (own.state !== 'live') return `the lease of its run ended at ${own.expiresAt}.`;
  if (own.mode === 'shared') return 'the lease of its run is shared, and only an exclusive one covers a push.';
  return 'its run holds it by now.';
}

/** @param {Lease} lease */
function heldBy({ state, mode, purpose, expiresAt, closedUntil, holder: { loop, owner } }) {
  const who = `loop ${quoted(loop.name)} of ${quoted(owner.name)}`;
  // Nobody can renew it any more.
  if (state !== 'live') return `closed until ${closedUntil}, after the lease of ${who} ran out at ${expiresAt}.`;
  const how = mode === 'shared' ? 'held (shared)' : 'held';
  const why = purpose === null ? 'no purpose was told' : `purpose ${quoted(purpose)}`;
  return `${how} by ${who}, ${why}, until ${expiresAt} unless it is renewed.`;
}

/** @typedef {{ text: string | null, isRevoked?: boolean }} History `isRevoked`: of a lease that its run would have yet */

/**
 * What is on record of a commit: whose it is, and what became of the leases that it was made under.
 * @param {Server} server
 * @param {Open} open
 * @returns {Promise<History>}
 */
async function historyOf(server, { piece: { commit, taken, authors }, paths }) {
  const name = `commit ${commit.slice(0, 12)}`;
  if (taken) return { text: `${name} would be taken away; ${insteadOfTaking(authors)}` };
  const change = await server.change(commit);
  if (change === null) return { text: `${name} is not on record: no run reported it.` };
  if (change.leases.length === 0)
    return { text: `${name} was made without a lease${change.runId === null ? ' and run' : ''}.` };
  const { stale } = await server.verify(paths.slice(0, 1), change.leases);
  if (stale.length === 0) return { text: null };
  const ends = await askEach(stale.slice(0, LEASES), (one) => endOf(server, one));
  const more = stale.length > LEASES ? `, and ${stale.length - LEASES} more` : '';
  const list = ends.map(({ text }) => text).join(', ');
  const text = `${name} was made under leases that stand no more: ${list}${more}.`;
  return { text, isRevoked: ends.some(({ isRevoked }) => isRevoked) };
}

/** @param {readonly Author[]} authors */
function insteadOfTaking(authors) {
  const revert = 'a commit that undoes it (git revert) takes nothing away.';
  if (authors.length > 0) return revert;
  // Who holds leases on all of it is told of them, and has to hear why they do not count.
  return `where the new tip is no commit of a run, no lease allows that: force a new commit of your run, or ${revert}`;
}

/** @param {Server} server @param {Stale} stale @returns {Promise<{ text: string, isRevoked: boolean }>} */
async function endOf(server, { id, fence, reason, message }) {
  const why = Object.hasOwn(REASONS, reason) ? REASONS[reason] : quoted(reason);
  const said = typeof message === 'string' && message !== '' ? `: ${quoted(message)}` : '';
  const lease = reason === 'revoked' ? await server.lease(id).catch(() => null) : null;
  const isRevoked = lease?.state === 'revoked';
  const what = isRevoked ? `, on ${listed([...lease.paths, ...lease.patterns], 3)}, until ${lease.expiresAt}` : '';
  return { text: `${id} with fence ${fence} (${why}${said}${what})`, isRevoked };
}
