/** The states of a search, in the order in which they were entered; reused between searches, which never interleave. */
const scratch = {
  generation: 0,
  seen: new Int32Array(1 << 12),
  states: new Int32Array(1 << 12),
  parents: new Int32Array(1 << 12),
  /** The point that led there. */
  points: new Int32Array(1 << 12),
  length: 0,
};

/** Begins a search among states below `size`. */
export function reset(size: number): void {
  if (scratch.seen.length < size) {
    scratch.seen = new Int32Array(size);
    scratch.states = new Int32Array(size);
    scratch.parents = new Int32Array(size);
    scratch.points = new Int32Array(size);
    scratch.generation = 0;
  }
  scratch.generation++;
  if (scratch.generation === 0x7fffffff) {
    scratch.seen.fill(0);
    scratch.generation = 1;
  }
  scratch.length = 0;
}

/** Enters a state unless it was entered before. @param parent the entry that leads there by `point`, -1 for a first one */
export function enter(state: number, parent: number, point: number): void {
  if (scratch.seen[state] === scratch.generation) return;
  scratch.seen[state] = scratch.generation;
  scratch.states[scratch.length] = state;
  scratch.parents[scratch.length] = parent;
  scratch.points[scratch.length] = point;
  scratch.length++;
}

/** How many entries there are: they are numbered from 0. */
export function entryCount(): number {
  return scratch.length;
}

export function stateOf(entry: number): number {
  return scratch.states[entry]!;
}

/** What leads from a first state to this one. */
export function textTo(entry: number): string {
  const parts: string[] = [];
  for (let at = entry; scratch.parents[at]! >= 0; at = scratch.parents[at]!) {
    parts.push(String.fromCodePoint(scratch.points[at]!));
  }
  return parts.toReversed().join('');
}
