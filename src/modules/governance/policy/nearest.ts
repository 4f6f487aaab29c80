/** Edits (insert, remove, replace, swap of neighbours) that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  const width = b.length + 1;
  // Row i, column j: the distance between the first i of `a` and the first j of `b`.
  const table = new Uint8Array((a.length + 1) * width);
  for (let j = 0; j < width; j++) table[j] = j;
  for (let i = 1; i <= a.length; i++) {
    const row = i * width;
    table[row] = i;
    for (let j = 1; j < width; j++) {
      const above = table[row - width + j]!;
      const left = table[row + j - 1]!;
      const diagonal = table[row - width + j - 1]!;
      let least = Math.min(above + 1, left + 1, diagonal + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, table[row - 2 * width + j - 2]! + 1);
      }
      table[row + j] = least;
    }
  }
  return table[a.length * width + b.length]!;
}

/** The candidate that `text` was most likely meant to be, or null when none is close. Ties go to the earlier one. */
function nearest(text: string, candidates: Iterable<string>): string | null {
  if (text.length > 64) return null;
  let best: string | null = null;
  let least = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(text.length - candidate.length) >= least) continue;
    const distance = editDistance(text.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** ` (did you mean "x"?)`, or nothing when no candidate is close. */
export function didYouMean(text: string, candidates: Iterable<string>): string {
  const meant = nearest(text, candidates);
  return meant === null ? '' : ` (did you mean "${meant}"?)`;
}
