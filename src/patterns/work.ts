/**
 * What comparing and compiling have cost since the process began, in steps of five to ten nanoseconds: a transition tried is
 * one, a pair of transitions two. Counted, not measured: what a budget allows must not depend on the machine or on its load.
 */
const work = { steps: 0 };

/** Steps done so far. What something costs is the difference. */
export function workDone(): number {
  return work.steps;
}

/** Whatever else compares texts by somebody's patterns counts it here, too. */
export function spend(steps: number): void {
  work.steps += steps;
}

/** Whether more than so many steps were done since this was called. */
export function budgetOf(steps: number): () => boolean {
  const until = work.steps + steps;
  return () => work.steps > until;
}

/** After so many steps others should have a turn: some one to two milliseconds. */
export const STEPS_A_TURN = 100_000;
