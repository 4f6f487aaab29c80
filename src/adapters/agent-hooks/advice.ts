import type { Admission } from '../../modules/admission/index.ts';
import { asSentence } from '../../platform/errors.ts';

/**
 * What an agent reads: pure text. It says who, why and until when, and what can be done now; never how to get round it.
 * Names and purposes come from other agents: they are quoted on one line, so that they read as data.
 */

type Rule = Admission['decision']['rules'][number];
type Conflict = NonNullable<Admission['conflicts']>[number];
type Nearby = Admission['context']['active'][number];
type Landed = Admission['context']['recent'][number];

/** Claude Code turns a context of more than about 10,000 characters into a file. */
const CONTEXT_CHARACTERS = 4000;
const SHOWN = 5;
/** An admission's context has no more leases than this; with so many, there may be others. */
const NEARBY_TOLD = 10;

/** One line of somebody else's words. */
export function quoted(text: string, most = 200): string {
  const line = text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const cut = line.length > most ? `${line.slice(0, most - 1)}…` : line;
  return `"${cut.toWellFormed().replaceAll('"', "'")}"`;
}

/** Leases that the session thinks it holds, and that an admin has taken back. */
export function revokedAdvice(revocations: readonly { readonly detail: string }[]): string | null {
  if (revocations.length === 0) return null;
  const lines = revocations.map(({ detail }) => `- ${quoted(detail, 700)}`);
  return ['Signalbox: these are not yours any more. Leave them as they are, and tell your user.', ...lines].join('\n');
}

/** Somebody else holds what was asked for. */
export function heldAdvice(
  admission: Pick<Admission, 'conflicts' | 'moreConflicts' | 'free' | 'context'>,
  now: Date,
): string {
  const conflicts = admission.conflicts ?? [];
  const first = conflicts.slice(0, SHOWN).map((conflict) => `- ${conflictLine(conflict, now)}`);
  const earliest = conflicts
    .flatMap(({ freeAt }) => (freeAt === null ? [] : [freeAt]))
    .toSorted()
    .at(-1);
  // A directory is not free while somebody holds what lies in it, though no file of that name is held.
  const free = (admission.free ?? []).filter((path) => !conflicts.some(({ witness }) => isAbout(path, witness)));
  const others = admission.context.active.filter(({ leaseId }) => !conflicts.some((one) => one.leaseId === leaseId));
  return [
    'Not now: another loop is working on this. Nothing was changed.',
    ...first,
    ...untold(conflicts.length - SHOWN, admission.moreConflicts === true),
    ...(free.length > 0 ? [`Of what you asked for, this is free right now: ${list(free, 10)}.`] : []),
    ...freeNearby(conflicts, others),
    `Go on with something else meanwhile${earliest === undefined ? '' : `, and try again after ${clock(earliest, now)}`}. ` +
      'If your task cannot go on without it, say so and stop, rather than undo or duplicate what the other loop does.',
  ].join('\n');
}

function untold(count: number, isCut: boolean): string[] {
  if (isCut) return ['- and more'];
  return count > 0 ? [`- and ${count} more`] : [];
}

/** Whether a path, or `dir/`, is where the witness lies. */
function isAbout(path: string, witness: string): boolean {
  const bare = path.replace(/\/(\*\*)?$/, '');
  return witness === bare || witness.startsWith(`${bare}/`);
}

function conflictLine(conflict: Conflict, now: Date): string {
  const isWhole = conflict.held === conflict.witness;
  const [witness, held] = [shown(conflict.witness), shown(conflict.held)];
  if (conflict.freeAt === null || conflict.expiresAt === null)
    return `${isWhole ? witness : `${witness} (of ${held})`} is next for ${holderOf(conflict)}, who asked for it before: ${purposeOf(conflict.purpose)}.`;
  const what = isWhole ? witness : `${witness} (its lease: ${held})`;
  const until = conflict.closing
    ? `its lease has run out, and opens to others at ${clock(conflict.freeAt, now)}`
    : `until ${clock(conflict.expiresAt, now)} unless it is renewed or released before`;
  return `${what} is held by ${holderOf(conflict)}: ${purposeOf(conflict.purpose)}, ${until}.`;
}

