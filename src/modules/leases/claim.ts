import {
  type CaseMode,
  indexKey,
  type Lookup,
  lookup,
  type Matcher,
  matches,
  overlap,
  type Pattern,
  spend,
  storedPath,
  storedPattern,
} from '../../patterns/index.ts';

/** UTF-16 units of a pattern's text that are looked at in one step: see `workDone`. */
const UNITS_A_STEP = 4;

/** A thing of a repo that is no file, by its name: `port:5432`, `migration:next`, `env:staging`. Compared as spelled. */
export interface Resource {
  readonly kind: 'resource';
  /** NFC. */
  readonly text: string;
}

/** What a lease holds or a request wants: a literal path, a pattern, or a named resource. */
export type Claim = Matcher | Resource;

export interface ClaimKey {
  readonly kind: 'literal' | 'pattern' | 'resource';
  readonly key: string;
  readonly tail: string | null;
}

/** Where candidates for an overlap with a claim are stored; see `Lookup`. */
export interface ClaimLookup extends Lookup {
  readonly resources: readonly string[];
}

const RESOURCE_FORM = /^[a-z][a-z0-9-]{0,31}:[^\s\p{Cc}\p{Cs}]{1,200}$/u;

/** Null for anything but `kind:name`: a lowercase kind, a name without spaces, at most 200 characters. */
export function parseResource(text: string): Resource | null {
  const normal = text.normalize('NFC');
  return RESOURCE_FORM.test(normal) ? { kind: 'resource', text: normal } : null;
}

/** The key to store a claim under. */
export function claimKey(claim: Claim): ClaimKey {
  return claim.kind === 'resource' ? { kind: 'resource', key: claim.text, tail: null } : indexKey(claim);
}

/** Where to look for what may overlap a claim. Never narrower than `meet`. */
export function claimLookup(claim: Claim): ClaimLookup {
  if (claim.kind === 'resource')
    return { literals: [], patternPrefixes: [], range: null, tail: null, resources: [claim.text] };
  return { ...lookup(claim), resources: [] };
}

/** What both claims hold, as a witness: a path, or the resource's name. Null if they share nothing. */
export function meet(a: Claim, b: Claim, mode: CaseMode): string | null {
  if (a.kind === 'resource' || b.kind === 'resource') return a.kind === b.kind && a.text === b.text ? a.text : null;
  return overlap(a, b, mode);
}

/**
 * Whether `held` is sure to hold all of `wanted`: a path by matching it, a pattern by the same text, which is what a run asking
 * again sends, or by lying in a directory that is held whole. False for what only a longer proof would tell.
 */
export function holds(held: Claim, wanted: Claim, mode: CaseMode): boolean {
  // Others are kept from all that it stands for; that its run holds it is not sure.
  if (held.kind === 'pattern' && !held.isExact) return wanted.kind === 'pattern' && held.text === wanted.text;
  if (wanted.kind === 'path') return held.kind !== 'resource' && matches(held, wanted, mode);
  if (held.kind === wanted.kind && held.text === wanted.text) return true;
  if (held.kind !== 'pattern' || wanted.kind !== 'pattern') return false;
  spend(1 + Math.floor(held.text.length / UNITS_A_STEP));
  return isWithin(held, wanted, mode);
}

/** `dir/**` and `dir/` hold every pattern that begins with that directory. */
function isWithin(held: Pattern, wanted: Pattern, { caseSensitive }: CaseMode): boolean {
  const directory = /^[^*?[\]{}\\]*\/(?=\*\*$|$)/.exec(held.text)?.[0];
  if (directory === undefined) return false;
  const { prefix } = held.automaton(caseSensitive);
  return prefix.length === directory.length && wanted.automaton(caseSensitive).prefix.startsWith(prefix);
}

export function pathsAndPatterns(claims: readonly Claim[]): Matcher[] {
  return claims.filter((claim) => claim.kind !== 'resource');
}

/** Claims as a row has them. */
export interface ClaimTexts {
  readonly paths: readonly string[];
  readonly patterns: readonly string[];
  readonly resources: readonly string[];
}

/**
 * Texts that were accepted when the row was written. They are taken as they stand: one that would be refused by now must not
 * keep everybody from what lies near it, nor be taken for absent.
 */
export function readClaims({ paths, patterns, resources }: ClaimTexts): Claim[] {
  return [
    ...paths.map(storedPath),
    ...patterns.map(storedPattern),
    ...resources.map((text): Resource => ({ kind: 'resource', text })),
  ];
}

export function textsOf(claims: readonly Claim[], kind: Claim['kind']): string[] {
  return claims.filter((claim) => claim.kind === kind).map(({ text }) => text);
}
