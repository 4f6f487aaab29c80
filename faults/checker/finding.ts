/** What one check has found. */
export interface Finding {
  /** How many things it looked at: a check that had nothing to look at has shown nothing. */
  readonly examined: number;
  readonly problems: readonly string[];
}

export function groupBy<T, K>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
