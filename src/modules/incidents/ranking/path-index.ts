import { type EvidencePath, MAX_PREFIX } from './evidence-path.ts';

/** How a changed file stands to a path of the evidence. */
export type PathRelation = 'same' | 'ends_alike' | 'same_directory' | 'near';

export interface PathMatch {
  /** In [0, 1]. */
  readonly strength: number;
  readonly relation: PathRelation;
}

/** The very file. */
const SAME = 1;
/** The same file behind a container's or bundler's prefix, by a path of two segments or more; by its bare name. */
const BEHIND_PREFIX = 0.9;
const BARE_NAME_BEHIND_PREFIX = 0.4;
/** The evidence's path is the end of the file's (relative to a package's root); its bare name is. */
const END_OF_FILE = 0.7;
const BARE_NAME = 0.3;
/** Another file of the same directory, and what is left of that with each directory up or down. */
const SAME_DIRECTORY = 0.3;
const DIRECTORY_DECAY = 0.5;
const MAX_STEPS = 2;

interface Entry {
  readonly evidence: number;
  readonly match: PathMatch;
}

/**
 * Evidence turned round: from a changed file's path to the evidence that it matches, in a few look-ups however long the
 * evidence is. A directory counts as evidence for what lies directly in it.
 */
export class PathIndex {
  readonly #files = new Map<string, Entry[]>();
  readonly #ends = new Map<string, Entry[]>();
  readonly #directories = new Map<string, (Entry & { readonly steps: number })[]>();
  readonly #fold: (text: string) => string;

  constructor(evidence: readonly EvidencePath[], mode: { readonly caseSensitive: boolean }) {
    this.#fold = mode.caseSensitive ? (text) => text : (text) => text.toLowerCase();
    evidence.forEach((path, index) => this.#add(path, index));
  }

  /** The best match of a repo-relative path with each path of the evidence that it matches at all, by its number. */
  match(file: string): Map<number, PathMatch> {
    const best = new Map<number, PathMatch>();
    const offer = ({ evidence, match }: Entry) => {
      const known = best.get(evidence);
      if (known === undefined || known.strength < match.strength) best.set(evidence, match);
    };
    const segments = this.#fold(file).split('/');
    for (const entry of this.#files.get(segments.join('/')) ?? []) offer(entry);
    for (let cut = 1; cut < segments.length; cut += 1)
      for (const entry of this.#ends.get(segments.slice(cut).join('/')) ?? []) offer(entry);
    for (let up = 0; up <= MAX_STEPS && segments.length - 1 - up > 0; up += 1) {
      const directory = segments.slice(0, segments.length - 1 - up).join('/');
      for (const { evidence, match, steps } of this.#directories.get(directory) ?? []) {
        if (steps + up > MAX_STEPS) continue;
        offer({
          evidence,
          match: { strength: match.strength * DIRECTORY_DECAY ** up, relation: relationAt(steps + up) },
        });
      }
    }
    return best;
  }

  #add({ segments, prefixed }: EvidencePath, evidence: number): void {
    const folded = segments.map((segment) => this.#fold(segment));
    const prefixes = prefixed ? Math.min(folded.length - 1, MAX_PREFIX) : 0;
    for (let skipped = 0; skipped <= prefixes; skipped += 1) {
      const rest = folded.slice(skipped);
      const prefix = rest.length > 1 ? BEHIND_PREFIX : BARE_NAME_BEHIND_PREFIX;
      const certainty = skipped === 0 ? SAME : prefix;
      const relation = skipped === 0 ? 'same' : 'ends_alike';
      put(this.#files, rest.join('/'), { evidence, match: { strength: certainty, relation } });
      this.#addDirectories(rest, evidence, certainty);
    }
    const end = { strength: folded.length > 1 ? END_OF_FILE : BARE_NAME, relation: 'ends_alike' as const };
    put(this.#ends, folded.join('/'), { evidence, match: end });
  }

  #addDirectories(path: readonly string[], evidence: number, certainty: number): void {
    // The path itself may be a directory: what lies directly in it stands to it as its siblings stand to a file.
    for (let steps = -1; steps <= MAX_STEPS && path.length - 1 - steps > 0; steps += 1) {
      const directory = path.slice(0, path.length - 1 - steps).join('/');
      const away = Math.max(steps, 0);
      const strength = certainty * SAME_DIRECTORY * DIRECTORY_DECAY ** away;
      put(this.#directories, directory, { evidence, steps: away, match: { strength, relation: relationAt(away) } });
    }
  }
}

function relationAt(steps: number): PathRelation {
  return steps === 0 ? 'same_directory' : 'near';
}

function put<T>(map: Map<string, T[]>, key: string, value: T): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}
