import { foldPoint } from './fold.ts';
import type { Token } from './syntax.ts';
import { spend } from './work.ts';

/** UTF-16 units in which a text is looked for while a transition is tried. */
const UNITS_A_STEP = 16;

/** Of each expansion the literal texts that every path of it holds behind the prefix, in this order. Empty: not known. */
export type Needles = readonly (readonly string[])[];

/** @param prefixLength code points that all expansions begin with, and that are looked at anyway */
export function needlesOf(expansions: readonly (readonly Token[])[], prefixLength: number, folded: boolean): Needles {
  const needles = expansions.map((tokens) =>
    literalRuns(tokens, prefixLength).map((run) => String.fromCodePoint(...(folded ? run.map(foldPoint) : run))),
  );
  return needles.every((runs) => runs.length > 0) ? needles : [];
}

function literalRuns(tokens: readonly Token[], from: number): number[][] {
  const runs: number[][] = [];
  let isOpen = false;
  for (let at = from; at < tokens.length; at += 1) {
    const token = tokens[at]!;
    // The slash behind a `**` stands for no slash where the `**` stands for nothing.
    const isLiteral = token.kind === 'point' && tokens[at - 1]?.kind !== 'globstar';
    if (isLiteral && isOpen) runs.at(-1)!.push(token.point);
    else if (isLiteral) runs.push([token.point]);
    isOpen = isLiteral;
  }
  return runs;
}

/**
 * Whether `text` has, from `offset` on, what every path of some expansion has: most paths that are not the pattern's lack
 * it, and to see that takes a fiftieth of running them through its automaton.
 */
export function holdsNeedles(needles: Needles, text: string, offset: number): boolean {
  if (needles.length === 0) return true;
  return needles.some((runs) => {
    spend(1 + Math.floor(text.length / UNITS_A_STEP));
    let at = offset;
    return runs.every((run) => {
      spend(1);
      const found = text.indexOf(run, at);
      at = found + run.length;
      return found >= 0;
    });
  });
}