/** Told only where it is known: one directory, and no pattern that may reach into it. */
function freeNearby(conflicts: readonly Conflict[], others: readonly Nearby[]): string[] {
  const held = [...new Set(others.flatMap(({ paths, patterns }) => [...paths, ...patterns]))];
  const also = held.length === 0 ? [] : [`Also held nearby: ${list(held, 10)}.`];
  const [directory, ...more] = new Set(conflicts.map(({ witness }) => witness.slice(0, witness.lastIndexOf('/') + 1)));
  const isKnown =
    more.length === 0 &&
    conflicts.every((conflict) => conflict.held === conflict.witness) &&
    others.length < NEARBY_TOLD &&
    others.every(({ patterns }) => patterns.length === 0);
  if (directory === undefined || directory === '' || !isKnown) return also;
  return [...also, `The rest of ${shown(directory)} is free right now.`];
}

/** Policies or guardrails say no. */
export function deniedAdvice(rules: readonly Rule[]): string {
  const deciding = rules.filter(({ effect }) => effect === 'deny');
  return [
    'Refused. Nothing was changed.',
    ...(deciding.length === 0 ? ['- by policy'] : deciding.map((rule) => `- ${ruleLine(rule)}`)),
    'Do not try to reach the same result another way. Go on with what is allowed, or tell the user what is in the way.',
  ].join('\n');
}

function ruleLine({ id, policy, reason, paths }: Rule): string {
  const by = policy === null ? '' : ` (policy ${policy}, rule ${id})`;
  return `${paths.length === 0 ? '' : `${list(paths, 5)}: `}${reason}${by}`;
}

export interface Checkpoint {
  readonly approvalId: string;
  readonly rules: readonly Rule[];
  /** What it still needs; empty if that is not known. */
  readonly missing: readonly { readonly team: string | null; readonly missing: number }[];
  readonly link: string;
  readonly heldSeconds: number;
}

/** A person has to look first, and has not yet. */
export function approvalAdvice({ approvalId, rules, missing, link, heldSeconds }: Checkpoint): string {
  const asking = rules.filter(({ effect }) => effect === 'require_approval');
  const who = missing.filter((need) => need.missing > 0).map(voters);
  return [
    'A person must approve this first. Nothing was changed.',
    ...asking.map((rule) => `- ${ruleLine(rule)}`),
    `Approval ${approvalId} waits for ${who.length === 0 ? 'a person' : who.join(' and ')}: ${link}`,
    `${heldSeconds > 0 ? `Nobody has answered within ${heldSeconds} s, which is not a no. ` : ''}Tell the user. ` +
      'Once it is approved, exactly the same call will pass; until then go on with something else.',
  ].join('\n');
}

function voters({ team, missing }: { team: string | null; missing: number }): string {
  const count = missing === 1 ? 'one' : String(missing);
  const others = missing === 1 ? 'a member or admin' : `${count} members or admins`;
  return team === null ? `${others} other than the loop's owner` : `${count} of team ${quoted(team, 100)}`;
}

/** The kill switch. */
export function haltAdvice(reasons: readonly string[]): string {
  const why = reasons.length === 0 ? 'Halted.' : reasons.join(' ');
  return `${why} Stop here: do nothing more until the halt is lifted.`;
}

/** What others hold near what was just allowed; null if nobody does. */
export function nearbyContext(active: readonly Nearby[], now: Date): string | null {
  if (active.length === 0) return null;
  const lines = active.map((lease) => {
    const held = list([...lease.paths, ...lease.patterns], 5);
    return `- ${held}: ${holderOf(lease)}, ${purposeOf(lease.purpose)}, until ${clock(lease.expiresAt, now)}`;
  });
  const head = 'Signalbox: other loops hold these paths nearby. Leave them alone, and do not undo what they do there.';
  const text = [head, ...lines].join('\n');
  return text.length <= CONTEXT_CHARACTERS ? text : `${text.slice(0, CONTEXT_CHARACTERS - 1).toWellFormed()}…`;
}

/** What others do near what was just allowed: what they hold, and what they have just changed. Null if nothing. */
export function sharedContext(
  { active, recent }: Pick<Admission['context'], 'active' | 'recent'>,
  now: Date,
): string | null {
  const parts = [nearbyContext(active, now), recentContext(recent)].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join('\n');
}

/** What others landed near what was just allowed, and why; null if nobody did. */
function recentContext(recent: readonly Landed[]): string | null {
  if (recent.length === 0) return null;
  const lines = recent.slice(0, SHOWN).map((change) => {
    const more = change.fileCount > change.paths.length ? ` (${change.fileCount} files)` : '';
    const who = change.loop === null ? quoted(change.owner.name, 100) : landedBy(change.loop, change.owner);
    const why = change.intent === null ? 'no intent was told' : `intent ${quoted(change.intent)}`;
    return `- ${list(change.paths, 5)}${more}: ${age(change.ageSeconds)} ago by ${who}, ${why}, commit ${change.commit.slice(0, 12)}`;
  });
  const head = 'Signalbox: others changed these paths nearby lately. Build on it; do not undo it without asking them.';
  const text = [head, ...lines].join('\n');
  return text.length <= CONTEXT_CHARACTERS ? text : `${text.slice(0, CONTEXT_CHARACTERS - 1).toWellFormed()}…`;
}

function landedBy(loop: { readonly name: string }, owner: { readonly name: string }): string {
  return `loop ${quoted(loop.name, 100)} of ${quoted(owner.name, 100)}`;
}

/** In the largest unit of which there are at least two. */
function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 2 * 86_400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`;
}

/** A path that may lie in the repo, in a place that nobody named. */
export function unexplainedAdvice(path: string, roots: readonly string[]): string {
  const known = roots.length === 0 ? 'no root of a checkout is known' : `the checkout known is ${list(roots, 3)}`;
  return (
    `Refused: ${quoted(path, 500)} lies outside the checkout (${known}), so nobody can tell whether another loop works ` +
    'on it. Keep to paths inside the checkout, or tell the user. Nothing was changed.'
  );
}

/** The question could not be decided, so the answer is no. */
export function failedAdvice(why: string): string {
  return `Signalbox could not decide this, so it is refused: ${asSentence(why)} Nothing was changed.`;
}

function holderOf({ holder }: { holder: Conflict['holder'] }): string {
  const owner = holder.owner.name === '' ? '' : ` of ${quoted(holder.owner.name, 100)}`;
  return `loop ${quoted(holder.loop.name, 100)}${owner}`;
}

function purposeOf(purpose: string | null): string {
  return purpose === null ? 'no purpose was told' : `purpose ${quoted(purpose)}`;
}

function list(items: readonly string[], most: number): string {
  const told = items.slice(0, most).map(shown).join(', ');
  return items.length > most ? `${told} and ${items.length - most} more` : told;
}

/** A path as it is, or in quotes and escaped where it holds what a reader might take for anything else: a line's end, say. */
function shown(path: string): string {
  if (!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}"]/u.test(path)) return path;
  return JSON.stringify(path).replaceAll(
    /[\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** `16:52:10 UTC (in 12 min)`; with the date if it is another day. */
function clock(time: string, now: Date): string {
  const at = new Date(time);
  const day =
    at.toISOString().slice(0, 10) === now.toISOString().slice(0, 10) ? '' : `${at.toISOString().slice(0, 10)} `;
  const seconds = Math.max(0, Math.round((at.getTime() - now.getTime()) / 1000));
  const inWords = seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
  return `${day}${at.toISOString().slice(11, 19)} UTC (in ${inWords})`;
}
